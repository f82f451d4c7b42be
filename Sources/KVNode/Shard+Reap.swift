import KVBase
import KVCluster
import KVModel

/// Reaping tombstones: as the shard that starts a round, and as one that votes and buries.
extension Shard {
  private static let roundLimit = 4
  private static let roundTimeout = Duration.seconds(5)
  private static let unsettledPause = Duration.seconds(5)

  // MARK: Finding tombstones

  /// Remembers that a vnode of this shard has coordinated a delete.
  mutating func queueReap(of key: ObjectKey, in partition: PartitionID) {
    guard let delay = configuration.deleteMode.delay else { return }
    let due = now.instant + delay
    queueReap(of: key, in: partition, at: due)
    wakeForTombstones()
  }

  private mutating func queueReap(
    of key: ObjectKey, in partition: PartitionID, at due: Instant
  ) {
    reapQueue.add(
      ReapQueue.Candidate(
        key: key, partition: partition, first: view.ring.firstPartition(of: key), due: due))
  }

  /// Lets the clock call when the next tombstone is due, unless it will call earlier anyway.
  mutating func wakeForTombstones() {
    let due = max(reapQueue.nextDue, now.instant + .milliseconds(10))
    guard due < tombstoneWake else { return }
    tombstoneWake = due
    deadlines.add(.tombstones, at: due)
  }

  mutating func tombstonesDue() {
    tombstoneWake = .distantFuture
    startReaps()
  }

  /// Looks at a stretch of what is stored for tombstones whose coordinator forgot them.
  mutating func sweepTombstones() {
    guard let vnodes, storeFailure == nil else { return }
    // Whoever coordinated the delete has had its time; of the primaries the first goes first.
    let time = configuration.deleteMode.delay.map {
      now.wallClock.earlier(by: $0 + configuration.handoffInterval * 2)
    }
    do {
      let owned = try store.occupiedPartitions().filter {
        runs($0) && view.ring.owner(of: $0) == address.node
      }
      guard let next = owned.first(where: { $0 >= tombstoneSweep.partition }) ?? owned.first else {
        return
      }
      if next != tombstoneSweep.partition { tombstoneSweep.cursor = nil }
      let found = try vnodes.tombstones(
        in: next, after: tombstoneSweep.cursor, limit: configuration.tombstoneScanCount,
        writtenBy: time ?? WallClock(microseconds: 0),
        orWiderThan: { view.properties(of: $0).smallVclock })
      for key in found.keys {
        let n = view.properties(of: key.bucket).nVal
        let rank = view.ring.preferencePartitions(of: key, n: n).firstIndex(of: next) ?? n
        let due = now.instant + configuration.handoffInterval * rank
        queueReap(of: key, in: next, at: due)
      }
      tombstoneSweep.cursor = found.cursor
      tombstoneSweep.partition =
        found.cursor == nil ? PartitionID(next.index + 1) : next
    } catch {
      log(.error, "tombstones cannot be looked for: \(error)")
    }
    startReaps()
  }

  // MARK: Rounds

  /// Starts rounds for tombstones that are due, within the limit.
  private mutating func startReaps() {
    guard phase == .serving, storeFailure == nil else { return }
    defer { wakeForTombstones() }
    guard view.members.allSatisfy({ view.isAvailable($0.id) }) else {
      return reapQueue.postpone(
        dueAt: now.instant, until: now.instant + Self.unsettledPause)
    }
    while reaps.count < Self.roundLimit, let first = reapQueue.firstDue(at: now.instant) {
      let view = view
      let group = ReapGroup(of: first.key, in: view)
      let candidates = reapQueue.takeDue(at: now.instant, limit: ReapMessage.itemLimit) {
        $0.first == group.first
          && min(view.properties(of: $0.key.bucket).nVal, view.ring.size) == group.owners.count
      }
      start(group, candidates)
    }
  }

