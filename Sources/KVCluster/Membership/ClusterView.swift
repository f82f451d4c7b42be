public import KVBase
public import KVModel

/// Where a node stands in its membership of the cluster.
///
/// The raw values are stored and sent.
public enum MemberStatus: UInt8, Hashable, Sendable, CaseIterable {
  /// Staged or committed to join, owning nothing yet.
  case joining = 0
  /// A full member.
  case valid = 1
  /// Giving its partitions away.
  case leaving = 2
  /// Owns nothing any more and may stop.
  case exiting = 3
  /// Marked down by an operator.
  case down = 4
}

/// One node as the membership sees it.
public struct Member: Hashable, Sendable {
  /// Its identity, which follows from the name.
  public var id: NodeID
  /// Its name, such as `spinekv1@127.0.0.1`.
  public var name: String
  /// Where peers reach it.
  public var endpoint: Endpoint
  /// Where it serves protobuf clients.
  public var clientEndpoint: Endpoint
  /// Its number of shards.
  public var shardCount: Int
  /// How its partitions are divided among them.
  public var shardLayout: ShardLayout
  /// Where it stands.
  public var status: MemberStatus
  /// Its rack or site, which replicas should not share; empty when it has none.
  public var location: String

  /// The longest name of a location, in bytes.
  public static let locationByteLimit = 255

  /// A member with the given facts.
  public init(
    name: String, endpoint: Endpoint, clientEndpoint: Endpoint, shardCount: Int,
    shardLayout: ShardLayout = .modulo, status: MemberStatus, location: String = ""
  ) {
    id = NodeID(name: name)
    self.name = name
    self.endpoint = endpoint
    self.clientEndpoint = clientEndpoint
    self.shardCount = shardCount
    self.shardLayout = shardLayout
    self.status = status
    self.location = location
  }

  /// The shard of this node that runs the vnode of `partition`.
  public func shard(of partition: PartitionID) -> ShardIndex {
    shardLayout.shard(of: partition, among: shardCount)
  }
}

/// A partition on its way from its owner to its next owner.
public struct PendingTransfer: Hashable, Sendable {
  /// The partition.
  public var partition: PartitionID
  /// The present owner.
  public var from: NodeID
  /// The next owner.
  public var to: NodeID

  /// The move of `partition` from `from` to `to`.
  public init(partition: PartitionID, from: NodeID, to: NodeID) {
    self.partition = partition
    self.from = from
    self.to = to
  }
}

/// What the data path of one node knows of the cluster: a value, replaced whole when it changes.
public struct ClusterView: Sendable, Hashable {
  /// This node.
  public var local: NodeID
  /// Distinguishes the cluster from every other, also from this node's own past ones.
  public var cluster: UInt64
  /// Increases with every change of ring or membership that all members must see.
  public var version: UInt64
  /// Who owns what.
  public var ring: Ring
  /// Partitions on the move, by partition.
  public var transfers: [PendingTransfer]
  /// All members, sorted by id.
  public var members: [Member]
  /// The members that the failure detector holds to be unreachable, sorted.
  public var unavailable: [NodeID]
  /// Buckets with properties of their own, sorted by bucket.
  public var properties: [BucketEntry]
  /// True when this node is about to leave, or has left: it takes nothing more that it would have to
  /// hand on.
  public var isClosing = false

  /// A bucket that has been given properties.
  public struct BucketEntry: Hashable, Sendable {
    /// The bucket.
    public var bucket: BucketID
    /// Its complete properties.
    public var properties: BucketProperties

    /// The properties of `bucket`.
    public init(bucket: BucketID, properties: BucketProperties) {
      self.bucket = bucket
      self.properties = properties
    }
  }

  /// The view of a node that knows only itself.
  public init(local member: Member, ringSize: Int) {
    local = member.id
    cluster = 0
    version = 0
    ring = Ring(size: ringSize, owner: member.id)
    transfers = []
    members = [member]
    unavailable = []
    properties = []
  }

  /// True when the node may be asked: a member that is not held to be unreachable.
  public func isAvailable(_ node: NodeID) -> Bool {
    node == local || (!unavailable.contains(node) && (member(node)?.status ?? .down) != .down)
  }

  /// The member with this id.
  ///
  /// Cost is O(log members).
  public func member(_ node: NodeID) -> Member? {
    var low = 0
    var high = members.count
    while low < high {
      let middle = (low + high) / 2
      if members[middle].id < node { low = middle + 1 } else { high = middle }
    }
    return low < members.count && members[low].id == node ? members[low] : nil
  }

  /// The shard that runs the vnode of `partition` on `node`; nil when the node is not a member.
  public func address(of partition: PartitionID, on node: NodeID) -> Address? {
    member(node).map { Address(node: node, shard: $0.shard(of: partition)) }
  }

  /// For each partition the shard of this node, as `member` describes it, that runs the first of the
  /// `count` partitions from it on that this node owns; nil where it owns none of them.
  ///
  /// Cost is O(ring size times `count`).
  public func shards(of member: Member, within count: Int) -> [ShardIndex?] {
    (0..<ring.size).map { first in
      let near = (0..<min(count, ring.size)).lazy.map { PartitionID((first + $0) % ring.size) }
      return near.first { ring.owner(of: $0) == member.id }.map { member.shard(of: $0) }
    }
  }

  /// The properties of a bucket: its own, else its type's, else the defaults.
  ///
  /// A bucket type is the entry of its type with an empty name. Cost is O(log entries).
  public func properties(of bucket: BucketID) -> BucketProperties {
    ownProperties(of: bucket) ?? ownProperties(of: BucketID(type: bucket.type, name: []))
      ?? BucketProperties(untyped: bucket.isUntyped)
  }

  /// True for the type `default` and for every type that has been created.
  public func knowsType(_ type: Bytes) -> Bool {
    type == BucketID.defaultType || ownProperties(of: BucketID(type: type, name: [])) != nil
  }

  /// The names of all bucket types, sorted.
  public var bucketTypes: [Bytes] {
    Set(properties.filter { $0.bucket.name.isEmpty }.map(\.bucket.type) + [BucketID.defaultType])
      .sorted { $0.lexicographicallyPrecedes($1) }
  }

  private func ownProperties(of bucket: BucketID) -> BucketProperties? {
    var low = 0
    var high = properties.count
    while low < high {
      let middle = (low + high) / 2
      if properties[middle].bucket < bucket { low = middle + 1 } else { high = middle }
    }
    guard low < properties.count, properties[low].bucket == bucket else { return nil }
    return properties[low].properties
  }

  /// True when the partition is on its way to this node.
  public func isNextOwner(of partition: PartitionID) -> Bool {
    transfer(of: partition)?.to == local
  }

  /// Where the partition is going, when it is on the move.
  public func transfer(of partition: PartitionID) -> PendingTransfer? {
    transfers.first { $0.partition == partition }
  }
}
