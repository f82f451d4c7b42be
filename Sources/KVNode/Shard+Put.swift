import KVBase
import KVCluster
import KVModel

/// PUTs and deletes: choosing the coordinator, forwarding, coordinating.
extension Shard {
  /// How long a PUT looks after copies that are missing when it has been answered.
  private static let lingerTimeout = Duration.seconds(10)
  private static let retryLimit = Duration.seconds(2)
  /// A PUT whose time is up already must not be due again and again at the same instant.
  private static let shortestRetry = Duration.milliseconds(10)

  mutating func put(
    _ key: ObjectKey, _ context: VersionVector, _ content: Content, _ options: PutOptions,
    _ id: RequestID
  ) {
    route(
      key, context, content, options, .init(request: id, isDelete: false),
      until: deadline(options.timeout))
  }

  mutating func delete(
    _ key: ObjectKey, _ context: VersionVector?, _ options: DeleteOptions, _ id: RequestID
  ) {
    counters.deletes += 1
    let deadline = deadline(options.timeout)
    if let context {
      let tombstone = Content.tombstone(at: now.wallClock)
      return route(
        key, context, tombstone, options.write, .init(request: id, isDelete: true),
        until: deadline)
    }
    let task = DeleteTask(request: id, key: key, options: options.write, deadline: deadline)
    start(.delete(task), key, options.read, until: deadline)
  }

  /// A delete without a clock has read one: nothing to do when there is nothing.
  mutating func foundClock(_ task: DeleteTask, _ result: Result<KVObject, RequestFailure>) {
    switch result {
    case .failure(let failure): reply(task.request, .failure(failure))
    case .success(let object) where object.isEmpty || object.isDeleted:
      reply(task.request, .deleted)
    case .success(let object):
      route(
        task.key, object.clock, Content.tombstone(at: now.wallClock), task.options,
        .init(request: task.request, isDelete: true), until: task.deadline)
    }
  }

  private struct Asker {
    var request: RequestID
    var isDelete: Bool
  }

  /// Coordinates the PUT here or forwards it to a shard that owns a primary, else to a fallback's.
  private mutating func route(
    _ key: ObjectKey, _ context: VersionVector, _ content: Content, _ options: PutOptions,
    _ asker: Asker, until deadline: Instant
  ) {
    let plan: PutPlan
    switch PutPlan.make(for: key, options: options, in: view) {
    case .failure(let failure): return reply(asker.request, .failure(failure))
    case .success(let made): plan = made
    }
    let isConditional = options.ifNoneMatch || options.ifNotModified
    guard let replica = coordinator(for: plan, isConditional: isConditional),
      let target = view.address(of: replica.partition, on: replica.node)
    else {
      return reply(asker.request, .failure(.allNodesDown))
    }
    guard target != address else {
      return begin(
        PutTask(
          origin: .client(asker.request, isDelete: asker.isDelete), partition: replica.partition,
          key: key, context: context, content: content, options: options, deadline: deadline))
    }
    var left = options
    left.timeout = deadline - now.instant
    let put = ForwardedPut(
      operation: newOperation(), partition: replica.partition, key: key, context: context,
      content: content, options: left)
    forward(put, to: target, for: asker.request, isDelete: asker.isDelete, until: deadline)
  }

  /// Has another shard coordinate a client's PUT.
  mutating func forward(
    _ put: ForwardedPut, to target: Address, for request: RequestID, isDelete: Bool,
    until deadline: Instant
  ) {
    counters.forwards += 1
    forwards[put.operation] = ForwardOperation(
      request: request, isDelete: isDelete, target: target, deadline: deadline)
    deadlines.add(.forward(put.operation), at: deadline)
    send(.forward(put), to: target)
  }

  /// The vnode that coordinates: this shard's primary, another of this node, any, then a fallback.
  ///
  /// Conditional PUTs all go to the first primary, whose atomic update of the key then
  /// decides between those that come at the same time.
  private func coordinator(for plan: PutPlan, isConditional: Bool) -> Replica? {
    let primaries = plan.replicas.filter { $0.role == .primary }
    if isConditional { return primaries.first ?? plan.replicas.first }
    return primaries.first { $0.node == address.node && runs($0.partition) }
      ?? primaries.first { $0.node == address.node }
      ?? primaries.first
      ?? plan.replicas.first { $0.node == address.node }
      ?? plan.replicas.first
  }

  // MARK: Forwarding

  /// Coordinates a forwarded PUT.
  ///
  /// It is never forwarded again, so that none goes round.
  mutating func serveForward(_ put: ForwardedPut, from: Address) {
    guard forwardHistory.insert(put.operation, from: from) else {
      return probe("duplicate forward dropped")
    }
    let n = view.properties(of: put.key.bucket).nVal
    let origin = PutTask.Origin.forwarded(put.operation, from: from)
    forwardedCount += 1
    let isServed = phase == .serving || (phase == .stopping && from.node == address.node)
    // A node that has lost its disk knows neither the cluster nor the properties of its buckets.
    guard isServed, !view.isClosing, view.member(from.node) != nil,
      view.knowsType(put.key.bucket.type),
      clients.count + forwardedCount <= configuration.requestLimit
    else {
      return finish(origin, .failure(.overload))
    }
    guard runs(put.partition),
      view.ring.preferencePartitions(of: put.key, n: n).contains(put.partition)
    else {
      return finish(origin, .failure(.allNodesDown))
    }
    begin(
      PutTask(
        origin: origin, partition: put.partition, key: put.key, context: put.context,
        content: put.content, options: put.options, deadline: deadline(put.options.timeout)))
  }

