import KVBase
import KVCluster
import KVModel

/// Tombstones that a client wants reaped.
extension Shard {
  /// Tells a shard with a primary of each key to queue its tombstone.
  ///
  /// What is lost on the way, or finds the queue full, the sweep over the stored tombstones finds.
  mutating func reap(_ keys: [ObjectKey], _ id: RequestID) {
    guard configuration.deleteMode != .keep else {
      return reply(id, .failure(.refused("tombstones are kept: delete.mode is keep")))
    }
    var partitions: [PartitionID: [ObjectKey]] = [:]
    for key in keys { partitions[view.ring.firstPartition(of: key), default: []].append(key) }
    for partition in partitions.keys.sorted() {
      let owner = view.ring.owner(of: partition)
      guard let target = view.address(of: partition, on: owner), let keys = partitions[partition]
      else { continue }
      send(.reap(.queue(partition, keys)), to: target)
    }
    reply(id, .reapQueued)
  }

  mutating func queueReaps(of keys: [ObjectKey], in partition: PartitionID) {
    guard runs(partition), configuration.deleteMode != .keep else { return }
    for key in keys {
      reapQueue.hasten(
        ReapQueue.Candidate(
          key: key, partition: partition, first: view.ring.firstPartition(of: key),
          due: now.instant))
    }
    wakeForTombstones()
  }
}
