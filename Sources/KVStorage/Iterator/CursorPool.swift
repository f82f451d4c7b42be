import Synchronization

/// Keeps cursors of a read state that are not in use, so that short scans allocate nothing.
///
/// **Concurrency**: any thread.
final class CursorPool: Sendable {
  private static let limit = 4

  /// Cursors move between threads, but at any time one owner has them.
  private struct Idle: @unchecked Sendable {
    var cursors: [MergingCursor] = []
  }

  private let idle = Mutex(Idle())

  /// A cursor that was given back, as it was.
  func take() -> MergingCursor? { idle.withLock { $0.cursors.popLast() } }

  /// Takes back a cursor that nobody uses any more.
  func give(_ cursor: MergingCursor) {
    cursor.rest(at: 0)
    let kept = Idle(cursors: [cursor])
    idle.withLock { idle in
      if idle.cursors.count < CursorPool.limit { idle.cursors += kept.cursors }
    }
  }
}
