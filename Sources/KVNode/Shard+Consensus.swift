import KVBase
import KVCluster
import KVModel

/// Requests to consistent buckets, as proposer.
extension Shard {
  private static let longestRound = Duration.seconds(4)
  private static let shortestPause = Duration.milliseconds(10)

  /// True when the bucket's writes are decided by consensus.
  func isConsistent(_ bucket: BucketID) -> Bool { view.properties(of: bucket).isConsistent }

  mutating func dispatch(_ message: ConsensusMessage, of cluster: UInt64, from: Address) {
    // A node that was a member, or will be one, has its own registers and seats.
    guard cluster == view.cluster else { return probe("consensus message of another cluster") }
    switch message {
    case .request(let request): castVote(request, from: from)
    case .vote(let vote): takeVote(vote, from: from)
    case .offer(let stage): takeOffer(stage, from: from)
    case .claim(let stage, let instance): takeClaim(stage, instance, from: from)
    case .batch(let batch): takeBatch(batch, from: from)
    case .batchReceipt(let stage, let instance, let number):
      takeBatchReceipt(stage, instance, number, from: from)
    case .grant(let stage, let instance, let fences):
      takeGrant(stage, instance, fences, from: from)
    case .settled(let stage): takeSettled(stage)
    case .catchUp(let request): serveCatchUp(request, from: from)
    case .catchUpReply(let reply): takeCatchUpReply(reply, from: from)
    }
  }

  /// Starts what concerns a consistent bucket; false when the request is an ordinary one.
  mutating func startConsensus(_ request: ClientRequest, _ id: RequestID) -> Bool {
    switch request {
    case .get(let key, let options) where isConsistent(key.bucket):
      counters.consistentGets += 1
      readRegister(key, options, id)
    case .put(let key, let context, let content, let options) where isConsistent(key.bucket):
      routeRegisterWrite(
        key, context, content, options, id, isDelete: false, until: deadline(options.timeout))
    case .delete(let key, let context, let options) where isConsistent(key.bucket):
      counters.deletes += 1
      routeRegisterWrite(
        key, context ?? VersionVector(), Content.tombstone(at: now.wallClock), PutOptions(), id,
        isDelete: true, until: deadline(options.timeout))
    case .dropBucket(let bucket) where isConsistent(bucket):
      // Registers are changed by rounds only, one by one.
      reply(id, .failure(.failed))
    default: return false
    }
    return true
  }

  /// The acceptors of a key that can be asked, or why there are too few.
  private func acceptors(of key: ObjectKey) -> Result<(n: Int, replicas: [Replica]), RequestFailure>
  {
    let n = min(view.properties(of: key.bucket).nVal, view.ring.size)
    let replicas = view.preferenceList(for: key, n: n, sloppy: false)
    guard replicas.count > n / 2 else {
      return .failure(.insufficientVnodes(need: n / 2 + 1, got: replicas.count))
    }
    return .success((n, replicas))
  }

  private mutating func readRegister(_ key: ObjectKey, _ options: GetOptions, _ id: RequestID) {
    switch acceptors(of: key) {
    case .failure(let failure): reply(id, .failure(failure))
    case .success(let (n, replicas)):
      let proposer = Proposer(
        key: key, n: n, purpose: .read, inlineByteLimit: configuration.inlineByteLimit)
      let proposal = Proposal(
        proposer: proposer, origin: .read(id, headOnly: options.headOnly),
        deadline: deadline(options.timeout), roundDue: now.instant + configuration.roundTimeout)
      let operation = newOperation()
      var actions: [Proposer.Action] = []
      var state = proposal
      state.proposer.query(replicas, into: &actions)
      perform(actions, operation, state)
    }
  }

