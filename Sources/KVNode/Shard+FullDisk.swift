import KVBase
import KVCluster
import KVStorage

/// Getting over a full disk without a restart.
///
/// A flush that fails for want of space loses nothing: the engine keeps what it could not write and
/// tries again. So the shard refuses writes, asks for the flush at each tick, and takes writes
/// again once everything is durable. After any other failure only a restart tells what the disk
/// holds.
extension Shard {
  private var isDiskFull: Bool { storeFailure?.code == StorageError.Code.diskFull.rawValue }

  mutating func retryFlushOnFullDisk() {
    guard isDiskFull else { return }
    syncRequested = max(syncRequested, store.sequences.applied)
    outbox.append(.sync(through: store.sequences.applied))
  }

  /// Takes writes again when the flush has made everything durable.
  mutating func resumeAfterFullDisk(through sequence: UInt64) {
    guard isDiskFull, sequence >= store.sequences.applied else { return }
    storeFailure = nil
    probe("resumed after a full disk")
    log(.info, "the disk has space again, writes are accepted")
    if let bytes = unsavedMembership {
      unsavedMembership = nil
      persistMembership(bytes)
    }
    if phase == .starting {
      isEpochDurable = true
      serveIfReady()
    }
  }
}
