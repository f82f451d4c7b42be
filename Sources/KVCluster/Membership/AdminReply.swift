/// The answer to an ``AdminCommand``.
public enum AdminReply: Hashable, Sendable {
  /// Done; the text says what.
  case done(String)
  /// Refused; the text says why, in the reference's words where it has them.
  case refused(String)
  /// The plan of the staged changes.
  case plan(ClusterPlan)
  /// The cluster as this node sees it.
  case status(ClusterStatus)
}

/// What committing the staged changes would do.
public struct ClusterPlan: Hashable, Sendable {
  /// One staged change, such as `join 'a'`.
  public struct Change: Hashable, Sendable {
    /// `join`, `leave`, `force-remove`, `replace`.
    public var action: String
    /// The member or members concerned.
    public var details: String

    /// The change `action` of `details`.
    public init(action: String, details: String) {
      self.action = action
      self.details = details
    }
  }

  /// A number of partitions that move between two nodes.
  public struct Move: Hashable, Sendable {
    /// The present owner's name.
    public var from: String
    /// The next owner's name.
    public var to: String
    /// How many partitions.
    public var count: Int
    /// False when the data is not transferred (force-remove).
    public var transfersData: Bool

    /// `count` partitions from one node to another.
    public init(from: String, to: String, count: Int, transfersData: Bool) {
      self.from = from
      self.to = to
      self.count = count
      self.transfersData = transfersData
    }
  }

  /// The staged changes, in order.
  public var changes: [Change]
  /// The members after the transition.
  public var membersAfter: [ClusterStatus.MemberRow]
  /// The moves, sorted.
  public var moves: [Move]
  /// Warnings, such as replicas that would share a node.
  public var warnings: [String]
  /// Balance, spacing and cost of the plan, in words.
  public var notes: [String] = []

  /// A plan of the given parts.
  public init(
    changes: [Change], membersAfter: [ClusterStatus.MemberRow], moves: [Move], warnings: [String]
  ) {
    self.changes = changes
    self.membersAfter = membersAfter
    self.moves = moves
    self.warnings = warnings
  }
}

/// The cluster as one node sees it.
public struct ClusterStatus: Hashable, Sendable {
  /// One member.
  public struct MemberRow: Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Its status, such as `valid`.
    public var status: MemberStatus
    /// Whether the failure detector can reach it.
    public var isReachable: Bool
    /// Partitions it owns.
    public var partitions: Int
    /// Partitions it will own when all transfers are done.
    public var pendingPartitions: Int
    /// Where it serves clients.
    public var clientEndpoint: Endpoint
    /// Where peers reach it.
    public var endpoint: Endpoint
    /// Its rack or site; empty when it has none.
    public var location = ""

    /// A row of the given facts.
    public init(
      name: String, status: MemberStatus, isReachable: Bool, partitions: Int,
      pendingPartitions: Int, clientEndpoint: Endpoint, endpoint: Endpoint
    ) {
      self.name = name
      self.status = status
      self.isReachable = isReachable
      self.partitions = partitions
      self.pendingPartitions = pendingPartitions
      self.clientEndpoint = clientEndpoint
      self.endpoint = endpoint
    }
  }

  /// A partition on the move.
  public struct TransferRow: Hashable, Sendable {
    /// `ownership` or `hinted`.
    public var kind: String
    /// The partition's index.
    public var partition: Int
    /// The sender's name.
    public var from: String
    /// The receiver's name.
    public var to: String
    /// Objects sent and acknowledged so far, when known here.
    public var objects: Int
    /// Bytes sent and acknowledged so far, when known here.
    public var bytes: Int
    /// True when the sender is at work now.
    public var isActive: Bool
    /// About how many objects there are to send, when known here.
    public var totalObjects = 0
    /// Bytes sent and acknowledged in a second, on average since this handoff began.
    public var bytesPerSecond = 0
    /// About how long it will take at this pace; nil when that cannot be told.
    public var secondsLeft: Int?

    /// A row of the given facts.
    public init(
      kind: String, partition: Int, from: String, to: String, objects: Int, bytes: Int,
      isActive: Bool
    ) {
      self.kind = kind
      self.partition = partition
      self.from = from
      self.to = to
      self.objects = objects
      self.bytes = bytes
      self.isActive = isActive
    }
  }

  /// This node's name.
  public var local: String
  /// The claimant's name.
  public var claimant: String
  /// True when every reachable member has the same ring.
  public var isRingReady: Bool
  /// The ring's version here.
  public var version: UInt64
  /// All members, sorted by name.
  public var members: [MemberRow]
  /// Owner names by partition.
  public var owners: [String]
  /// Transfers, pending and active.
  public var transfers: [TransferRow]
  /// Staged changes, in order.
  public var staged: [ClusterPlan.Change]

  /// A status of the given parts.
  public init(
    local: String, claimant: String, isRingReady: Bool, version: UInt64, members: [MemberRow],
    owners: [String], transfers: [TransferRow], staged: [ClusterPlan.Change]
  ) {
    self.local = local
    self.claimant = claimant
    self.isRingReady = isRingReady
    self.version = version
    self.members = members
    self.owners = owners
    self.transfers = transfers
    self.staged = staged
  }
}