  /// All writes of a key go through its first primary that can be reached, which lets them queue
  /// instead of race; nothing but speed rests on that.
  private mutating func routeRegisterWrite(
    _ key: ObjectKey, _ context: VersionVector, _ content: Content, _ options: PutOptions,
    _ id: RequestID, isDelete: Bool, until deadline: Instant
  ) {
    let first: Replica
    switch acceptors(of: key) {
    case .failure(let failure): return reply(id, .failure(failure))
    case .success(let (_, replicas)): first = replicas[0]
    }
    guard let target = view.address(of: first.partition, on: first.node) else {
      return reply(id, .failure(.allNodesDown))
    }
    guard target == address else {
      var left = options
      left.timeout = deadline - now.instant
      let put = ForwardedPut(
        operation: newOperation(), partition: first.partition, key: key, context: context,
        content: content, options: left)
      return forward(put, to: target, for: id, isDelete: isDelete, until: deadline)
    }
    propose(
      PutTask(
        origin: .client(id, isDelete: isDelete), partition: first.partition, key: key,
        context: context, content: content, options: options, deadline: deadline))
  }

  // MARK: Proposing

  /// Carries a write through, after those of the same key that came before it.
  mutating func propose(_ task: PutTask) {
    guard consensus.active[task.key] == nil else {
      deadlines.add(.consensusQueue(task.key), at: task.deadline)
      return consensus.waiting[task.key, default: []].append(task)
    }
    let n: Int
    let nameBytes = task.key.bucket.type.count + task.key.bucket.name.count + task.key.key.count
    guard nameBytes <= Self.nameByteLimit else {
      return finish(
        task.origin,
        .failure(.tooLarge("a name of \(nameBytes) bytes, over \(Self.nameByteLimit)")))
    }
    switch acceptors(of: task.key) {
    case .failure(let failure): return finish(task.origin, .failure(failure))
    case .success(let found): n = found.n
    }
    counters.puts += 1
    counters.consistentPuts += 1
    let write = ConditionalWrite(
      number: random.next(), context: task.context, content: task.content,
      ifNoneMatch: task.options.ifNoneMatch, ifNotModified: task.options.ifNotModified,
      byteLimit: configuration.objectByteLimit)
    let proposer = Proposer(
      key: task.key, n: n, purpose: .write(write), inlineByteLimit: configuration.inlineByteLimit)
    let proposal = Proposal(
      proposer: proposer, origin: .write(task), deadline: task.deadline, roundDue: task.deadline)
    let operation = newOperation()
    consensus.active[task.key] = operation
    perform([.nextRound(losses: 0)], operation, proposal)
  }

  private static let nameByteLimit = 100_000

  mutating func takeVote(_ vote: RegisterVote, from: Address) {
    guard var proposal = consensus.proposals.removeValue(forKey: vote.operation) else { return }
    var actions: [Proposer.Action] = []
    proposal.proposer.receive(vote, from: from.node, at: now, into: &actions)
    consensus.highestCounter = max(
      consensus.highestCounter, proposal.proposer.highestCounter)
    perform(actions, vote.operation, proposal)
  }

  mutating func consensusDue(_ operation: OperationID) {
    guard var proposal = consensus.proposals.removeValue(forKey: operation) else { return }
    var actions: [Proposer.Action] = []
    if proposal.deadline <= now.instant {
      proposal.proposer.deadlineExpired(into: &actions)
    } else if proposal.roundDue <= now.instant {
      if proposal.isPausing {
        actions = [.nextRound(losses: 0)]
      } else {
        probe("consensus round timed out")
        proposal.proposer.roundExpired(into: &actions)
      }
    }
    perform(actions, operation, proposal)
  }

  mutating func viewChangedForConsensus() {
    for operation in consensus.proposals.keys.sorted() {
      guard var proposal = consensus.proposals.removeValue(forKey: operation) else { continue }
      var actions: [Proposer.Action] = []
      let view = view
      proposal.proposer.lose(where: { !view.isAvailable($0) }, at: now, into: &actions)
      perform(actions, operation, proposal)
    }
  }

