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
