import Synchronization

/// Limits retries to a share of the requests, so that a cluster in trouble is not asked ever more.
///
/// **Concurrency**: any thread; the count is guarded by its lock.
final class RetryBudget: Sendable {
  /// Retries that may be spent at once after a calm time.
  static let most = 100
  /// Requests that earn one retry.
  static let requestsPerRetry = 5

  /// In parts of a retry, one of which each request earns.
  private let parts = Mutex(RetryBudget.most * RetryBudget.requestsPerRetry)

  func recordRequest() {
    parts.withLock { $0 = min(Self.most * Self.requestsPerRetry, $0 + 1) }
  }

  /// True, and counted, when a retry may be made.
  func spend() -> Bool {
    parts.withLock { parts in
      guard parts >= Self.requestsPerRetry else { return false }
      parts -= Self.requestsPerRetry
      return true
    }
  }
}
