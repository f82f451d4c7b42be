public import KVBase
public import KVModel

/// What a membership is told.
///
/// Everything it knows comes in by these.
public enum MembershipEvent: Hashable, Sendable {
  /// The first event.
  case start
  /// An encoded membership message arrived from another node.
  case message(Bytes, from: NodeID)
  /// The time of ``Membership/nextDeadline`` has come.
  case timer
  /// An operator asks; exactly one ``MembershipEffect/adminReply(id:_:)`` will follow.
  case admin(id: UInt64, AdminCommand)
  /// The connection to a node broke or could not be made: a hint for the failure detector.
  case peerDisconnected(NodeID)
  /// A connection to a node was made: both speak this version of the peer protocol.
  case peerSpeaks(UInt16, NodeID)
  /// This node, the sender, has seen every object of the partition acknowledged by the receiver.
  case transferCompleted(PendingTransfer)
  /// All transfers, ownership and hinted, that this node sends or has still to send, and whether all
  /// its shards have known, when they told, that it is closing. A leaving node departs only after such
  /// a report that is empty.
  case transferProgress([ClusterStatus.TransferRow], isClosing: Bool)
  /// A client changed a bucket's properties here; nil resets them to the defaults.
  case setProperties(BucketID, BucketProperties?)
}

/// What a membership wants done, in order.
public enum MembershipEffect: Hashable, Sendable {
  /// Send an encoded membership message to a member of the present view, or to the node that a
  /// message just came from; it may be dropped when that cannot be reached.
  case send(Bytes, to: NodeID)
  /// Send to a node known only by its endpoint: joining a cluster, or having left it.
  case sendToEndpoint(Bytes, Endpoint)
  /// ``Membership/view`` has a new value.
  case viewChanged
  /// Keep these bytes for the next start, in place of the earlier ones. Messages sent after this
  /// effect may be sent before the bytes are durable.
  case persist(Bytes)
  /// Answer an operator.
  case adminReply(id: UInt64, AdminReply)
  /// Something an operator may want to read.
  case log(LogLevel, String)
  /// This node is no member any more: it must serve no client and may stop.
  case departed
}

/// What a membership must know before its first event.
///
/// Time-outs and limits are the tested defaults.
public struct MembershipConfiguration: Hashable, Sendable {
  /// This node: name, endpoints, shard count.
  public var member: Member
  /// The partitions of a new ring; a restored or joined ring has its own.
  public var ringSize: Int
  /// The seed of all choices the membership makes.
  public var seed: UInt64
  /// How often the failure detector probes a member.
  public var probeInterval: Duration = .milliseconds(200)
  /// How long a probe may go unanswered, directly and then through others.
  public var probeTimeout: Duration = .milliseconds(300)
  /// How long a member stays suspect before it is held to be unreachable.
  public var suspicionTimeout: Duration = .milliseconds(800)
  /// How often ring and metadata are compared with a random member, and facts are sent again.
  public var gossipInterval: Duration = .seconds(1)
  /// How long an operator waits for another node, or for the ring to be agreed on.
  public var adminTimeout: Duration = .seconds(10)
  /// How long a node that owns nothing any more stays to give away what still arrives.
  public var exitDelay: Duration = .seconds(3)
  /// Consecutive partitions that should be on different nodes.
  public var targetNVal = 4

  /// A membership of `member` with default limits.
  public init(member: Member, ringSize: Int, seed: UInt64) {
    self.member = member
    self.ringSize = ringSize
    self.seed = seed
  }
}
