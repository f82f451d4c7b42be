/// What one shard has to hand off: pure choice from the view and the partitions that hold objects.
public struct HandoffPlan: Hashable, Sendable {
  /// One partition to send.
  public struct Item: Hashable, Sendable {
    /// Hint or ownership.
    public var kind: HandoffSender.Kind
    /// The partition.
    public var partition: PartitionID
    /// The node that should hold it.
    public var node: NodeID

    /// The handoff of `partition` to `node`.
    public init(kind: HandoffSender.Kind, partition: PartitionID, node: NodeID) {
      self.kind = kind
      self.partition = partition
      self.node = node
    }
  }

  /// What could be sent now, by partition.
  public private(set) var items: [Item] = []
  /// Transfers of partitions that hold nothing: complete without a message.
  public private(set) var emptyTransfers: [PendingTransfer] = []
  /// What must be sent but cannot be now, because the receiver is unavailable.
  public private(set) var blocked: [Item] = []

  /// The handoffs of a shard of this node, as `member` describes it, whose store holds objects of the
  /// partitions `occupied`.
  public init(
    view: ClusterView, member: Member, shard: ShardIndex, occupied: [PartitionID]
  ) {
    for partition in occupied where partition.index < view.ring.size {
      let owner = view.ring.owner(of: partition)
      // What the next owner holds is on its way to where it belongs: it must not go back.
      if view.isNextOwner(of: partition) { continue }
      if owner != view.local {
        add(Item(kind: .hinted, partition: partition, node: owner), view)
      } else if let transfer = view.transfers.first(where: { $0.partition == partition }),
        transfer.from == view.local
      {
        add(Item(kind: .ownership, partition: partition, node: transfer.to), view)
      }
    }
    emptyTransfers = view.transfers.filter { transfer in
      transfer.from == view.local
        && member.shard(of: transfer.partition) == shard
        && view.ring.owner(of: transfer.partition) == view.local
        && !occupied.contains(transfer.partition)
    }
  }

  private mutating func add(_ item: Item, _ view: ClusterView) {
    if view.isAvailable(item.node), view.member(item.node) != nil {
      items.append(item)
    } else {
      blocked.append(item)
    }
  }
}
