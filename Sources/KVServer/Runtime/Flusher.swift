import KVBase
import KVCluster
import KVNode

/// The flush thread of one shard: makes writes durable while the shard goes on.
///
/// A flush serves every write that was applied before it began, so the slower the disk, the more
/// writes share one `fdatasync` (group commit).
///
/// **Concurrency**: ``request(through:)`` and ``stop()`` from the shard's thread.
final class Flusher: @unchecked Sendable {
  private let condition = Condition()
  // Guarded by `condition`.
  private var target: UInt64 = 0
  private var done: UInt64 = 0
  private var isStopping = false

  private let name: String
  private let sync: @Sendable (UInt64) throws(ReplicaStoreFailure) -> UInt64
  private let stopped = Latch()

  init(
    name: String, sync: @escaping @Sendable (UInt64) throws(ReplicaStoreFailure) -> UInt64
  ) {
    self.name = name
    self.sync = sync
  }

  /// Starts the thread, on which `report` tells how each flush went.
  func start(report: @escaping @Sendable (ShardEvent) -> Void) {
    startThread(name) { self.run(report) }
  }

  /// Asks for everything up to the sequence to be made durable.
  func request(through sequence: UInt64) {
    condition.lock()
    target = max(target, sequence)
    condition.unlock()
    condition.signal()
  }

  /// Flushes what was asked for and ends the thread.
  func stop() {
    condition.lock()
    isStopping = true
    condition.unlock()
    condition.signal()
    _ = stopped.wait(until: .distantFuture)
  }

  private func run(_ report: (ShardEvent) -> Void) {
    while let sequence = nextTarget() {
      do throws(ReplicaStoreFailure) {
        let through = max(sequence, try sync(sequence))
        finish(through)
        report(.synced(through: through))
      } catch {
        giveUp()
        report(.syncFailed(error))
      }
    }
    stopped.open()
  }

  private func nextTarget() -> UInt64? {
    condition.lock()
    defer { condition.unlock() }
    while target <= done {
      if isStopping { return nil }
      condition.wait(until: .distantFuture)
    }
    return target
  }

  /// Forgets what was asked for: whoever has learnt of the failure may ask again, also for the same.
  private func giveUp() {
    condition.lock()
    target = done
    condition.unlock()
  }

  private func finish(_ sequence: UInt64) {
    condition.lock()
    done = max(done, sequence)
    condition.unlock()
  }
}
