public import KVModel

/// The removal of what a dropped bucket held.
extension Vnodes {
  /// Removes the dead contents among at most `limit` objects of a bucket in one partition.
  ///
  /// Stretches of objects without a living content go by one range each; an object that also has a
  /// later content keeps that.
  /// - Returns: how many objects went, and where to go on; nil at the end.
  public mutating func removeDead(
    of bucket: BucketID, in partition: PartitionID, after cursor: ObjectKey?, limit: Int
  ) throws(ReplicaStoreFailure) -> (removed: Int, cursor: ObjectKey?) {
    guard let life = rules.life(in: bucket, at: wallClock) else { return (0, nil) }
    let scan = try store.scan(
      partition, bucket: bucket, after: cursor, limit: limit, byteLimit: 1 << 20, headsOnly: true)
    let actor = try identities.identity(of: partition, in: store)
    var changes: [ReplicaChange] = []
    var stretch: (first: ObjectKey, last: ObjectKey)?
    var removed = 0
    var highest: UInt64 = 0
    for entry in scan.entries {
      let object = try decode(head: entry.encoded, in: partition)
      if object.siblings.allSatisfy({ life.isDead($0.content) }) {
        stretch = (stretch?.first ?? entry.key, entry.key)
        removed += 1
        highest = max(highest, object.clock[actor])
        continue
      }
      if let ended = stretch {
        changes.append(.removeRange(partition, from: ended.first, through: ended.last))
        stretch = nil
      }
      if object.siblings.contains(where: { life.isDead($0.content) }),
        let change = try withoutDead(entry.key, in: partition, life)
      {
        changes.append(change)
      }
    }
    if let stretch {
      changes.append(.removeRange(partition, from: stretch.first, through: stretch.last))
    }
    if let raised = try identities.raiseFloor(of: partition, to: highest, in: store) {
      changes.append(raised)
    }
    if !changes.isEmpty { _ = try apply(changes) }
    return (removed, scan.isComplete ? nil : scan.entries.last?.key)
  }

  private func withoutDead(
    _ key: ObjectKey, in partition: PartitionID, _ life: BucketRules.Life
  ) throws(ReplicaStoreFailure) -> ReplicaChange? {
    guard let bytes = try store.object(key, in: partition) else { return nil }
    var object = try decode(bytes, in: partition)
    object.forget(where: life.isDead)
    let (encoded, headByteCount) = object.encoded()
    return .put(
      key, partition, encoded: encoded, headByteCount: headByteCount,
      expiry: life.expiry(of: object))
  }
}
