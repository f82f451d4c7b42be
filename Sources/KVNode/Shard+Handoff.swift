import KVBase
import KVCluster
import KVModel

/// Handoffs: what is sent, and how the sender's wishes are carried out.
extension Shard {
  /// Starts what there is to hand off, within the limit, and reports it to the membership.
  mutating func handOff() {
    handoffs.tried = []
    do {
      handoffs.occupied = try store.occupiedPartitions()
    } catch {
      return log(.error, "the partitions to hand off cannot be read: \(error)")
    }
    let plan = startHandoffs()
    for transfer in plan.emptyTransfers + handoffs.completed.sorted(by: <) {
      send(.transferCompleted(transfer), to: Address(node: address.node, shard: .membership))
    }
    handoffs.completed.formUnion(plan.emptyTransfers)
    report(plan)
  }

  /// Starts what the limit allows of what there was to hand off at the last tick.
  @discardableResult
  mutating func startHandoffs() -> HandoffPlan {
    let plan = HandoffPlan(
      view: view, member: configuration.member, shard: configuration.shard,
      occupied: handoffs.occupied)
    guard phase == .serving, storeFailure == nil else { return plan }
    for item in plan.items
    where handoffs.active.count < handoffs.limits.concurrency
      && handoffs.active[item.partition] == nil && !handoffs.tried.contains(item.partition)
    {
      if let transfer = view.transfer(of: item.partition), item.kind == .ownership,
        handoffs.completed.contains(transfer)
      {
        continue
      }
      begin(item)
    }
    return plan
  }

  private mutating func begin(_ item: HandoffPlan.Item) {
    guard let target = view.address(of: item.partition, on: item.node) else { return }
    handoffs.tried.insert(item.partition)
    let canCompare = version(of: item.node) >= 2
    let resumeKey = view.transfer(of: item.partition).flatMap { handoffs.resumeKeys[$0] }
    if canCompare, resumeKey != nil { probe("handoff resumed") }
    var sender = HandoffSender(
      kind: item.kind, partition: item.partition, target: target, operation: newOperation(),
      limits: handoffs.limits, canCompare: canCompare,
      resumeKey: canCompare && item.kind == .ownership ? resumeKey : nil)
    do {
      // Before anything is read, so that every later write is either read or forwarded.
      let snapshot = try store.snapshot()
      let total = try store.approximateCount(of: item.partition)
      handoffs.active[item.partition] = Handoffs.Active(
        sender: sender, snapshot: snapshot, startedAt: now.instant, totalObjects: total)
    } catch {
      return log(.error, "partition \(item.partition.index) cannot be handed off: \(error)")
    }
    var actions: [HandoffSender.Action] = []
    sender.start(into: &actions)
    log(.debug, "hands partition \(item.partition.index) off")
    perform(actions, sender)
  }

  private mutating func report(_ plan: HandoffPlan) {
    let local = configuration.member.name
    var rows: [ClusterStatus.TransferRow] = []
    for item in plan.items + plan.blocked {
      let receiver = view.member(item.node)?.name ?? "unknown"
      if let active = handoffs.active[item.partition] {
        rows.append(active.row(item, from: local, to: receiver, at: now.instant))
      } else {
        rows.append(
          ClusterStatus.TransferRow(
            kind: item.kind == .hinted ? "hinted" : "ownership", partition: item.partition.index,
            from: local, to: receiver, objects: 0, bytes: 0, isActive: false))
      }
    }
    rows += seatRows()
    send(
      .transferProgress(rows, isClosing: view.isClosing),
      to: Address(node: address.node, shard: .membership))
  }

  /// Shard 0: passes the transfers of all shards on, once each has told its own.
  mutating func takeTransferProgress(
    _ rows: [ClusterStatus.TransferRow], isClosing: Bool, from: Address
  ) {
    transferRows[from.shard] = (rows, isClosing)
    guard transferRows.count == configuration.member.shardCount else { return }
    let all = transferRows.keys.sorted().flatMap { transferRows[$0]?.rows ?? [] }
    stepMembership(
      .transferProgress(all, isClosing: transferRows.values.allSatisfy(\.isClosing)))
  }

  /// Shard 0: an operator changes or asks for the limits of this node.
  mutating func setTransferLimit(concurrency: Int?, bytesPerSecond: Int?, _ id: RequestID) {
    let limits = handoffs.limits.adopting(
      concurrency: concurrency, bytesPerSecond: bytesPerSecond)
    handoffs.limits = limits
    for index in 0..<configuration.member.shardCount where index != configuration.shard.index {
      let change = HandoffMessage.limits(
        concurrency: limits.concurrency, bytesPerSecond: limits.bytesPerSecond)
      send(.handoffMessage(change), to: Address(node: address.node, shard: ShardIndex(index)))
    }
    let rate = limits.bytesPerSecond == 0 ? "no limit" : "\(limits.bytesPerSecond)"
    outbox.append(
      .adminReply(
        id,
        .done(
          "Each shard of '\(configuration.member.name)' sends at most \(limits.concurrency) "
            + "partitions at once; bytes a second: \(rate)")))
  }

  // MARK: Sender

  mutating func takeHandoffReceipt(_ receipt: HandoffReceipt, from: Address) {
    handOn(receipt.operation, from: from) { $0.receive(receipt, into: &$1) }
  }