  private mutating func start(_ group: ReapGroup, _ candidates: [ReapQueue.Candidate]) {
    var items: [ReapPurpose: [ReapItem]] = [:]
    var concerned: [ReapPurpose: [ReapQueue.Candidate]] = [:]
    do {
      for candidate in candidates {
        guard let found = try item(of: candidate) else { continue }
        items[found.purpose, default: []].append(found.item)
        concerned[found.purpose, default: []].append(candidate)
      }
    } catch {
      return log(.error, "tombstones cannot be read: \(error)")
    }
    for purpose in [ReapPurpose.reap, .trim] {
      guard let items = items[purpose], let candidates = concerned[purpose] else { continue }
      let operation = newOperation()
      guard
        let round = ReapRound(
          operation: operation, purpose: purpose, group: group, items: items, in: view)
      else {
        for candidate in candidates { reapQueue.retry(candidate, at: now.instant) }
        continue
      }
      deadlines.add(.reap(operation), at: now.instant + Self.roundTimeout)
      var actions: [ReapRound.Action] = []
      round.start(into: &actions)
      perform(
        actions, operation,
        ReapOperation(round: round, purpose: purpose, candidates: candidates))
    }
  }

  /// What there is to do about a candidate; nil when it has been written again.
  private func item(
    of candidate: ReapQueue.Candidate
  ) throws -> (purpose: ReapPurpose, item: ReapItem)? {
    guard let vnodes else { return nil }
    if configuration.deleteMode != .keep,
      let item = try vnodes.tombstone(of: candidate.key, in: candidate.partition)
    {
      return (.reap, item)
    }
    let width = view.properties(of: candidate.key.bucket).smallVclock
    return try vnodes.wideObject(candidate.key, in: candidate.partition, widerThan: width)
      .map { (.trim, $0) }
  }

  mutating func reapDue(_ operation: OperationID) {
    guard var reap = reaps.removeValue(forKey: operation) else { return }
    var actions: [ReapRound.Action] = []
    reap.round.deadlineExpired(into: &actions)
    perform(actions, operation, reap)
  }

  private mutating func perform(
    _ actions: [ReapRound.Action], _ operation: OperationID, _ reap: ReapOperation
  ) {
    var isFinished = false
    for action in actions {
      switch action {
      case .ask(let target, let order): send(.reap(.ask(order)), to: target)
      case .bury(let target, let order): send(.reap(.bury(order)), to: target)
      case .repair(let item, let partition): repair(item, partition, reap)
      case .finished(let gone, let open):
        isFinished = true
        noteEnd(of: reap, gone, open)
      }
    }
    if isFinished { wakeForTombstones() } else { reaps[operation] = reap }
  }

  private mutating func noteEnd(
    of reap: ReapOperation, _ gone: [ObjectKey], _ open: [ObjectKey]
  ) {
    counters.reapsDeferred += open.count
    if !open.isEmpty { probe("reap deferred") }
    if reap.purpose == .trim {
      counters.clocksTrimmed += gone.count
      if !gone.isEmpty { probe("clocks trimmed") }
    } else {
      counters.tombstonesReaped += gone.count
      if !gone.isEmpty { probe("tombstones reaped") }
    }
    for candidate in reap.candidates where open.contains(candidate.key) {
      reapQueue.retry(candidate, at: now.instant)
    }
  }

  /// Sends a tombstone, or a wide object, to a primary that lacks it.
  private mutating func repair(
    _ item: ReapItem, _ partition: PartitionID, _ reap: ReapOperation
  ) {
    let owner = view.ring.owner(of: partition)
    guard let target = view.address(of: partition, on: owner),
      let candidate = reap.candidates.first(where: { $0.key == item.key })
    else { return }
    do {
      guard let encoded = try store.object(item.key, in: candidate.partition) else { return }
      probe("tombstone repaired")
      let request = WriteRequest(
        operation: .none, partition: partition, key: item.key, encoded: encoded,
        keepsSiblings: true, waitsForSync: false, wantsReceipt: false)
      send(.write(request), to: target)
    } catch {
      log(.error, "a tombstone cannot be read: \(error)")
    }
  }

  // MARK: Votes

  mutating func takeReap(_ message: ReapMessage, from: Address) {
    switch message {
    case .ask(let order): serve(order, from: from)
    case .bury(let order): bury(order, from: from)
    case .queue(let partition, let keys): queueReaps(of: keys, in: partition)
    case .vote(let vote):
      guard var reap = reaps.removeValue(forKey: vote.operation) else { return }
      var actions: [ReapRound.Action] = []
      reap.round.receive(vote, from: from, into: &actions)
      perform(actions, vote.operation, reap)
    case .buried(let receipt):
      guard var reap = reaps.removeValue(forKey: receipt.operation) else { return }
      var actions: [ReapRound.Action] = []
      reap.round.receive(receipt, from: from, into: &actions)
      perform(actions, receipt.operation, reap)
    }
  }

