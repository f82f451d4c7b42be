public import KVBase
public import KVCluster
public import KVModel
import KVStorage

/// Registers, in a range of their own behind all objects.
extension LSMReplicaStore {
  /// The encoded register of `key` at the acceptor of `partition`, nil when there is none.
  public func register(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes? {
    do {
      return try store.get(KeyLayout.registerKey(key, partition))
    } catch {
      throw ReplicaStoreFailure(error)
    }
  }

  /// Applies all changes at once; returns the sequence that must be synced for them to be durable.
  public func apply(
    registers changes: [RegisterChange]
  ) throws(ReplicaStoreFailure) -> UInt64 {
    guard !changes.isEmpty else { return sequences.applied }
    var batch = WriteBatch()
    for change in changes {
      let name = KeyLayout.registerKey(change.key, change.partition)
      if let encoded = change.encoded { batch.put(name, encoded) } else { batch.delete(name) }
    }
    do {
      return try store.append(batch).rawValue
    } catch {
      throw ReplicaStoreFailure(error)
    }
  }

  /// Registers of a partition in key order; see ``RegisterStore``.
  public func registers(
    of partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int,
    byteLimit: Int
  ) throws(ReplicaStoreFailure) -> ReplicaScan {
    let range = KeyLayout.registerRange(partition, bucket)
    var lower = range.lower
    if let key {
      let next = KeyLayout.successor(of: KeyLayout.registerKey(key, partition))
      if lower.lexicographicallyPrecedes(next) { lower = next }
    }
    var scan = ReplicaScan(entries: [], isComplete: true)
    var bytes = 0
    var misshapen: Bytes?
    do {
      try store.forEach(from: lower, to: range.upper, .values) { entry in
        guard scan.entries.count < limit, bytes < byteLimit || scan.entries.isEmpty else {
          scan.isComplete = false
          return false
        }
        guard let name = KeyLayout.objectKey(decodingRegister: entry.key) else {
          misshapen = entry.key
          return false
        }
        bytes += entry.key.count + entry.value.count
        scan.entries.append(ReplicaScan.Entry(key: name, encoded: entry.value))
        return true
      }
    } catch {
      throw ReplicaStoreFailure(error)
    }
    if let misshapen { throw ReplicaStoreFailure(misshapenKey: misshapen) }
    return scan
  }
}
