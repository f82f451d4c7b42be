import KVBase
public import KVModel

/// The identities under which the vnodes of one shard count their events.
///
/// An identity follows from the store's instance (drawn with the epoch), the partition, the
/// partition's generation and the shard's epoch. A vnode that cannot know its latest counter of a
/// key, because a crash may have taken it or a handoff removed the object, must not count on under
/// the old identity: two different events would share a dot and one would be lost in a merge.
///
/// Where an object goes although all that its vnode counted of it is known (it was reaped, expired
/// or dropped), the vnode keeps its identity and counts on above a *floor*, the highest count it
/// has given to any such object: its events stay unique without another entry in every version
/// vector.
///
/// **Invariants**: 1. the epoch is durable before any event is counted under it; 2. a generation is
/// increased in the batch that removes objects which others may know more of; 3. the floor is
/// raised in the batch that removes objects otherwise, for expiring ones in the batch that stores
/// them.
public struct VnodeIdentities: Sendable {
  private var instance: UInt64
  private var epoch: UInt64
  private var generations: [PartitionID: UInt64] = [:]
  private var floors: [PartitionID: Floor] = [:]

  /// The highest count of the objects that a vnode has forgotten under its present identity.
  private struct Floor {
    var actor: VnodeID
    var count: UInt64
  }

  private static let instanceName = "vnode/instance"
  private static let epochName = "vnode/epoch"

  /// The identities of a store's vnodes, with the changes that must be durable before their use.
  ///
  /// - Parameters:
  ///   - random: the instance of a store that is new or was not closed in order. The old one would
  ///     not do for a store restored from a backup: its epoch may have been used since.
  ///   - startedCleanly: true when the store was closed in order, which keeps the identities.
  public static func restore(
    from store: any ReplicaStore, random: UInt64, startedCleanly: Bool
  ) throws(ReplicaStoreFailure) -> (identities: VnodeIdentities, changes: [ReplicaChange]) {
    let instance = try number(instanceName, in: store)
    let epoch = try number(epochName, in: store)
    if let instance, let epoch, startedCleanly {
      return (VnodeIdentities(instance: instance, epoch: epoch), [])
    }
    let next = VnodeIdentities(instance: random, epoch: (epoch ?? 0) + 1)
    return (
      next,
      [
        .metadata(instanceName, encoded(next.instance)),
        .metadata(epochName, encoded(next.epoch)),
      ]
    )
  }

  /// True when vnodes have served from the store before.
  public static func areStored(in store: any ReplicaStore) throws(ReplicaStoreFailure) -> Bool {
    try number(instanceName, in: store) != nil
  }

  private init(instance: UInt64, epoch: UInt64) {
    self.instance = instance
    self.epoch = epoch
  }

  /// The present identity of the vnode of `partition`.
  public mutating func identity(
    of partition: PartitionID, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> VnodeID {
    let generation = try generation(of: partition, in: store)
    var writer = ByteWriter(capacity: 32)
    for part in [instance, UInt64(partition.index), generation, epoch] {
      writer.write(fixed: part)
    }
    return VnodeID(rawValue: StableHash.hash(writer.bytes))
  }

  /// Gives the vnode of `partition` a new identity; the change belongs in the batch that removes
  /// objects from it.
  public mutating func renew(
    _ partition: PartitionID, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> ReplicaChange {
    let next = try generation(of: partition, in: store) + 1
    generations[partition] = next
    return .metadata(Self.generationName(partition), Self.encoded(next))
  }

  /// The count that every new event of the vnode of `partition` must exceed.
  public mutating func floor(
    of partition: PartitionID, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> UInt64 {
    let actor = try identity(of: partition, in: store)
    if let known = floors[partition], known.actor == actor { return known.count }
    var floor = Floor(actor: actor, count: 0)
    let name = Self.floorName(partition)
    if let bytes = try store.metadata(name) {
      var reader = ByteReader(bytes)
      guard let stored = try? reader.readFixed(UInt64.self),
        let count = try? reader.readFixed(UInt64.self), reader.isAtEnd
      else { throw ClusterError.malformedMetadata(name) }
      // The floor of an earlier identity means nothing to the present one.
      if stored == actor.rawValue { floor.count = count }
    }
    floors[partition] = floor
    return floor.count
  }

  /// Lets the vnode of `partition` count on above `count`; nil when it does already, else the
  /// change, which belongs in the batch that makes the vnode forget.
  public mutating func raiseFloor(
    of partition: PartitionID, to count: UInt64, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> ReplicaChange? {
    guard try floor(of: partition, in: store) < count else { return nil }
    let actor = try identity(of: partition, in: store)
    floors[partition] = Floor(actor: actor, count: count)
    var writer = ByteWriter(capacity: 16)
    writer.write(fixed: actor.rawValue)
    writer.write(fixed: count)
    return .metadata(Self.floorName(partition), writer.bytes)
  }

  /// Reads the floors again when they are next needed: a batch that would have raised one has
  /// failed.
  mutating func forgetFloors() { floors = [:] }

  private static func floorName(_ partition: PartitionID) -> String {
    "vnode/floor/\(partition.index)"
  }

  private mutating func generation(
    of partition: PartitionID, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> UInt64 {
    if let known = generations[partition] { return known }
    let stored = try Self.number(Self.generationName(partition), in: store) ?? 0
    generations[partition] = stored
    return stored
  }

  private static func generationName(_ partition: PartitionID) -> String {
    "vnode/generation/\(partition.index)"
  }

  private static func encoded(_ number: UInt64) -> Bytes {
    var writer = ByteWriter(capacity: 8)
    writer.write(fixed: number)
    return writer.bytes
  }

  private static func number(
    _ name: String, in store: any ReplicaStore
  ) throws(ReplicaStoreFailure) -> UInt64? {
    guard let bytes = try store.metadata(name) else { return nil }
    var reader = ByteReader(bytes)
    guard let number = try? reader.readFixed(UInt64.self), reader.isAtEnd else {
      throw ClusterError.malformedMetadata(name)
    }
    return number
  }
}
