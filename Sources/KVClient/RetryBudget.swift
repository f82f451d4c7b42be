import Synchronization

/// Limits retries to a share of the requests, so that a cluster in trouble is not asked ever more.
///
/// **Concurrency**: any thread; the count is guarded by its lock.
final class RetryBudget: Sendable {
  /// Retries that may be spent at once after a calm time.
  static let most = 100.0
  /// What each request adds.
  static let perRequest = 0.2

  private let tokens = Mutex(RetryBudget.most)

  func recordRequest() {
    tokens.withLock { $0 = min(Self.most, $0 + Self.perRequest) }
  }

  /// True, and counted, when a retry may be made.
  func spend() -> Bool {
    tokens.withLock { tokens in
      guard tokens >= 1 else { return false }
      tokens -= 1
      return true
    }
  }
}
