public import KVModel

/// Which node owns each partition of the hash space.
///
/// The 160-bit space is cut into `size` equal partitions. A key's preference list starts at the
/// partition after the one its hash falls in and goes on clockwise.
///
/// **Invariants**: the size is a power of two from 8 to 4096; every partition has an owner.
///
/// **Source**: Dynamo (SOSP 2007) §4.2; reference section 4.1.
public struct Ring: Hashable, Sendable {
  /// The sizes a ring may have.
  public static let sizes = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]

  /// Each partition's owner, by partition.
  public var owners: [NodeID]

  /// A ring in which every partition belongs to `owner`.
  public init(size: Int, owner: NodeID) {
    precondition(Self.sizes.contains(size), "a ring of \(size) partitions")
    owners = Array(repeating: owner, count: size)
  }

  /// A ring with the given owners, by partition.
  public init(owners: [NodeID]) {
    precondition(Self.sizes.contains(owners.count), "a ring of \(owners.count) partitions")
    self.owners = owners
  }

  /// The number of partitions.
  public var size: Int { owners.count }

  /// The owner of `partition`.
  public func owner(of partition: PartitionID) -> NodeID { owners[partition.index] }

  /// The partitions of `node`, in order.
  ///
  /// Cost is O(ring size).
  public func partitions(of node: NodeID) -> [PartitionID] {
    owners.indices.filter { owners[$0] == node }.map { PartitionID($0) }
  }

  /// The first partition of the key's preference list.
  public func firstPartition(of key: ObjectKey) -> PartitionID {
    Self.firstPartition(of: key, ringSize: size)
  }

  /// The first partition of the key's preference list on a ring of `ringSize` partitions.
  public static func firstPartition(of key: ObjectKey, ringSize: Int) -> PartitionID {
    let segment = Int(key.placement >> (32 - UInt32(ringSize.trailingZeroBitCount)))
    return PartitionID((segment + 1) % ringSize)
  }

  /// The `n` partitions that hold the key, in preference order.
  public func preferencePartitions(of key: ObjectKey, n: Int) -> [PartitionID] {
    let first = firstPartition(of: key).index
    return (0..<min(n, size)).map { PartitionID((first + $0) % size) }
  }
}