  mutating func takeForwardReply(_ reply: ForwardReply, from: Address) {
    guard let forward = forwards[reply.operation], forward.target == from else { return }
    forwards[reply.operation] = nil
    switch reply.result {
    case .failure(let failure): self.reply(forward.request, .failure(failure))
    case .success(let encoded):
      answer(forward.request, isDelete: forward.isDelete, encoded)
    }
  }

  mutating func forwardDue(_ operation: OperationID) {
    guard let forward = forwards.removeValue(forKey: operation) else { return }
    reply(forward.request, .failure(.timeout))
  }

  // MARK: Coordinating

  /// Checks the condition if there is one, then writes.
  private mutating func begin(_ task: PutTask) {
    if isConsistent(task.key.bucket) { return propose(task) }
    guard task.options.ifNoneMatch || task.options.ifNotModified else { return perform(task) }
    var options = GetOptions()
    options.nVal = task.options.nVal
    options.sloppyQuorum = task.options.sloppyQuorum
    start(.condition(task), task.key, options, until: task.deadline)
  }

  /// A conditional PUT has read what there is.
  mutating func checked(_ task: PutTask, _ result: Result<KVObject, RequestFailure>) {
    switch result {
    case .failure(let failure): finish(task.origin, .failure(failure))
    case .success(let object):
      let isAbsent = object.isEmpty || object.isDeleted
      if task.options.ifNoneMatch, !isAbsent {
        finish(task.origin, .failure(.matchFound))
      } else if task.options.ifNotModified, isAbsent {
        finish(task.origin, .failure(.notFound))
      } else if task.options.ifNotModified, object.clock != task.context {
        finish(task.origin, .failure(.modified))
      } else {
        perform(task)
      }
    }
  }

  private mutating func perform(_ task: PutTask) {
    var plan: PutPlan
    switch PutPlan.make(for: task.key, options: task.options, in: view) {
    case .failure(let failure): return finish(task.origin, .failure(failure))
    case .success(let made): plan = made
    }
    if let storeFailure {
      return finish(task.origin, .failure(.storage(storeFailure.description)))
    }
    counters.puts += 1
    let isOwner = view.ring.owner(of: task.partition) == address.node
    let local = Replica(
      partition: task.partition, node: address.node, role: isOwner ? .primary : .fallback)
    // The forwarding node may know another ring: whatever this one says, the vnode that coordinates
    // is this one, and its partition is one of the key's.
    plan.replicas.removeAll { $0.partition == task.partition }
    plan.replicas.insert(local, at: 0)
    guard let stored = store(task, plan) else { return }
    let operation = newOperation()
    let timeout = task.deadline - now.instant
    let retry = max(min(timeout / 3, Self.retryLimit), Self.shortestRetry)
    let put = PutOperation(
      coordinator: PutCoordinator(
        key: task.key, encoded: stored.encoded, plan: plan, coordinator: local),
      origin: task.origin, returnsBody: task.options.returnBody,
      waitsForSync: plan.waitsForSync(atCoordinator: false, byDefault: configuration.syncByDefault),
      retryAt: now.instant + retry, retryInterval: retry, deadline: task.deadline,
      abandonAt: max(task.deadline, now.instant + Self.lingerTimeout))
    deadlines.add(.put(operation), at: put.dueAt)
    var actions: [PutCoordinator.Action] = []
    put.coordinator.start(into: &actions)
    perform(actions, operation, put)
    let reply = PeerMessage.writeReply(
      WriteReply(operation: operation, partition: task.partition, outcome: .stored))
    if plan.waitsForSync(atCoordinator: true, byDefault: configuration.syncByDefault) {
      send(reply, to: address, whenSynced: stored.sequence)
    } else {
      send(reply, to: address)
    }
    note(stored.warning, about: task.key)
    noteStored(task.key, stored.encoded, in: task.partition)
    if task.content.isTombstone { queueReap(of: task.key, in: task.partition) }
  }

  private mutating func store(_ task: PutTask, _ plan: PutPlan) -> Vnodes.Stored? {
    var write = CoordinatedWrite(
      key: task.key, context: task.context, content: task.content,
      keepsSiblings: plan.keepsSiblings, replacesAll: plan.replacesAll)
    write.asIs = task.options.asIs
    write.ifNoneMatch = task.options.ifNoneMatch
    write.ifNotModified = task.options.ifNotModified
    write.dataType = task.options.dataType
    switch vnodes?.coordinate(write, in: task.partition, at: now) {
    case .success(let stored): return stored
    case .failure(let failure):
      counters.vnodeRefusals += 1
      finish(task.origin, .failure(failure))
    case nil: finish(task.origin, .failure(.allNodesDown))
    }
    return nil
  }

