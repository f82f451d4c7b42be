import KVBase
import KVCluster
import KVModel

/// Handoffs, as sender and as receiver.
extension Shard {
  private static let countLimit = 256

  /// Starts what there is to hand off, within the limit, and reports it to the membership.
  mutating func handOff() {
    handoffsTried = []
    guard let plan = startHandoffs() else { return }
    for transfer in plan.emptyTransfers + completedTransfers.sorted(by: <) {
      send(.transferCompleted(transfer), to: Address(node: address.node, shard: .membership))
    }
    completedTransfers.formUnion(plan.emptyTransfers)
    report(plan)
  }

  @discardableResult
  private mutating func startHandoffs() -> HandoffPlan? {
    let occupied: [PartitionID]
    do {
      occupied = try store.occupiedPartitions()
    } catch {
      log(.error, "the partitions to hand off cannot be read: \(error)")
      return nil
    }
    let plan = HandoffPlan(
      view: view, shard: configuration.shard, shardCount: configuration.member.shardCount,
      occupied: occupied)
    guard phase == .serving, storeFailure == nil else { return plan }
    for item in plan.items
    where senders.count < configuration.handoffLimit && senders[item.partition] == nil
      && !handoffsTried.contains(item.partition)
    {
      if let transfer = view.transfer(of: item.partition), item.kind == .ownership,
        completedTransfers.contains(transfer)
      {
        continue
      }
      begin(item)
    }
    return plan
  }

  private mutating func begin(_ item: HandoffPlan.Item) {
    guard let target = view.address(of: item.partition, on: item.node) else { return }
    handoffsTried.insert(item.partition)
    let sender = HandoffSender(
      kind: item.kind, partition: item.partition, target: target, operation: newOperation())
    var actions: [HandoffSender.Action] = []
    sender.start(into: &actions)
    log(.debug, "hands partition \(item.partition.index) off")
    perform(actions, sender)
  }

  private mutating func report(_ plan: HandoffPlan) {
    var rows: [ClusterStatus.TransferRow] = []
    for item in plan.items + plan.blocked {
      let sender = senders[item.partition]
      rows.append(
        ClusterStatus.TransferRow(
          kind: item.kind == .hinted ? "hinted" : "ownership", partition: item.partition.index,
          from: configuration.member.name, to: view.member(item.node)?.name ?? "unknown",
          objects: sender?.objects ?? 0, bytes: sender?.bytes ?? 0, isActive: sender != nil))
    }
    send(.transferProgress(rows), to: Address(node: address.node, shard: .membership))
  }

  /// Shard 0: passes the transfers of all shards on, once each has told its own.
  mutating func takeTransferProgress(_ rows: [ClusterStatus.TransferRow], from: Address) {
    transferRows[from.shard] = rows
    guard transferRows.count == configuration.member.shardCount else { return }
    let all = transferRows.keys.sorted().flatMap { transferRows[$0] ?? [] }
    stepMembership(.transferProgress(all))
  }

  // MARK: Sender

  mutating func takeHandoffReceipt(_ receipt: HandoffReceipt, from: Address) {
    guard
      var sender = senders.values.first(where: { $0.operation == receipt.operation }),
      sender.target == from
    else { return }
    let before = sender.objects
    var actions: [HandoffSender.Action] = []
    sender.receive(receipt, into: &actions)
    counters.handoffObjects += sender.objects - before
    perform(actions, sender)
  }

  mutating func receiptDue(
    _ partition: PartitionID, _ operation: OperationID, number: UInt32
  ) {
    guard var sender = senders[partition], sender.operation == operation else { return }
    var actions: [HandoffSender.Action] = []
    sender.receiptOverdue(number: number, into: &actions)
    perform(actions, sender)
  }

  /// Gives up senders whose receiver is unavailable or no longer the right one.
  mutating func viewChangedForHandoffs() {
    for partition in senders.keys.sorted() {
      guard let sender = senders[partition] else { continue }
      let owner = view.ring.owner(of: partition)
      let next = view.transfer(of: partition).flatMap { $0.from == address.node ? $0.to : nil }
      let wanted = owner == address.node ? next : owner
      let kind: HandoffSender.Kind = owner == address.node ? .ownership : .hinted
      if sender.kind != kind || sender.target.node != wanted
        || !view.isAvailable(sender.target.node)
      {
        senders[partition] = nil
        probe("handoff given up")
      }
    }
  }

