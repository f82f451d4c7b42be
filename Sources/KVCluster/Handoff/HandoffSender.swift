import KVBase
public import KVModel

/// Sends the objects of one partition to the vnode that should hold them.
///
/// Hinted handoff and ownership handoff differ only in what follows an acknowledged batch: a hint is
/// removed, unless it has changed since it was sent, while an owner keeps its objects until the ring
/// says that the partition is another's.
///
/// **Invariants**: one batch is on its way at a time; nothing is removed before the receiver's
/// durable acknowledgement.
///
/// **Source**: reference section 4.6.
public struct HandoffSender: Sendable {
  /// Why objects are sent.
  public enum Kind: Hashable, Sendable {
    /// Another node owns the partition.
    case hinted
    /// Another node will own the partition.
    case ownership
  }

  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Read the partition's objects after the key and give them to ``HandoffSender/scanned(_:into:)``.
    case scan(after: ObjectKey?)
    /// Send the batch.
    case send(HandoffBatch)
    /// Remove those of the acknowledged objects that have not changed.
    case remove([ReplicaScan.Entry])
    /// Every object has been acknowledged.
    case completed
    /// The receiver refused or did not answer; a later handoff starts again.
    case failed
  }

  /// The most objects in a batch.
  public static let batchCount = 500
  /// About the most bytes in a batch; one object may be larger.
  public static let batchBytes = 1 << 20
  /// How long a receipt may take before the batch is sent again.
  public static let receiptTimeout = Duration.seconds(5)
  private static let attemptLimit = 3

  /// Why objects are sent.
  public let kind: Kind
  /// The partition.
  public let partition: PartitionID
  /// The shard that runs the receiving vnode.
  public let target: Address
  /// The sender's operation.
  public let operation: OperationID
  /// Objects acknowledged so far.
  public private(set) var objects = 0
  /// Bytes acknowledged so far.
  public private(set) var bytes = 0
  private var batch: HandoffBatch?
  private var attempts = 0
  private var nextNumber: UInt32 = 0
  private var cursor: ObjectKey?
  private var isLast = false

  /// A handoff of `partition` to the shard `target`.
  public init(kind: Kind, partition: PartitionID, target: Address, operation: OperationID) {
    self.kind = kind
    self.partition = partition
    self.target = target
    self.operation = operation
  }

  /// The number of the batch that waits for its receipt.
  public var pendingNumber: UInt32? { batch?.number }

  /// Begins with the first objects.
  public func start(into actions: inout [Action]) { actions.append(.scan(after: nil)) }

  /// Sends the objects read.
  public mutating func scanned(_ scan: ReplicaScan, into actions: inout [Action]) {
    precondition(batch == nil, "a scan while batch \(batch?.number ?? 0) is on its way")
    isLast = scan.isComplete
    cursor = scan.entries.last?.key ?? cursor
    guard !scan.entries.isEmpty else {
      actions.append(isLast ? .completed : .failed)
      return
    }
    let next = HandoffBatch(
      operation: operation, partition: partition, number: nextNumber, entries: scan.entries)
    nextNumber += 1
    attempts = 1
    batch = next
    actions.append(.send(next))
  }

  /// Takes in a receipt.
  ///
  /// One for another batch changes nothing.
  public mutating func receive(_ receipt: HandoffReceipt, into actions: inout [Action]) {
    guard let sent = batch, sent.number == receipt.number, receipt.operation == operation else {
      return
    }
    guard receipt.isAccepted else {
      actions.append(.failed)
      return
    }
    batch = nil
    objects += sent.entries.count
    bytes += sent.entries.reduce(0) { $0 + $1.encoded.count }
    if kind == .hinted { actions.append(.remove(sent.entries)) }
    actions.append(isLast ? .completed : .scan(after: cursor))
  }

  /// Sends batch `number` again if it still waits for its receipt; gives up after a few times.
  public mutating func receiptOverdue(number: UInt32, into actions: inout [Action]) {
    guard let sent = batch, sent.number == number else { return }
    guard attempts < Self.attemptLimit else {
      actions.append(.failed)
      return
    }
    attempts += 1
    actions.append(.send(sent))
  }
}
