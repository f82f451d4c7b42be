public import KVCluster

/// What a shard must know before its first event.
///
/// Time-outs and limits are the tested defaults; the
/// simulator varies them by seed.
public struct ShardConfiguration: Sendable {
  /// This node as a member: name, endpoints, shard count.
  public var member: Member
  /// This shard.
  public var shard: ShardIndex
  /// The partitions of a new ring; a restored or joined ring has its own.
  public var ringSize: Int
  /// The seed of all choices the shard makes; from the operating system in production.
  public var seed: UInt64
  /// True when the store was closed in order: only then may vnodes keep their identities.
  public var startedCleanly: Bool
  /// Whether `sync_on_write = backend` flushes before acknowledging.
  public var syncByDefault = true
  /// How long a request may take when it does not say.
  public var requestTimeout: Duration = .seconds(60)
  /// The most requests under way in this shard; more are answered with `overload`.
  public var requestLimit = 10_000
  /// The largest object accepted, in bytes.
  public var objectByteLimit = 50 << 20
  /// The most siblings an object may have.
  public var siblingLimit = 100
  /// An object above this many bytes is logged.
  public var objectByteWarning = 5 << 20
  /// An object of more siblings than this is logged.
  public var siblingWarning = 25
  /// The most names on one page of a listing, or hits on one of an index query.
  public var listPageLimit = 1000
  /// How long a vnode may take for a page before another replica is asked.
  public var listPageTimeout: Duration = .seconds(10)
  /// When tombstones are removed.
  public var deleteMode = DeleteMode.delayed(.seconds(3))
  /// How long vnodes remember what was deleted and reaped.
  public var deleteMemory: Duration = .seconds(86_400)
  /// The most objects looked at in each ``handoffInterval`` for tombstones that were left.
  public var tombstoneScanCount = 256
  /// Objects up to this many encoded bytes are returned whole by replicas at once; of larger ones
  /// the coordinator asks for heads and fetches one body.
  public var inlineByteLimit = 16 << 10
  /// How long a GET waits for a body from one replica before it asks another for it too.
  public var hedgeDelay: Duration = .milliseconds(50)
  /// How often the failure detector probes a member.
  public var probeInterval: Duration = .milliseconds(200)
  /// How long a probe may go unanswered, directly and through others.
  public var probeTimeout: Duration = .milliseconds(300)
  /// How long a member stays suspect before it is held to be unreachable.
  public var suspicionTimeout: Duration = .milliseconds(800)
  /// How often ring and metadata are compared with a random member.
  public var gossipInterval: Duration = .seconds(1)
  /// How often a shard looks for partitions that must be handed off.
  public var handoffInterval: Duration = .seconds(1)
  /// How long a round on a register waits for votes; each lost one doubles it, up to 4 s.
  public var roundTimeout: Duration = .milliseconds(500)
  /// How long an owner waits for the seat of its partition before it makes the seat anew.
  public var seatRecoveryDelay: Duration = .seconds(30)
  /// How much may be under way in handoffs, and how fast.
  public var handoff = HandoffLimits()
  /// How often a shard compares one of its vnodes with another replica.
  public var entropyInterval: Duration = .milliseconds(500)
  /// The most comparisons a shard runs at once; 0 for no anti-entropy.
  public var entropyLimit = 2
  /// The time and rate that a comparison and its repairs may take.
  public var entropyPace = EntropyExchange.Pace()
  /// The most objects a second that a shard goes through for the comparisons of others.
  public var entropyScansPerSecond = 100_000
  /// The time between two steps, of a few hundred objects each, of a build of hash trees.
  public var treeBuildInterval: Duration = .milliseconds(5)
  /// How long hash trees are used before they are built again.
  public var treeLifetime: Duration = .seconds(7 * 24 * 3600)
  /// The latest peer protocol that this shard speaks; an older one only in tests and the simulator.
  public var protocolVersion = PeerProtocol.latest

  /// A shard of `member` with default limits.
  public init(
    member: Member, shard: ShardIndex, ringSize: Int, seed: UInt64, startedCleanly: Bool
  ) {
    self.member = member
    self.shard = shard
    self.ringSize = ringSize
    self.seed = seed
    self.startedCleanly = startedCleanly
  }
}

extension ShardConfiguration {
  /// The limits of the shard's vnodes.
  var vnodeLimits: Vnodes.Limits {
    var limits = Vnodes.Limits(objectBytes: objectByteLimit, siblings: siblingLimit)
    limits.warnObjectBytes = objectByteWarning
    limits.warnSiblings = siblingWarning
    limits.graveMemory = deleteMemory
    return limits
  }
}
