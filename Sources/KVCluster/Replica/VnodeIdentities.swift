import KVBase
public import KVModel

/// The identities under which the vnodes of one shard count their events.
///
/// An identity follows from the store's instance (drawn with the epoch), the partition, the partition's
/// generation and the shard's epoch. A vnode that cannot know its latest counter of a key, because a
/// crash may have taken it or a handoff removed the object, must not count on under the old
/// identity: two different events would share a dot and one would be lost in a merge.
///
/// **Invariants**: 1. the epoch is durable before any event is counted under it; 2. a generation is
/// increased in the batch that removes objects from the partition.
public struct VnodeIdentities: Sendable {
  private var instance: UInt64
  private var epoch: UInt64
  private var generations: [PartitionID: UInt64] = [:]

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
