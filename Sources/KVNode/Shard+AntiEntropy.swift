import KVBase
public import KVCluster
import KVModel

/// Anti-entropy: the trees of the shard's vnodes, and exchanges on both sides.
extension Shard {
  /// How long a question of an exchange may go unanswered.
  private static let answerTimeout = Duration.seconds(10)

  // MARK: Trees

  /// The shard serves from now on: takes over saved trees, or begins to build them.
  mutating func startEntropy() {
    do {
      try trees.restore(startedCleanly: configuration.startedCleanly, at: now.instant)
    } catch {
      log(.error, "saved hash trees cannot be read and are built again: \(error)")
    }
    viewChangedForEntropy()
    guard configuration.entropyLimit > 0 else { return }
    if trees.partitions.contains(where: trees.isBuilt) { probe("hash trees restored") }
    // Shards that start together need not compare together.
    let wait = random.below(Int(clamping: configuration.entropyInterval.wholeNanoseconds) + 1)
    deadlines.add(.entropy(.tick), at: now.instant + .nanoseconds(wait))
  }

  /// Keeps trees for the partitions that this node owns, and compares with those who own others.
  mutating func viewChangedForEntropy() {
    viewChangedForFolds()
    guard configuration.entropyLimit > 0 else { return }
    let placement = KeyPlacement(view)
    let partitions = view.ring.partitions(of: address.node).filter(runs)
    if placement != entropy.placement || partitions != trees.partitions {
      entropy.placement = placement
      trees.adopt(partitions, placement, at: now.instant)
      entropy.schedule.adopt(partitions, placement)
      planBuild()
    }
    for operation in entropy.exchanges.keys.sorted() {
      guard let exchange = entropy.exchanges[operation] else { continue }
      let isMine = view.ring.owner(of: exchange.partition) == address.node
      if !isMine || view.ring.owner(of: exchange.peer) != exchange.target.node
        || !view.isAvailable(exchange.target.node)
      {
        entropy.exchanges[operation] = nil
        probe("anti-entropy given up")
      }
    }
  }

  mutating func planBuild() {
    guard !entropy.isBuilding, trees.startDueBuilds(at: now.instant) else { return }
    entropy.isBuilding = true
    deadlines.add(.entropy(.build), at: now.instant + configuration.treeBuildInterval)
  }

  private mutating func buildTrees() {
    entropy.isBuilding = false
    guard phase == .serving else { return }
    do {
      let isMore = try trees.buildStep(at: now, lifetime: configuration.treeLifetime)
      if !isMore { probe("hash trees built") }
    } catch {
      log(.error, "hash trees cannot be built: \(error)")
    }
    planBuild()
  }

  /// Saves the trees for the next start, as the last change of the store.
  mutating func stopEntropy() {
    entropy.exchanges = [:]
    guard storeFailure == nil, phase == .serving || phase == .stopping else { return }
    do {
      try trees.save(at: now.instant)
    } catch {
      log(.warning, "hash trees are not saved and will be built again: \(error)")
    }
  }

  // MARK: Asking

  mutating func entropyDue(_ deadline: EntropyDeadline) {
    switch deadline {
    case .fold(let operation): foldDue(operation)
    case .build: buildTrees()
    case .tick: compareNext()
    case .exchange(let operation, let number, let isPause):
      guard let exchange = entropy.exchanges[operation], exchange.number == number else { return }
      guard isPause else { return end(exchange, .timedOut) }
      step(operation) { $0.resume(number, $1, into: &$2) }
    }
  }

  private mutating func compareNext() {
    deadlines.add(.entropy(.tick), at: now.instant + configuration.entropyInterval)
    guard phase == .serving, storeFailure == nil else { return }
    repairDamage()
    planBuild()
    guard entropy.exchanges.count < configuration.entropyLimit, let placement = entropy.placement,
      let pair = takePair(),
      let target = view.address(of: pair.peer, on: view.ring.owner(of: pair.peer))
    else { return }
    start(
      EntropyExchange(
        partition: pair.partition, peer: pair.peer, target: target, group: pair.group,
        operation: newOperation(), signature: placement.signature,
        pace: configuration.entropyPace))
  }

  mutating func start(_ exchange: EntropyExchange) {
    entropy.exchanges[exchange.operation] = exchange
    step(exchange.operation) { exchange, _, actions in exchange.start(into: &actions) }
  }

  private mutating func takePair() -> EntropyPair? {
    let busy = Set(entropy.exchanges.values.map(\.pair))
    var schedule = entropy.schedule
    defer { entropy.schedule = schedule }
    return schedule.take { canCompare($0) && !busy.contains($0) }
  }

  private func canCompare(_ pair: EntropyPair) -> Bool {
    view.isAvailable(view.ring.owner(of: pair.peer))
      && trees.tree(of: pair.group, in: pair.partition) != nil
  }

  /// Lets an exchange go on and performs what it wants.
  mutating func step(
    _ operation: OperationID,
    _ body: (inout EntropyExchange, TreeKeeper, inout [EntropyExchange.Action]) -> Void
  ) {
    guard var exchange = entropy.exchanges[operation] else { return }
    var actions: [EntropyExchange.Action] = []
    body(&exchange, trees, &actions)
    entropy.exchanges[operation] = exchange
    perform(actions, operation)
  }

