public import KVBase
public import KVModel

/// Tombstones and graves as the vnodes keep them.
///
/// A *grave* is what stays of a reaped tombstone for a time: its clock, under a key of its own that
/// no listing sees. An older copy of the object that turns up meanwhile, in a late message, a
/// backup or on a node that had left, has nothing in it that the grave has not seen, and vanishes
/// when it is merged.
extension Vnodes {
  /// What the vnode of `partition` has to say about an object that a round is about.
  public func verdict(
    on item: ReapItem, for purpose: ReapPurpose = .reap, in partition: PartitionID,
    isPrimary: Bool
  ) throws(ReplicaStoreFailure) -> ReapVerdict {
    if let head = try store.head(item.key, in: partition) {
      guard isPrimary else { return .held }
      let object = try decode(head: head, in: partition)
      let isMeant =
        purpose == .reap ? object.isDeleted : object.siblings.map(\.dot) == item.siblings
      return isMeant && object.clock == item.clock ? .same : .differs
    }
    guard isPrimary else { return .clear }
    if purpose == .trim { return .absent }
    guard let grave = try buried(item.key, in: partition) else { return .absent }
    return grave.clock.descends(item.clock) ? .buried : .absent
  }

  /// Replaces those of the tombstones by graves that are still exactly these.
  ///
  /// - Returns: how many there were, and what must be synced for that to be durable.
  public mutating func bury(
    _ items: [ReapItem], in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> (count: Int, sequence: UInt64) {
    var changes: [ReplicaChange] = []
    var highest: UInt64 = 0
    let actor = try identities.identity(of: partition, in: store)
    for item in items where try verdict(on: item, in: partition, isPrimary: true) == .same {
      changes.append(try burial(of: item.key, in: partition, item.clock))
      highest = max(highest, item.clock[actor])
    }
    guard !changes.isEmpty else { return (0, store.sequences.applied) }
    let count = changes.count
    if let raised = try identities.raiseFloor(of: partition, to: highest, in: store) {
      changes.append(raised)
    }
    return (count, try apply(changes))
  }

  /// The tombstone that the vnode of `partition` holds for `key`; nil when it holds none.
  public func tombstone(
    of key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> ReapItem? {
    guard let head = try store.head(key, in: partition) else { return nil }
    let object = try decode(head: head, in: partition)
    return object.isDeleted ? ReapItem(key: key, clock: object.clock) : nil
  }

  /// One stretch of a partition, searched for tombstones whose contents were all written at `time`
  /// or before, and for objects whose clocks have more than `width` actors.
  ///
  /// A time that is still to come tells of a coordinator whose clock was ahead, and nothing of age:
  /// such a tombstone is not waited for.
  public func tombstones(
    in partition: PartitionID, after cursor: ObjectKey?, limit: Int, writtenBy time: WallClock,
    orWiderThan width: (BucketID) -> Int
  ) throws(ReplicaStoreFailure) -> (keys: [ObjectKey], cursor: ObjectKey?) {
    let scan = try store.scan(
      partition, bucket: nil, after: cursor, limit: limit, byteLimit: 1 << 20, headsOnly: true)
    var keys: [ObjectKey] = []
    for entry in scan.entries {
      let object = try decode(head: entry.encoded, in: partition)
      let isDue = object.siblings.map(\.content.lastModified).allSatisfy {
        $0 <= time || $0 > wallClock
      }
      if object.isDeleted ? isDue : object.clock.entries.count > width(entry.key.bucket) {
        keys.append(entry.key)
      }
    }
    return (keys, scan.isComplete ? nil : scan.entries.last?.key)
  }

  /// What the grave of `key` remembers: events, and no contents.
  func buried(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> KVObject? {
    guard let bytes = try store.grave(of: key, in: partition) else { return nil }
    var reader = ByteReader(bytes)
    guard let clock = try? VersionVector(decoding: &reader), reader.isAtEnd else {
      throw ClusterError.malformedObject(partition, "a grave has no clock")
    }
    return KVObject(clock: clock, siblings: [])
  }

  /// The reading of a key of which no object is stored.
  func readGrave(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> ReplicaReading {
    try buried(key, in: partition).map { .whole($0.encoded().bytes) } ?? .notFound
  }

  /// The change that leaves only a grave of `key`.
  ///
  /// What has been remembered of the key stays so, its trimmed events above all: unless they are so
  /// many that a clock with them would soon be full.
  func burial(
    of key: ObjectKey, in partition: PartitionID, _ clock: VersionVector
  ) throws(ReplicaStoreFailure) -> ReplicaChange {
    let merged = try buried(key, in: partition)?.clock.merging(clock) ?? clock
    let isShort = merged.entries.count <= VersionVector.entryLimit / 2
    let memory = memory(of: isShort ? merged : clock)
    return .bury(key, partition, clock: memory.clock, expiry: memory.expiry)
  }

  func memory(of clock: VersionVector) -> (clock: Bytes, expiry: UInt64) {
    var writer = ByteWriter()
    clock.encode(into: &writer)
    let seconds = limits.graveMemory.wholeNanoseconds / 1_000_000_000
    return (writer.bytes, wallClock.microseconds / 1_000_000 + seconds)
  }

  func decode(
    head: Bytes, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> KVObject {
    do {
      return try KVObject(encodedHead: head)
    } catch {
      throw ClusterError.malformedObject(partition, error.description)
    }
  }
}
