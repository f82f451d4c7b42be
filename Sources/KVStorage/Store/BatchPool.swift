import Synchronization

/// Keeps batches that are not in use, so that compressing values allocates nothing in steady state.
///
/// **Concurrency**: any thread.
final class BatchPool: Sendable {
  private static let limit = 4
  private static let byteLimit = 4 << 20

  private let idle = Mutex<[WriteBatch]>([])

  func take() -> WriteBatch { idle.withLock { $0.popLast() } ?? WriteBatch() }

  /// Takes back a batch; one that has become large is let go.
  func give(_ batch: inout WriteBatch) {
    var given = WriteBatch()
    swap(&given, &batch)
    guard given.byteCount <= BatchPool.byteLimit else { return }
    idle.withLock { [given] idle in
      if idle.count < BatchPool.limit { idle.append(given) }
    }
  }
}