  mutating func takeHandoffMessage(_ message: HandoffMessage, from: Address) {
    switch message {
    case .compare(let comparison): serve(comparison, from: from)
    case .compared(let receipt):
      handOn(receipt.operation, from: from) { $0.receive(compared: receipt, into: &$1) }
    case .offer(let offer): serve(offer, from: from)
    case .wanted(let wish): handOn(wish.operation, from: from) { $0.receive(wish, into: &$1) }
    case .limits(let concurrency, let bytesPerSecond):
      handoffs.limits = handoffs.limits.adopting(
        concurrency: concurrency, bytesPerSecond: bytesPerSecond)
    }
  }

  /// Gives an answer to the sender it is for.
  private mutating func handOn(
    _ operation: OperationID, from: Address,
    _ body: (inout HandoffSender, inout [HandoffSender.Action]) -> Void
  ) {
    guard let partition = handoffs.partition(of: operation),
      var sender = handoffs.active[partition]?.sender, sender.target == from
    else { return }
    let (objects, differences) = (sender.objects, sender.differences)
    var actions: [HandoffSender.Action] = []
    body(&sender, &actions)
    counters.handoffObjects += sender.objects - objects
    counters.handoffDifferences += sender.differences - differences
    if sender.differences > differences { probe("handoff comparison found differences") }
    perform(actions, sender)
  }

  mutating func answerDue(
    _ partition: PartitionID, _ operation: OperationID, number: UInt32
  ) {
    guard var sender = handoffs.sender(of: partition, operation) else { return }
    var actions: [HandoffSender.Action] = []
    sender.answerOverdue(number: number, into: &actions)
    perform(actions, sender)
  }

  /// Gives up senders whose receiver is unavailable or no longer the right one.
  mutating func viewChangedForHandoffs() {
    handoffs.keepOnly(view.transfers)
    for partition in handoffs.active.keys.sorted() {
      guard let sender = handoffs.active[partition]?.sender else { continue }
      let owner = view.ring.owner(of: partition)
      let transfer = view.transfer(of: partition)
      let next = transfer.flatMap { $0.from == address.node ? $0.to : nil }
      let wanted = owner == address.node ? next : owner
      let kind: HandoffSender.Kind = owner == address.node ? .ownership : .hinted
      if sender.kind != kind || sender.target.node != wanted || view.isNextOwner(of: partition)
        || !view.isAvailable(sender.target.node)
      {
        let isSame = sender.kind == kind && sender.target.node == wanted
        handoffs.end(partition, transfer: isSame ? transfer : nil, isComplete: false)
        probe("handoff given up")
      }
    }
  }

  private mutating func perform(_ actions: [HandoffSender.Action], _ state: HandoffSender) {
    var sender = state
    let partition = sender.partition
    var pending = actions[...]
    handoffs.active[partition]?.sender = sender
    while let action = pending.popFirst() {
      switch action {
      case .scan(let cursor, let headsOnly):
        guard !mustPause(sender) else { continue }
        var next: [HandoffSender.Action] = []
        if sender.isFinal { handoffs.active[partition]?.snapshot = nil }
        guard let scan = scan(partition, after: cursor, headsOnly: headsOnly) else {
          return end(sender, failure: "the store cannot be read")
        }
        sender.scanned(scan, into: &next)
        pending += next
      case .fetch(let keys):
        guard !mustPause(sender) else { continue }
        var next: [HandoffSender.Action] = []
        guard let (entries, keyCount) = fetch(keys, in: partition) else {
          return end(sender, failure: "the store cannot be read")
        }
        sender.fetched(entries, keyCount: keyCount, into: &next)
        pending += next
      case .send(let message, let number):
        if case .handoff(let batch) = message {
          handoffs.budget.spend(batch.entries.reduce(0) { $0 + $1.encoded.count })
        }
        send(message, to: sender.target)
        deadlines.add(
          .handoff(partition, sender.operation, number: number),
          at: now.instant + HandoffSender.answerTimeout)
      case .remove(let entries, let areHeads): remove(entries, areHeads, from: partition)
      case .completed: return end(sender, failure: nil)
      case .failed(let reason): return end(sender, failure: reason)
      }
      handoffs.active[partition]?.sender = sender
    }
  }

  /// True when whole objects may not be read yet, for what has been sent lately.
  private mutating func mustPause(_ sender: HandoffSender) -> Bool {
    guard sender.readsWholeObjects else { return false }
    let readyAt = handoffs.budget.readyAt(
      now.instant, bytesPerSecond: handoffs.limits.bytesPerSecond)
    guard readyAt > now.instant else { return false }
    handoffs.active[sender.partition]?.isPaused = true
    deadlines.add(.handoffPause(sender.partition, sender.operation), at: readyAt)
    probe("handoff held back by its rate")
    return true
  }

  mutating func resume(_ partition: PartitionID, _ operation: OperationID) {
    guard let sender = handoffs.sender(of: partition, operation), let read = sender.read,
      handoffs.active[partition]?.isPaused == true
    else { return }
    handoffs.active[partition]?.isPaused = false
    perform([read], sender)
  }

  private mutating func end(_ sender: HandoffSender, failure: String?) {
    let transfer = view.transfer(of: sender.partition)
    handoffs.active[sender.partition]?.sender = sender
    handoffs.end(sender.partition, transfer: transfer, isComplete: failure == nil)
    if let failure {
      probe("handoff failed")
      log(.warning, "the handoff of partition \(sender.partition.index) broke off: \(failure)")
    } else if sender.kind == .ownership, let transfer {
      send(.transferCompleted(transfer), to: Address(node: address.node, shard: .membership))
    }
    startHandoffs()
  }
}

extension PendingTransfer {
  static func < (a: PendingTransfer, b: PendingTransfer) -> Bool {
    (a.partition, a.from, a.to) < (b.partition, b.from, b.to)
  }
}
