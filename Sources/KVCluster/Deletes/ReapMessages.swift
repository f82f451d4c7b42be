public import KVModel

/// What a round is about; the raw values are sent.
public enum ReapPurpose: UInt8, Hashable, Sendable {
  /// Replacing tombstones by graves.
  case reap = 0
  /// Taking actors that count no more out of clocks.
  case trim = 1
}

/// What shards say to each other about the removal of tombstones, and of entries of clocks.
///
/// **On the wire**: Docs/Protocols.md, "Reaping"; the tags 0x50 to 0x54 are fixed.
public enum ReapMessage: Hashable, Sendable {
  /// To every shard that may hold something of the keys: what do your vnodes hold?
  case ask(ReapOrder)
  /// The answer.
  case vote(ReapVote)
  /// To the primaries, once all agree: replace these tombstones by graves.
  case bury(ReapOrder)
  /// How many tombstones went.
  case buried(ReapReceipt)
  /// To a shard with a primary of the keys, the vnode of the partition: queue their tombstones.
  case queue(PartitionID, [ObjectKey])

  /// The most keys of one order.
  public static let itemLimit = 128
}

/// An object that a round is about, in the state that all primaries must have it in.
public struct ReapItem: Hashable, Sendable {
  /// The key.
  public var key: ObjectKey
  /// Everything that the object has seen.
  public var clock: VersionVector
  /// The dots of its contents; left out for a tombstone.
  public var siblings: [Dot]
  /// In an order to trim, the actors that leave the clock.
  public var retired: [VnodeID] = []

  /// The object of `key` with `clock`.
  public init(key: ObjectKey, clock: VersionVector, siblings: [Dot] = []) {
    self.key = key
    self.clock = clock
    self.siblings = siblings
  }
}

/// The primaries of some keys, as the shard that wants to reap sees the cluster.
///
/// A shard that sees it otherwise takes no part.
public struct ReapGroup: Hashable, Sendable {
  /// The version of the view.
  public var viewVersion: UInt64
  /// The first partition of the keys.
  public var first: PartitionID
  /// The owners of the N partitions from ``first`` on.
  public var owners: [NodeID]

  /// The group of the keys with `n` replicas that begin at `first`.
  public init(in view: ClusterView, first: PartitionID, n: Int) {
    viewVersion = view.version
    self.first = first
    owners = (0..<min(n, view.ring.size)).map {
      view.ring.owner(of: PartitionID((first.index + $0) % view.ring.size))
    }
  }

  /// The group that `key` belongs to.
  public init(of key: ObjectKey, in view: ClusterView) {
    self.init(
      in: view, first: view.ring.firstPartition(of: key),
      n: view.properties(of: key.bucket).nVal)
  }

  /// The partitions of a ring of the given size.
  public func partitions(ringSize: Int) -> [PartitionID] {
    owners.indices.map { PartitionID((first.index + $0) % ringSize) }
  }

  /// Whether `view` shows the same primaries and none of their partitions is on the move.
  public func isSettled(in view: ClusterView) -> Bool {
    first.index < view.ring.size && owners.count <= view.ring.size
      && self == ReapGroup(in: view, first: first, n: owners.count)
      && partitions(ringSize: view.ring.size).allSatisfy { view.transfer(of: $0) == nil }
      && view.members.allSatisfy { view.isAvailable($0.id) }
  }
}

/// Asks vnodes about tombstones, or tells them to bury these.
public struct ReapOrder: Hashable, Sendable {
  /// The asking shard's operation.
  public var operation: OperationID
  /// What is to be done in the end.
  public var purpose: ReapPurpose
  /// Who the primaries are.
  public var group: ReapGroup
  /// The vnodes of the receiver that are meant.
  public var partitions: [PartitionID]
  /// The objects, at most ``ReapMessage/itemLimit``.
  public var items: [ReapItem]

  /// An order about `items`.
  public init(
    operation: OperationID, purpose: ReapPurpose = .reap, group: ReapGroup,
    partitions: [PartitionID], items: [ReapItem]
  ) {
    self.operation = operation
    self.purpose = purpose
    self.group = group
    self.partitions = partitions
    self.items = items
  }
}

/// What a vnode has to say about one tombstone; the raw values are sent.
public enum ReapVerdict: UInt8, Hashable, Sendable {
  /// No primary, and nothing of the key is here.
  case clear = 0
  /// A primary with this very tombstone, durable.
  case same = 1
  /// A primary that has buried it already.
  case buried = 2
  /// A primary that holds nothing.
  case absent = 3
  /// A primary that holds something else.
  case differs = 4
  /// A fallback that still holds something for a primary.
  case held = 5
  /// A write of the key is under way here.
  case busy = 6

  /// True when the vnode does not stand in the way.
  public var isConsent: Bool {
    switch self {
    case .clear, .same, .buried: true
    case .absent, .differs, .held, .busy: false
    }
  }
}

/// The answer to ``ReapMessage/ask(_:)``.
public struct ReapVote: Hashable, Sendable {
  /// The asking shard's operation.
  public var operation: OperationID
  /// For each partition asked about each item's verdict; empty when the shard takes no part.
  public var verdicts: [ReapVerdict]
  /// The identities under which the vnodes asked count now; only in votes on trimming.
  public var actors: [VnodeID] = []

  /// A vote with the verdicts.
  public init(operation: OperationID, verdicts: [ReapVerdict]) {
    self.operation = operation
    self.verdicts = verdicts
  }
}

/// The answer to ``ReapMessage/bury(_:)``.
public struct ReapReceipt: Hashable, Sendable {
  /// The ordering shard's operation.
  public var operation: OperationID
  /// How many tombstones the receiver's vnodes have replaced by graves.
  public var count: Int

  /// A receipt for `count` tombstones.
  public init(operation: OperationID, count: Int) {
    self.operation = operation
    self.count = count
  }
}
