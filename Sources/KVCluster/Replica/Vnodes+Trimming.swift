public import KVModel

/// Clocks that have lost the actors which count no more.
///
/// A vnode that takes a new identity leaves an entry in the clock of every key it has coordinated, so
/// clocks would grow without end. An entry of an actor tells copies apart that hold one of its contents
/// from those that have seen it replaced. When every primary holds the same object, no other member holds
/// a copy, no content bears a dot of the actor and no vnode counts under it, there is nothing left to tell
/// apart. What may still be on its way, or comes from a backup, is told apart by the entries taken out,
/// which are remembered like the clock of a reaped tombstone: of their events no content is left anywhere.
/// Entries with living contents must not be remembered: the object may move away and come back, and its
/// contents would count as replaced.
extension Vnodes {
  /// The object of `key` as a round to trim it would be about, if its clock has more than `width` actors.
  public func wideObject(
    _ key: ObjectKey, in partition: PartitionID, widerThan width: Int
  ) throws(ReplicaStoreFailure) -> ReapItem? {
    guard let head = try store.head(key, in: partition) else { return nil }
    let object = try decode(head: head, in: partition)
    guard !object.isDeleted, object.clock.entries.count > width else { return nil }
    return ReapItem(key: key, clock: object.clock, siblings: object.siblings.map(\.dot))
  }

  /// The identities under which the vnodes of the partitions count now.
  public mutating func actors(
    of partitions: [PartitionID]
  ) throws(ReplicaStoreFailure) -> [VnodeID] {
    var actors: [VnodeID] = []
    for partition in partitions { actors.append(try identities.identity(of: partition, in: store)) }
    return actors
  }

  /// Takes the retired actors out of those of the objects that are still exactly the same.
  ///
  /// - Returns: how many there were, and what must be synced for that to be durable.
  public mutating func trim(
    _ items: [ReapItem], in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (count: Int, sequence: UInt64) {
    var changes: [ReplicaChange] = []
    var count = 0
    let actor = try identities.identity(of: partition, in: store)
    for item in items where !item.retired.contains(actor) {
      guard
        try verdict(on: item, for: .trim, in: partition, isPrimary: true) == .same,
        !item.siblings.contains(where: { item.retired.contains($0.actor) }),
        let bytes = try store.object(item.key, in: partition)
      else { continue }
      let object = try decode(bytes, in: partition)
      let entries = object.clock.entries
      let left = entries.filter { !item.retired.contains($0.actor) }
      let trimmed = KVObject(clock: VersionVector(left), siblings: object.siblings)
      let (encoded, headByteCount) = trimmed.encoded()
      let gone = VersionVector(entries.filter { item.retired.contains($0.actor) })
      let memory = memory(of: try buried(item.key, in: partition)?.clock.merging(gone) ?? gone)
      let life = rules.life(in: item.key.bucket, at: wallClock)
      changes += [
        .remember(item.key, partition, clock: memory.clock, expiry: memory.expiry),
        .put(
          item.key, partition, encoded: encoded, headByteCount: headByteCount,
          expiry: life?.expiry(of: object)),
      ]
      count += 1
    }
    guard count > 0 else { return (0, store.sequences.applied) }
    return (count, try store.apply(changes))
  }

  /// What the vnode knows of a stored object in the face of one that it is sent: with what it remembers
  /// of its clock, when some content comes from an actor that the stored clock does not name.
  func remembering(
    _ object: KVObject, of key: ObjectKey, in partition: PartitionID, against incoming: KVObject
  ) throws(ReplicaStoreFailure) -> KVObject {
    guard incoming.siblings.contains(where: { object.clock[$0.dot.actor] == 0 }),
      let memory = try buried(key, in: partition)
    else { return object }
    return KVObject(clock: object.clock.merging(memory.clock), siblings: object.siblings)
  }
}
