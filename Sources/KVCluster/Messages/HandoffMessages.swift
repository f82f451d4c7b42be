public import KVModel

/// Objects on their way to the vnode that should hold them.
public struct HandoffBatch: Hashable, Sendable {
  /// The sender's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// The batch's number within the operation, from 0.
  public var number: UInt32
  /// The objects.
  public var entries: [ReplicaScan.Entry]

  /// A batch for the vnode of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, number: UInt32, entries: [ReplicaScan.Entry]
  ) {
    self.operation = operation
    self.partition = partition
    self.number = number
    self.entries = entries
  }
}

/// Tells that a ``HandoffBatch`` is durable, or was refused.
public struct HandoffReceipt: Hashable, Sendable {
  /// The sender's operation.
  public var operation: OperationID
  /// The batch.
  public var number: UInt32
  /// False when the receiver would not or could not store the batch.
  public var isAccepted: Bool

  /// The receipt for batch `number`.
  public init(operation: OperationID, number: UInt32, isAccepted: Bool) {
    self.operation = operation
    self.number = number
    self.isAccepted = isAccepted
  }
}

/// What the two sides of a handoff compare, without the objects; peer protocol 2.
///
/// **On the wire**: Docs/Protocols.md, "Handoff". The tags are 0x60 to 0x6F.
public enum HandoffMessage: Hashable, Sendable {
  /// To the receiver: does your part of the partition look like this?
  case compare(HandoffComparison)
  /// From the receiver: it does, durably, or it does not.
  case compared(HandoffReceipt)
  /// To the receiver: which of these do you lack?
  case offer(HandoffOffer)
  /// From the receiver: these; the others are durable there.
  case wanted(HandoffWish)
  /// From shard 0 to the other shards of its node: an operator has changed the limits.
  case limits(concurrency: Int, bytesPerSecond: Int)
}

/// What a part of a partition holds, told by its number of objects and a hash.
public struct HandoffComparison: Hashable, Sendable {
  /// The sender's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// The message's number within the operation.
  public var number: UInt32
  /// The part begins after this key; nil for the beginning of the partition.
  public var after: ObjectKey?
  /// The part ends with this key; nil for the end of the partition.
  public var through: ObjectKey?
  /// What the sender has there.
  public var digest: PartitionDigest

  /// A comparison of one part of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, number: UInt32, after: ObjectKey?,
    through: ObjectKey?, digest: PartitionDigest
  ) {
    self.operation = operation
    self.partition = partition
    self.number = number
    self.after = after
    self.through = through
    self.digest = digest
  }
}

/// Names of objects with what the sender's copies have seen.
public struct HandoffOffer: Hashable, Sendable {
  /// One object on offer.
  public struct Item: Hashable, Sendable {
    /// The object's name.
    public var key: ObjectKey
    /// Its clock.
    public var clock: VersionVector

    /// The object `key` with its clock.
    public init(key: ObjectKey, clock: VersionVector) {
      self.key = key
      self.clock = clock
    }
  }

  /// The sender's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// The message's number within the operation.
  public var number: UInt32
  /// The objects.
  public var items: [Item]

  /// An offer to the vnode of `partition`.
  public init(operation: OperationID, partition: PartitionID, number: UInt32, items: [Item]) {
    self.operation = operation
    self.partition = partition
    self.number = number
    self.items = items
  }
}

/// The answer to a ``HandoffOffer``.
public struct HandoffWish: Hashable, Sendable {
  /// The sender's operation.
  public var operation: OperationID
  /// The offer.
  public var number: UInt32
  /// Positions in the offer of what the receiver lacks, ascending; nil when it cannot tell.
  public var wanted: [Int]?

  /// The receiver's wish.
  public init(operation: OperationID, number: UInt32, wanted: [Int]?) {
    self.operation = operation
    self.number = number
    self.wanted = wanted
  }
}