  private mutating func perform(
    _ actions: [Proposer.Action], _ operation: OperationID, _ state: Proposal
  ) {
    var proposal = state
    var pending = actions[...]
    while let action = pending.popFirst() {
      switch action {
      case .query(let replica, let byteLimit):
        ask(replica, .query(byteLimit: byteLimit), .zero, operation, proposal)
      case .prepare(let replica, let ballot): ask(replica, .prepare, ballot, operation, proposal)
      case .accept(let replica, let ballot, let value, let quorum):
        ask(replica, .accept(value, quorum: quorum), ballot, operation, proposal)
      case .nextRound(losses: 0):
        var next: [Proposer.Action] = []
        beginRound(&proposal, into: &next)
        pending += next
      case .nextRound(let losses):
        counters.consensusRetries += 1
        proposal.isPausing = true
        proposal.roundDue = now.instant + pause(after: losses)
      case .answer(let result): return finish(proposal, result)
      }
    }
    if proposal.calledAt != proposal.dueAt {
      proposal.calledAt = proposal.dueAt
      deadlines.add(.consensus(operation), at: proposal.dueAt)
    }
    consensus.proposals[operation] = proposal
  }

  private mutating func beginRound(
    _ proposal: inout Proposal, into actions: inout [Proposer.Action]
  ) {
    let key = proposal.proposer.key
    counters.consensusRounds += 1
    consensus.highestCounter += 1
    proposal.isPausing = false
    let patience = configuration.roundTimeout * (1 << min(proposal.proposer.rounds, 8))
    proposal.roundDue = now.instant + min(patience, Self.longestRound)
    proposal.proposer.begin(
      Ballot(counter: consensus.highestCounter, actor: consensus.actor),
      replicas: view.preferenceList(for: key, n: proposal.proposer.n, sloppy: false),
      into: &actions)
  }

  /// A random time that doubles with each lost round, so that rivals get out of each other's way.
  private mutating func pause(after losses: Int) -> Duration {
    let span = Self.shortestPause * (1 << min(losses, 7))
    return .nanoseconds(Int64(1 + random.below(Int(clamping: span.wholeNanoseconds))))
  }

  private mutating func ask(
    _ replica: Replica, _ step: RegisterRequest.Step, _ ballot: Ballot,
    _ operation: OperationID, _ proposal: Proposal
  ) {
    guard let target = view.address(of: replica.partition, on: replica.node) else { return }
    let request = RegisterRequest(
      operation: operation, partition: replica.partition, key: proposal.proposer.key,
      n: proposal.proposer.n, ballot: ballot, step: step)
    tell(.request(request), to: target)
  }

  private mutating func finish(
    _ proposal: Proposal, _ result: Result<RegisterValue, RequestFailure>
  ) {
    if proposal.proposer.rounds > 1 { probe("consensus decided after lost rounds") }
    switch proposal.origin {
    case .read(let id, let headOnly):
      if proposal.proposer.isFast {
        counters.consistentFastGets += 1
      } else {
        probe("consensus read wrote back")
      }
      reply(id, Self.answer(to: result, headOnly: headOnly))
    case .write(let task):
      finish(task.origin, result.map { task.options.returnBody ? $0.object : [] })
      proposeNext(after: task.key)
    }
  }

  private static func answer(
    to result: Result<RegisterValue, RequestFailure>, headOnly: Bool
  ) -> ClientReply {
    do {
      let bytes = try result.get().object
      guard !bytes.isEmpty else { return .object(KVObject()) }
      return .object(
        headOnly ? try KVObject(encodedHead: bytes) : try KVObject(encoded: bytes))
    } catch let failure as RequestFailure {
      return .failure(failure)
    } catch {
      return .failure(.storage("a register does not decode: \(error)"))
    }
  }

  /// The next write of the key that waits.
  private mutating func proposeNext(after key: ObjectKey) {
    consensus.active[key] = nil
    consensusQueueDue(key)
    while consensus.active[key] == nil, var tasks = consensus.waiting[key], !tasks.isEmpty {
      let task = tasks.removeFirst()
      consensus.waiting[key] = tasks.isEmpty ? nil : tasks
      propose(task)
    }
  }

  /// Answers the writes that have waited for others of their key for too long.
  mutating func consensusQueueDue(_ key: ObjectKey) {
    guard let tasks = consensus.waiting[key] else { return }
    let left = tasks.filter { $0.deadline > now.instant }
    consensus.waiting[key] = left.isEmpty ? nil : left
    for task in tasks where task.deadline <= now.instant {
      finish(task.origin, .failure(.timeout))
    }
  }
}