  private mutating func perform(_ actions: [HandoffSender.Action], _ state: HandoffSender) {
    var sender = state
    var pending = actions[...]
    senders[sender.partition] = sender
    while let action = pending.popFirst() {
      switch action {
      case .scan(let cursor):
        var next: [HandoffSender.Action] = []
        guard let scan = scan(sender.partition, after: cursor) else {
          return end(sender, isComplete: false)
        }
        sender.scanned(scan, into: &next)
        senders[sender.partition] = sender
        pending += next
      case .send(let batch):
        send(.handoff(batch), to: sender.target)
        deadlines.add(
          .handoff(sender.partition, sender.operation, number: batch.number),
          at: now.instant + HandoffSender.receiptTimeout)
      case .remove(let entries): remove(entries, from: sender.partition)
      case .completed: return end(sender, isComplete: true)
      case .failed: return end(sender, isComplete: false)
      }
    }
  }

  private mutating func scan(_ partition: PartitionID, after cursor: ObjectKey?) -> ReplicaScan? {
    do {
      return try store.scan(
        partition, bucket: nil, after: cursor, limit: HandoffSender.batchCount,
        byteLimit: HandoffSender.batchBytes, headsOnly: false)
    } catch {
      log(.error, "partition \(partition.index) cannot be handed off: \(error)")
      return nil
    }
  }

  private mutating func remove(_ entries: [ReplicaScan.Entry], from partition: PartitionID) {
    guard storeFailure == nil else { return }
    do {
      guard let outcome = try vnodes?.remove(unchanged: entries, from: partition) else { return }
      if outcome.removed > 0 { probe("handed off objects removed") }
      if outcome.kept > 0 { probe("handoff removal skipped") }
    } catch {
      log(.error, "handed off objects of partition \(partition.index) stay: \(error)")
    }
  }

  private mutating func end(_ sender: HandoffSender, isComplete: Bool) {
    senders[sender.partition] = nil
    if !isComplete { probe("handoff failed") }
    if isComplete, sender.kind == .ownership, let transfer = view.transfer(of: sender.partition) {
      completedTransfers.insert(transfer)
      send(.transferCompleted(transfer), to: Address(node: address.node, shard: .membership))
    }
    startHandoffs()
  }

  // MARK: Receiver

  /// Merges a batch and acknowledges it once it is durable.
  mutating func serveHandoff(_ batch: HandoffBatch, from: Address) {
    var receipt = HandoffReceipt(
      operation: batch.operation, number: batch.number, isAccepted: false)
    guard runs(batch.partition), phase == .serving, writeRefusal() == nil else {
      return send(.handoffReceipt(receipt), to: from)
    }
    do {
      guard let merged = try vnodes?.merge(batch.entries, in: batch.partition) else { return }
      counters.handoffObjectsReceived += batch.entries.count
      receipt.isAccepted = true
      send(.handoffReceipt(receipt), to: from, whenSynced: merged.sequence)
    } catch {
      log(.error, "a handoff of partition \(batch.partition.index) failed: \(error)")
      send(.handoffReceipt(receipt), to: from)
    }
  }

  /// Objects in partitions of other nodes, counting at most a few hundred of each.
  func pendingHints() -> Int {
    guard phase != .created, let occupied = try? store.occupiedPartitions() else { return 0 }
    var count = 0
    for partition in occupied
    where partition.index >= view.ring.size || view.ring.owner(of: partition) != address.node {
      let scan = try? store.scan(
        partition, bucket: nil, after: nil, limit: Self.countLimit, byteLimit: 1 << 20,
        headsOnly: true)
      count += max(1, scan?.entries.count ?? 1)
    }
    return count
  }
}

extension PendingTransfer {
  fileprivate static func < (a: PendingTransfer, b: PendingTransfer) -> Bool {
    (a.partition, a.from, a.to) < (b.partition, b.from, b.to)
  }
}
