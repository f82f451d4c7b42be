import KVBase
public import KVModel

/// Index entries that were lost.
extension Vnodes {
  /// Stores the index entries of a page of the partition's objects once more, after the object `after`
  /// (nil: from the first).
  ///
  /// The cost is that of reading `limit` heads.
  ///
  /// - Returns: the last object of the page, nil when none follows, and the sequence that must be
  ///   synced for the entries to be durable.
  public func reindex(
    _ partition: PartitionID, after: ObjectKey?, limit: Int
  ) throws(ReplicaStoreFailure) -> (last: ObjectKey?, sequence: UInt64) {
    let page = try store.scan(
      partition, bucket: nil, after: after, limit: limit, byteLimit: .max, headsOnly: true)
    var changes: [ReplicaChange] = []
    for entry in page.entries where KVObject.hasIndexes(encodedHead: entry.encoded) {
      // A head that cannot be read asks for no entries.
      guard let object = try? KVObject(encodedHead: entry.encoded) else { continue }
      let expiry = rules.life(in: entry.key.bucket, at: wallClock)?.expiry(of: object)
      changes.append(.index(entry.key, partition, head: entry.encoded, expiry: expiry))
    }
    return (page.isComplete ? nil : page.entries.last?.key, try store.apply(changes))
  }
}
