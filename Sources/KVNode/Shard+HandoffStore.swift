import KVBase
import KVCluster
import KVModel

/// What handoffs read from the store and remove from it.
extension Shard {
  private static let countLimit = 256

  mutating func scan(
    _ partition: PartitionID, after cursor: ObjectKey?, headsOnly: Bool
  ) -> ReplicaScan? {
    let limits = handoffs.limits
    do {
      if headsOnly {
        return try store.scan(
          partition, bucket: nil, after: cursor, limit: limits.compareCount, byteLimit: .max,
          headsOnly: true)
      }
      return try handoffs.active[partition]?.snapshot?.scan(
        partition, after: cursor, limit: limits.batchCount, byteLimit: limits.batchBytes)
    } catch {
      log(.error, "partition \(partition.index) cannot be handed off: \(error)")
      return nil
    }
  }

  /// The first of the objects, about as many as a batch holds, and how many keys that covers.
  mutating func fetch(
    _ keys: [ObjectKey], in partition: PartitionID
  ) -> (entries: [ReplicaScan.Entry], keyCount: Int)? {
    var entries: [ReplicaScan.Entry] = []
    var byteCount = 0
    for (index, key) in keys.enumerated() {
      if byteCount >= handoffs.limits.batchBytes { return (entries, index) }
      do {
        guard let encoded = try store.object(key, in: partition) else { continue }
        byteCount += encoded.count
        entries.append(ReplicaScan.Entry(key: key, encoded: encoded))
      } catch {
        log(.error, "an object of partition \(partition.index) cannot be handed off: \(error)")
        return nil
      }
    }
    return (entries, keys.count)
  }

  mutating func remove(
    _ entries: [ReplicaScan.Entry], _ areHeads: Bool, from partition: PartitionID
  ) {
    guard storeFailure == nil else { return }
    do {
      guard
        let outcome = try vnodes?.remove(unchanged: entries, areHeads: areHeads, from: partition)
      else { return }
      if outcome.removed > 0 { probe("handed off objects removed") }
      if outcome.removed > 0, areHeads { probe("hints removed without sending them") }
      if outcome.kept > 0 { probe("handoff removal skipped") }
    } catch {
      log(.error, "handed off objects of partition \(partition.index) stay: \(error)")
    }
  }

  /// Objects in partitions of other nodes, counting at most a few hundred of each.
  func pendingHints() -> Int {
    guard phase != .created, let occupied = try? store.occupiedPartitions() else { return 0 }
    var count = 0
    for partition in occupied
    where partition.index >= view.ring.size
      || view.ring.owner(of: partition) != address.node && !view.isNextOwner(of: partition)
    {
      let scan = try? store.scan(
        partition, bucket: nil, after: nil, limit: Self.countLimit, byteLimit: 1 << 20,
        headsOnly: true)
      count += max(1, scan?.entries.count ?? 1)
    }
    return count
  }
}
