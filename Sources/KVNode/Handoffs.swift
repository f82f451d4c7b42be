import KVBase
import KVCluster
import KVModel

/// The handoffs that a shard sends, and what it remembers of finished ones.
struct Handoffs {
  /// One handoff under way.
  struct Active {
    var sender: HandoffSender
    /// What is streamed; nil once it has been.
    var snapshot: (any ReplicaSnapshot)?
    var startedAt: Instant
    /// About how many objects there were at the start.
    var totalObjects: Int
    /// True while the rate limit holds it back.
    var isPaused = false
  }

  /// The limits in force.
  var limits = HandoffLimits()
  /// What may be sent at present.
  var budget = HandoffBudget()
  /// By the partition that is sent.
  var active: [PartitionID: Active] = [:]
  /// The partitions that held objects at the last tick: to find them costs more where much has been
  /// removed, too much for each handoff that ends.
  var occupied: [PartitionID] = []
  /// True while a look for partitions to hand off is due before the next tick.
  var isHastened = false
  /// Partitions whose handoff was tried since the last tick.
  var tried: Set<PartitionID> = []
  /// Transfers whose every object is at the next owner; the ring does not show it yet.
  var completed: Set<PendingTransfer> = []
  /// Where transfers that were broken off may go on; kept in memory only, since a handoff that
  /// begins anew asks for what is missing.
  var resumeKeys: [PendingTransfer: ObjectKey] = [:]

  /// The sender of `partition` if its operation is this one.
  func sender(of partition: PartitionID, _ operation: OperationID) -> HandoffSender? {
    guard let sender = active[partition]?.sender, sender.operation == operation else { return nil }
    return sender
  }

  /// The partition of an operation.
  func partition(of operation: OperationID) -> PartitionID? {
    active.first { $0.value.sender.operation == operation }?.key
  }

  /// True when new writes of the partition must go to its next owner at once: what is behind the
  /// sender is not read again but for the comparison at the end.
  func mustForward(_ transfer: PendingTransfer) -> Bool {
    active[transfer.partition]?.sender.kind == .ownership || completed.contains(transfer)
  }

  /// Forgets transfers that are none any more.
  mutating func keepOnly(_ transfers: [PendingTransfer]) {
    completed = completed.filter { transfers.contains($0) }
    resumeKeys = resumeKeys.filter { transfers.contains($0.key) }
  }

  /// Ends a handoff; one of ownership that was broken off remembers how far it was.
  mutating func end(_ partition: PartitionID, transfer: PendingTransfer?, isComplete: Bool) {
    guard let ended = active.removeValue(forKey: partition), let transfer,
      ended.sender.kind == .ownership
    else { return }
    resumeKeys[transfer] = isComplete ? nil : ended.sender.resumeKey
    if isComplete { completed.insert(transfer) }
  }
}

extension Handoffs.Active {
  /// How far the handoff is.
  func row(_ item: HandoffPlan.Item, from: String, to: String, at now: Instant)
    -> ClusterStatus.TransferRow
  {
    var row = ClusterStatus.TransferRow(
      kind: item.kind == .hinted ? "hinted" : "ownership", partition: item.partition.index,
      from: from, to: to, objects: sender.objects, bytes: sender.bytes, isActive: true)
    row.totalObjects = max(totalObjects, sender.objects)
    let milliseconds = max(1, Int((now - startedAt).wholeNanoseconds / 1_000_000))
    row.bytesPerSecond = sender.bytes * 1000 / milliseconds
    if sender.objects > 0 {
      row.secondsLeft = (row.totalObjects - sender.objects) * milliseconds / sender.objects / 1000
    }
    return row
  }
}

extension HandoffMessage {
  /// The same answer, saying that nothing is certain.
  var refused: HandoffMessage {
    switch self {
    case .compared(var receipt):
      receipt.isAccepted = false
      return .compared(receipt)
    case .wanted(var wish):
      wish.wanted = nil
      return .wanted(wish)
    case .compare, .offer, .limits: return self
    }
  }
}
