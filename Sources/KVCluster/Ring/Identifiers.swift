import KVBase

/// A node: one process of the cluster, known by a number that follows from its name.
public struct NodeID: Hashable, Comparable, Sendable {
  /// The number.
  public var rawValue: UInt64

  /// The node with this number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The node called `name`, such as `spinekv1@127.0.0.1`.
  public init(name: String) { rawValue = StableHash.hash(Bytes(name.utf8)) }

  /// Orders by value.
  public static func < (a: NodeID, b: NodeID) -> Bool { a.rawValue < b.rawValue }
}

/// A partition of the ring: its position, from 0 to ring size − 1.
public struct PartitionID: Hashable, Comparable, Sendable {
  /// The position.
  public var index: Int

  /// The partition at position `index`.
  public init(_ index: Int) { self.index = index }

  /// Orders by value.
  public static func < (a: PartitionID, b: PartitionID) -> Bool { a.index < b.index }
}

/// How a node divides the partitions of the ring among its shards; fixed with its data directory.
public enum ShardLayout: UInt8, Sendable {
  /// Partition i is in shard i modulo S.
  ///
  /// A claim that goes round N nodes puts all partitions of a node into one shard when S divides N,
  /// which is why new directories have another layout.
  case modulo = 1
  /// Partition i is in shard S times the fractional part of i times a constant.
  ///
  /// The constant was looked for: of every N-th partition of rings of 64 to 1,024, with N to 24 and S
  /// to 32, no shard has more than twice its share, when the share is at least two partitions.
  ///
  /// **Source**: Knuth, The Art of Computer Programming 3, §6.4, multiplicative hashing.
  case spread = 2

  /// The shard of `partition` on a node with `count` shards.
  public func shard(of partition: PartitionID, among count: Int) -> ShardIndex {
    switch self {
    case .modulo: return ShardIndex(partition.index % count)
    case .spread:
      let fraction = UInt64(UInt32(truncatingIfNeeded: partition.index) &* 0x5845_5851)
      return ShardIndex(Int((fraction * UInt64(count)) >> 32))
    }
  }
}

/// One of a node's shards, which own its partitions between them.
public struct ShardIndex: Hashable, Comparable, Sendable {
  /// The shard that also runs membership for its node.
  public static let membership = ShardIndex(0)

  /// The position, from 0 to the node's shard count − 1.
  public var index: Int

  /// The shard at position `index`.
  public init(_ index: Int) { self.index = index }

  /// Orders by value.
  public static func < (a: ShardIndex, b: ShardIndex) -> Bool { a.index < b.index }
}

/// Where a peer message goes or comes from: a shard of a node.
public struct Address: Hashable, Comparable, Sendable {
  /// The node.
  public var node: NodeID
  /// Its shard.
  public var shard: ShardIndex

  /// The shard `shard` of `node`.
  public init(node: NodeID, shard: ShardIndex) {
    self.node = node
    self.shard = shard
  }

  /// Orders by value.
  public static func < (a: Address, b: Address) -> Bool {
    a.node == b.node ? a.shard < b.shard : a.node < b.node
  }
}

/// A network address as an operator writes it; the core never resolves it.
public struct Endpoint: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// A host name or IP address.
  public var host: String
  /// A TCP port.
  public var port: UInt16

  /// The endpoint `host`:`port`.
  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// `host:port`.
  public var description: String { "\(host):\(port)" }

  /// Orders by value.
  public static func < (a: Endpoint, b: Endpoint) -> Bool {
    a.host == b.host ? a.port < b.port : a.host < b.host
  }
}
