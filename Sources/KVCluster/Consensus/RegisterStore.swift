public import KVBase
public import KVModel

/// Where acceptors keep their registers: apart from the objects, so that nothing that merges,
/// repairs, hands off or expires objects can touch them.
public protocol RegisterStore: AnyObject {
  /// The encoded register of `key` at the acceptor of `partition`, nil when there is none.
  func register(
    _ key: ObjectKey, in partition: PartitionID
  ) throws(ReplicaStoreFailure) -> Bytes?

  /// Applies all changes at once; returns the sequence that must be synced for them to be durable.
  func apply(registers changes: [RegisterChange]) throws(ReplicaStoreFailure) -> UInt64

  /// Registers of `partition` in key order, strictly after `key`, restricted to `bucket` when
  /// given: at most `limit` of them and about `byteLimit` bytes.
  func registers(
    of partition: PartitionID, bucket: BucketID?, after key: ObjectKey?, limit: Int,
    byteLimit: Int
  ) throws(ReplicaStoreFailure) -> ReplicaScan
}

/// One change of a batch of registers.
public struct RegisterChange: Hashable, Sendable {
  /// The object's name.
  public var key: ObjectKey
  /// The acceptor.
  public var partition: PartitionID
  /// The encoded register; nil to remove it.
  public var encoded: Bytes?

  /// Stores or removes the register of `key`.
  public init(key: ObjectKey, partition: PartitionID, encoded: Bytes?) {
    self.key = key
    self.partition = partition
    self.encoded = encoded
  }
}
