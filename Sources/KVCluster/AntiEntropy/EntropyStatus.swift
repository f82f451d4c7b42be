public import KVBase

/// What one shard's anti-entropy has done and is doing.
public struct EntropyStatus: Hashable, Sendable {
  /// The trees of one vnode.
  public struct TreeRow: Hashable, Sendable {
    /// The vnode.
    public var partition: PartitionID
    /// Objects that the last build counted.
    public var objects: Int
    /// Bytes of memory.
    public var byteCount: Int
    /// When the trees in use were built; nil while there are none.
    public var builtAt: WallClock?
    /// Objects counted by the build under way; nil when there is none.
    public var building: Int?

    /// The row of a vnode.
    public init(
      partition: PartitionID, objects: Int, byteCount: Int, builtAt: WallClock?, building: Int?
    ) {
      self.partition = partition
      self.objects = objects
      self.byteCount = byteCount
      self.builtAt = builtAt
      self.building = building
    }
  }

  /// A vnode and another primary of one of its groups.
  public struct PairRow: Hashable, Sendable {
    /// The vnodes and the group.
    public var pair: EntropyPair
    /// The node of the other primary.
    public var peerNode: NodeID
    /// What came of their exchanges.
    public var record: EntropySchedule.Record
    /// True while they are being compared.
    public var isActive: Bool

    /// The row of a pair.
    public init(
      pair: EntropyPair, peerNode: NodeID, record: EntropySchedule.Record, isActive: Bool
    ) {
      self.pair = pair
      self.peerNode = peerNode
      self.record = record
      self.isActive = isActive
    }
  }

  /// The trees, by partition.
  public var trees: [TreeRow]
  /// The pairs, in order.
  public var pairs: [PairRow]
  /// Damaged pieces that are being fetched from other replicas.
  public var damagedPieces: Int

  /// A status of the given parts.
  public init(trees: [TreeRow], pairs: [PairRow], damagedPieces: Int) {
    self.trees = trees
    self.pairs = pairs
    self.damagedPieces = damagedPieces
  }
}

extension TreeKeeper {
  /// The state of all trees, by partition.
  public var status: [EntropyStatus.TreeRow] {
    vnodes.sorted { $0.key < $1.key }.map { partition, vnode in
      EntropyStatus.TreeRow(
        partition: partition, objects: vnode.objects,
        byteCount: (vnode.trees ?? [:]).values.reduce(0) { $0 + $1.byteCount },
        builtAt: vnode.trees == nil ? nil : vnode.builtAt, building: vnode.build?.objects)
    }
  }
}

extension EntropyExchange.Outcome {
  /// The word operators read.
  public var text: String {
    switch self {
    case .agreed: "agreed"
    case .repaired: "repaired"
    case .unresolved: "unresolved"
    case .refused(.notPrimary): "not primary"
    case .refused(.notBuilt): "not built"
    case .refused(.otherPlacement): "other placement"
    case .refused(.busy): "busy"
    case .refused(.storage): "storage failure"
    case .timedOut: "timed out"
    }
  }
}