  private mutating func perform(_ actions: [EntropyExchange.Action], _ operation: OperationID) {
    for action in actions {
      guard let exchange = entropy.exchanges[operation] else { return }
      switch action {
      case .ask(let request):
        send(.entropy(.request(request)), to: exchange.target)
        deadlines.add(
          .entropy(.exchange(operation, number: request.number, isPause: false)),
          at: now.instant + Self.answerTimeout)
      case .pause(let duration, let number):
        deadlines.add(
          .entropy(.exchange(operation, number: number, isPause: true)),
          at: now.instant + duration)
      case .store(let entries) where exchange.damage != nil:
        restoreDamaged(entries, of: exchange)
      case .store(let entries): store(entries, of: exchange)
      case .finished(let outcome): end(exchange, outcome)
      }
    }
  }

  private mutating func store(_ entries: [ReplicaScan.Entry], of exchange: EntropyExchange) {
    do {
      guard let merged = try vnodes?.merge(entries, in: exchange.partition) else { return }
      if merged.changed > 0 { probe("anti-entropy repair of the own vnode") }
      noteMerged(entries, changed: merged.changed, in: exchange.partition)
      step(exchange.operation) { $0.stored(merged.changed, $1, into: &$2) }
    } catch {
      log(.error, "repairs of partition \(exchange.partition.index) failed: \(error)")
      end(exchange, .refused(.storage))
    }
  }

  private mutating func takeEntropyReply(_ reply: EntropyReply, from: Address) {
    guard entropy.exchanges[reply.operation]?.target == from else { return }
    step(reply.operation) { $0.receive(reply, $1, into: &$2) }
  }

  mutating func end(_ exchange: EntropyExchange, _ outcome: EntropyExchange.Outcome) {
    entropy.exchanges[exchange.operation] = nil
    guard exchange.damage == nil else { return fetchedDamaged(exchange, outcome) }
    counters.entropyExchanges += 1
    counters.entropyRepairs += exchange.repairedCount
    switch outcome {
    case .agreed, .repaired: break
    case .unresolved: probe("anti-entropy unresolved")
    case .refused: probe("anti-entropy refused")
    case .timedOut: probe("anti-entropy timed out")
    }
    let pair = exchange.pair
    if exchange.repairedCount > 0 {
      log(
        .info,
        "anti-entropy repaired \(exchange.repairedCount) objects of partitions "
          + "\(pair.partition.index) and \(pair.peer.index)")
    }
    let isDoubtful = entropy.schedule.ended(
      pair, outcome, repairedCount: exchange.repairedCount, at: now.wallClock)
    guard isDoubtful else { return }
    trees.rebuild(exchange.partition)
    planBuild()
  }

  // MARK: Answering

  mutating func takeEntropy(_ message: EntropyMessage, from: Address) {
    switch message {
    case .request(let request): serveEntropy(request, from: from)
    case .reply(let reply): takeEntropyReply(reply, from: from)
    case .fold(let request): serveFold(request, from: from)
    case .foldReply(let reply): takeFoldReply(reply, from: from)
    }
  }

  private mutating func serveEntropy(_ request: EntropyRequest, from: Address) {
    guard runs(request.partition), phase == .serving else { return }
    if case .push(let entries) = request.question {
      return servePush(entries, of: request, from: from)
    }
    var answer = EntropyAnswer.refused(.busy)
    if case .entries = request.question {
      if entropy.budget.take(EntropyLimits.pageScans, at: now.instant) {
        answer = trees.answer(request)
      }
    } else {
      answer = trees.answer(request)
    }
    if case .refused(let refusal) = answer { log(.debug, "anti-entropy refused: \(refusal)") }
    send(.entropy(.reply(Self.reply(to: request, answer))), to: from)
  }

  /// Merges what the other side has and this vnode lacks; the answer follows when it is durable.
  private mutating func servePush(
    _ entries: [ReplicaScan.Entry], of request: EntropyRequest, from: Address
  ) {
    var answer = EntropyAnswer.refused(.notPrimary)
    var sequence: UInt64?
    if writeRefusal() != nil {
      answer = .refused(.busy)
    } else if view.ring.owner(of: request.partition) == address.node {
      do {
        guard let merged = try vnodes?.merge(entries, in: request.partition) else { return }
        if merged.changed > 0 { probe("anti-entropy repair of another vnode") }
        noteMerged(entries, changed: merged.changed, in: request.partition)
        (answer, sequence) = (.stored(changed: merged.changed), merged.sequence)
      } catch {
        log(.error, "repairs of partition \(request.partition.index) failed: \(error)")
        answer = .refused(.storage)
      }
    }
    let reply = PeerMessage.entropy(.reply(Self.reply(to: request, answer)))
    if let sequence { send(reply, to: from, whenSynced: sequence) } else { send(reply, to: from) }
  }

  private static func reply(to request: EntropyRequest, _ answer: EntropyAnswer) -> EntropyReply {
    EntropyReply(operation: request.operation, number: request.number, answer: answer)
  }
}

extension Shard {
  /// What anti-entropy has done and is doing; O(pairs).
  public var entropyStatus: EntropyStatus {
    let active = Set(entropy.exchanges.values.map(\.pair))
    let pairs = entropy.schedule.pairs.filter { $0.peer.index < view.ring.size }.map {
      EntropyStatus.PairRow(
        pair: $0, peerNode: view.ring.owner(of: $0.peer),
        record: entropy.schedule.record(of: $0), isActive: active.contains($0))
    }
    return EntropyStatus(
      trees: trees.status, pairs: pairs, damagedPieces: entropy.repair == nil ? 0 : 1)
  }
}

extension EntropyMessage {
  /// True for what only shards of one node say to each other.
  var isWithinNode: Bool {
    switch self {
    case .request, .reply, .fold, .foldReply: false
    }
  }
}