  /// Votes once everything that the vote vouches for is durable.
  private mutating func serve(_ order: ReapOrder, from: Address) {
    guard !order.partitions.isEmpty else { return drain(order, from: from) }
    var vote = ReapVote(operation: order.operation, verdicts: [])
    if isConcerned(by: order), writeRefusal() == nil {
      do {
        vote.verdicts = try verdicts(on: order)
        if order.purpose == .trim {
          vote.actors = try vnodes?.actors(of: order.partitions) ?? []
        }
      } catch {
        log(.error, "tombstones cannot be voted on: \(error)")
      }
    }
    send(.reap(.vote(vote)), to: from, whenSynced: store.sequences.applied)
  }

  /// Votes once the GETs of the keys that are under way here have ended.
  private mutating func drain(_ order: ReapOrder, from: Address) {
    let keys = Set(order.items.map(\.key))
    // What an answered one still repairs is held against the entries that are remembered.
    let concerned = gets.filter {
      keys.contains($0.value.coordinator.key) && !$0.value.purpose.isAnswered
    }
    let drain = ReapDrain(
      operation: order.operation, asker: from, gets: concerned.keys.sorted())
    if !drain.gets.isEmpty { probe("trim waited for reads") }
    voteOrWait(drain)
  }

  /// Looks again until the asker has given up.
  mutating func voteOrWait(_ drain: ReapDrain) {
    var drain = drain
    drain.gets.removeAll { gets[$0] == nil }
    if drain.gets.isEmpty {
      send(.reap(.vote(ReapVote(operation: drain.operation, verdicts: []))), to: drain.asker)
    } else if drain.looks > 0 {
      drain.looks -= 1
      deadlines.add(.reapDrain(drain), at: now.instant + Self.roundTimeout / ReapDrain.lookCount)
    }
  }

  /// True when this shard sees the cluster as whoever sent the order does.
  private func isConcerned(by order: ReapOrder) -> Bool {
    phase == .serving && (configuration.deleteMode != .keep || order.purpose == .trim)
      && order.group.isSettled(in: view)
      && order.partitions.allSatisfy { partition in
        runs(partition) && order.group.partitions(ringSize: view.ring.size).contains(partition)
      }
      && order.items.allSatisfy { ReapGroup(of: $0.key, in: view) == order.group }
  }

  private func verdicts(on order: ReapOrder) throws -> [ReapVerdict] {
    guard let vnodes else { return [] }
    let busy = Set(puts.values.map(\.coordinator.key))
    var verdicts: [ReapVerdict] = []
    for partition in order.partitions {
      let isPrimary = view.ring.owner(of: partition) == address.node
      for item in order.items {
        let verdict = try vnodes.verdict(
          on: item, for: order.purpose, in: partition, isPrimary: isPrimary)
        verdicts.append(verdict.isConsent && busy.contains(item.key) ? .busy : verdict)
      }
    }
    return verdicts
  }

  private mutating func bury(_ order: ReapOrder, from: Address) {
    guard isConcerned(by: order), writeRefusal() == nil else { return }
    var receipt = ReapReceipt(operation: order.operation, count: 0)
    var sequence = store.sequences.applied
    do {
      for partition in order.partitions where view.ring.owner(of: partition) == address.node {
        let done =
          order.purpose == .reap
          ? try vnodes?.bury(order.items, in: partition)
          : try vnodes?.trim(order.items, in: partition)
        guard let done else { return }
        receipt.count += done.count
        sequence = done.sequence
      }
    } catch {
      return log(.error, "tombstones cannot be buried: \(error)")
    }
    send(.reap(.buried(receipt)), to: from, whenSynced: sequence)
  }
}

extension WallClock {
  fileprivate func earlier(by duration: Duration) -> WallClock {
    let span = duration.wholeNanoseconds / 1000
    return WallClock(microseconds: microseconds > span ? microseconds - span : 0)
  }
}