  mutating func takeWriteReply(_ reply: WriteReply, from: Address) {
    guard var put = puts.removeValue(forKey: reply.operation) else { return }
    var actions: [PutCoordinator.Action] = []
    put.coordinator.receive(
      reply.outcome, partition: reply.partition, node: from.node, view: view, into: &actions)
    perform(actions, reply.operation, put)
  }

  mutating func putDue(_ operation: OperationID) {
    guard var put = puts.removeValue(forKey: operation) else { return }
    var actions: [PutCoordinator.Action] = []
    if put.retryAt <= now.instant {
      put.retryInterval = put.retryInterval * 2
      put.retryAt = now.instant + put.retryInterval
      put.coordinator.retry(in: view, into: &actions)
    }
    if put.deadline <= now.instant { put.coordinator.deadlineExpired(into: &actions) }
    if put.abandonAt <= now.instant { put.coordinator.abandon(into: &actions) }
    deadlines.add(.put(operation), at: put.dueAt)
    perform(actions, operation, put)
  }

  mutating func viewChangedForPuts() {
    for operation in forwards.keys.sorted() {
      guard let forward = forwards[operation], !view.isAvailable(forward.target.node) else {
        continue
      }
      // The PUT may have been performed: repeating it elsewhere would make a second event of it.
      probe("forward target lost")
      forwards[operation] = nil
      reply(forward.request, .failure(.timeout))
    }
    for operation in puts.keys.sorted() {
      guard var put = puts.removeValue(forKey: operation) else { continue }
      var actions: [PutCoordinator.Action] = []
      put.coordinator.viewChanged(view, into: &actions)
      perform(actions, operation, put)
    }
  }

  private mutating func perform(
    _ actions: [PutCoordinator.Action], _ operation: OperationID, _ operationState: PutOperation
  ) {
    var put = operationState
    var isFinished = false
    for action in actions {
      switch action {
      case .write(let replica, let isRetry): write(replica, operation, put, isRetry: isRetry)
      case .answer(let failure):
        guard let origin = put.origin else { continue }
        put.origin = nil
        put.abandonAt = min(put.abandonAt, now.instant + Self.lingerTimeout)
        // Copies that are still missing are looked after, but not at the cost of new requests.
        isFinished = puts.count >= 2 * configuration.requestLimit
        deadlines.add(.put(operation), at: put.dueAt)
        finish(origin, failure.map { .failure($0) } ?? .success(put.body))
      case .finished: isFinished = true
      }
    }
    if !isFinished { puts[operation] = put }
  }

  private mutating func write(
    _ replica: Replica, _ operation: OperationID, _ put: PutOperation, isRetry: Bool
  ) {
    guard let target = view.address(of: replica.partition, on: replica.node) else { return }
    if isRetry { probe("put sent again or to a fallback") }
    let request = WriteRequest(
      operation: operation, partition: replica.partition, key: put.coordinator.key,
      encoded: put.coordinator.encoded, keepsSiblings: put.coordinator.plan.keepsSiblings,
      waitsForSync: put.waitsForSync, wantsReceipt: put.coordinator.wantsReceipts)
    send(.write(request), to: target)
  }

  /// Tells whoever asked for a PUT how it ended.
  mutating func finish(_ origin: PutTask.Origin, _ result: Result<Bytes, RequestFailure>) {
    switch origin {
    case .client(let id, let isDelete):
      switch result {
      case .success(let encoded): answer(id, isDelete: isDelete, encoded)
      case .failure(let failure): reply(id, .failure(failure))
      }
    case .forwarded(let operation, let from):
      forwardedCount -= 1
      send(.forwardReply(ForwardReply(operation: operation, result: result)), to: from)
    }
  }

  private mutating func answer(_ id: RequestID, isDelete: Bool, _ encoded: Bytes) {
    if isDelete { return reply(id, .deleted) }
    guard !encoded.isEmpty else { return reply(id, .stored(KVObject())) }
    do {
      reply(id, .stored(try KVObject(encoded: encoded)))
    } catch {
      reply(id, .failure(.storage("the stored object does not decode: \(error)")))
    }
  }
}

extension PutOperation {
  /// The encoded object for the reply, when it was asked for.
  fileprivate var body: Bytes { returnsBody ? coordinator.encoded : [] }
}

extension DeleteOptions {
  /// The options of the read that finds the clock.
  fileprivate var read: GetOptions {
    var options = GetOptions()
    options.r = r ?? rw
    options.pr = pr
    options.sloppyQuorum = sloppyQuorum
    options.nVal = nVal
    return options
  }

  /// The options of the write of the tombstone.
  fileprivate var write: PutOptions {
    var options = PutOptions()
    options.w = w ?? rw
    options.dw = dw ?? rw
    options.pw = pw
    options.sloppyQuorum = sloppyQuorum
    options.nVal = nVal
    return options
  }
}
