public import KVBase
public import KVModel

/// Names an operation at the shard that started it; replies carry it back.
///
/// 0 wants no reply. A shard's numbers start at random, so a reply meant for an earlier life names
/// nothing.
public struct OperationID: Hashable, Comparable, Sendable {
  /// The operation of messages that want no reply.
  public static let none = OperationID(rawValue: 0)

  /// The number.
  public var rawValue: UInt64

  /// The operation with this number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The order of the numbers.
  public static func < (a: OperationID, b: OperationID) -> Bool { a.rawValue < b.rawValue }
}

/// Everything that shards say to each other, within a node and between nodes.
///
/// **On the wire**: Docs/Protocols.md, "Peer data messages". The tags are fixed.
public enum PeerMessage: Hashable, Sendable {
  /// Between the shards 0 of two nodes; the content is membership's.
  case membership(Bytes)
  /// From shard 0 to the other shards of its node: a new view, numbered by shard 0.
  case view(ClusterView, number: UInt64)
  /// To shard 0 of the own node: send the view if its number is above this.
  case viewRequest(after: UInt64)
  /// To a vnode: read.
  case read(ReadRequest)
  /// From a vnode: what it holds.
  case readReply(ReadReply)
  /// To a vnode: merge and store.
  case write(WriteRequest)
  /// From a vnode: how far a write got.
  case writeReply(WriteReply)
  /// To a shard that owns a primary: coordinate this PUT.
  case forward(ForwardedPut)
  /// From the coordinator of a forwarded PUT: its outcome.
  case forwardReply(ForwardReply)
  /// To a vnode: list a page.
  case list(ListRequest)
  /// From a vnode: a page.
  case listReply(ListReply)
  /// To a vnode: a page of an index query.
  case index(IndexRequest)
  /// From a vnode: hits.
  case indexReply(IndexReply)
  /// About a query of several indexes, or one that counts.
  case keyQuery(KeyQueryMessage)
  /// To the vnode that should hold these objects.
  case handoff(HandoffBatch)
  /// From the receiver of a batch: durable, or refused.
  case handoffReceipt(HandoffReceipt)
  /// Between the two sides of a handoff: what each holds.
  case handoffMessage(HandoffMessage)
  /// About the removal of tombstones.
  case reap(ReapMessage)
  /// To shard 0 of the own node: change a bucket's properties.
  case setProperties(PropertiesChange)
  /// From shard 0: the change shows in its view.
  case propertiesStored(OperationID)
  /// To shard 0 of the own node: a whole partition has reached its next owner.
  case transferCompleted(PendingTransfer)
  /// To shard 0 of the own node: the handoffs under way in the sender, and whether it takes nothing
  /// more.
  case transferProgress([ClusterStatus.TransferRow], isClosing: Bool)
  /// To shard 0 of the own node, which is stopping: nothing of the sender's own is under way.
  case drained
  /// From shard 0 of the own node: every shard has drained, stop now.
  case stopNow
  /// Between the vnodes of one group: anti-entropy.
  case entropy(EntropyMessage)
  /// About registers, whose writes are decided by consensus in the given cluster.
  case consensus(ConsensusMessage, cluster: UInt64)
}

/// Asks a vnode what it holds.
public struct ReadRequest: Hashable, Sendable {
  /// The reader's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// What to read.
  public var key: ObjectKey
  /// Objects of up to this many bytes come whole, larger ones as heads.
  public var byteLimit: Int

  /// A read of `key` at the vnode of `partition`.
  public init(operation: OperationID, partition: PartitionID, key: ObjectKey, byteLimit: Int) {
    self.operation = operation
    self.partition = partition
    self.key = key
    self.byteLimit = byteLimit
  }
}

/// What a vnode holds of a key.
public enum ReplicaReading: Hashable, Sendable {
  /// Nothing.
  case notFound
  /// The encoded object.
  case whole(Bytes)
  /// The encoded object's head.
  case head(Bytes)
  /// The vnode could not read it.
  case failure(RequestFailure)
}

/// Answers a ``ReadRequest``.
public struct ReadReply: Hashable, Sendable {
  /// The reader's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// What it holds.
  public var reading: ReplicaReading

  /// What the vnode of `partition` holds.
  public init(operation: OperationID, partition: PartitionID, reading: ReplicaReading) {
    self.operation = operation
    self.partition = partition
    self.reading = reading
  }
}

/// Asks a vnode to merge an object into what it holds.
public struct WriteRequest: Hashable, Sendable {
  /// The writer's operation; ``OperationID/none`` for repairs.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// The object's name.
  public var key: ObjectKey
  /// The encoded object.
  public var encoded: Bytes
  /// False when only the newest content may stay.
  public var keepsSiblings: Bool
  /// Whether the reply must wait until the write is durable.
  public var waitsForSync: Bool
  /// Whether the receipt of the message is to be told before the write is durable.
  public var wantsReceipt: Bool

  /// A write of `encoded` to the vnode of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, key: ObjectKey, encoded: Bytes,
    keepsSiblings: Bool, waitsForSync: Bool, wantsReceipt: Bool
  ) {
    self.operation = operation
    self.partition = partition
    self.key = key
    self.encoded = encoded
    self.keepsSiblings = keepsSiblings
    self.waitsForSync = waitsForSync
    self.wantsReceipt = wantsReceipt
  }
}

/// Tells how far a write got at a vnode.
public struct WriteReply: Hashable, Sendable {
  /// How far.
  public enum Outcome: Hashable, Sendable {
    /// The message arrived and was accepted.
    case received
    /// Stored, and durable if that was asked for.
    case stored
    /// Not stored, and why.
    case refused(RequestFailure)
  }

  /// The writer's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// How far the write got.
  public var outcome: Outcome

  /// The outcome of a write at the vnode of `partition`.
  public init(operation: OperationID, partition: PartitionID, outcome: Outcome) {
    self.operation = operation
    self.partition = partition
    self.outcome = outcome
  }
}

/// A PUT on its way from the shard that the client asked to the shard that coordinates it.
public struct ForwardedPut: Hashable, Sendable {
  /// The forwarding shard's operation.
  public var operation: OperationID
  /// The vnode of the receiver that coordinates.
  public var partition: PartitionID
  /// The object's name.
  public var key: ObjectKey
  /// What the writer has seen.
  public var context: VersionVector
  /// What is written.
  public var content: Content
  /// The client's options; `timeout` is what is left of it.
  public var options: PutOptions

  /// A PUT to be coordinated by the vnode of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, key: ObjectKey, context: VersionVector,
    content: Content, options: PutOptions
  ) {
    self.operation = operation
    self.partition = partition
    self.key = key
    self.context = context
    self.content = content
    self.options = options
  }
}

/// The outcome of a ``ForwardedPut``.
public struct ForwardReply: Hashable, Sendable {
  /// The forwarding shard's operation.
  public var operation: OperationID
  /// The encoded merged object when the body was asked for, else empty; or why it failed.
  public var result: Result<Bytes, RequestFailure>

  /// The outcome of the forwarded `operation`.
  public init(operation: OperationID, result: Result<Bytes, RequestFailure>) {
    self.operation = operation
    self.result = result
  }
}
