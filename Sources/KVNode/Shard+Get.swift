import KVBase
import KVCluster
import KVModel

/// GETs: as coordinator and as vnode.
extension Shard {
  /// How long late replies are collected for read repair.
  private static let collectTimeout = Duration.seconds(5)

  mutating func get(_ key: ObjectKey, _ options: GetOptions, _ id: RequestID) {
    counters.gets += 1
    start(.client(id), key, options, until: deadline(options.timeout))
  }

  /// Starts a GET, or gives its purpose the reason why it cannot be.
  mutating func start(
    _ purpose: GetOperation.Purpose, _ key: ObjectKey, _ options: GetOptions,
    until deadline: Instant
  ) {
    let plan: GetPlan
    switch GetPlan.make(for: key, options: options, in: view) {
    case .failure(let failure): return finish(purpose, key, .failure(failure))
    case .success(let made): plan = made
    }
    let operation = newOperation()
    let coordinator = GetCoordinator(
      key: key, plan: plan, headOnly: options.headOnly,
      inlineByteLimit: options.headOnly ? 0 : configuration.inlineByteLimit)
    let get = GetOperation(coordinator: coordinator, purpose: purpose, dueAt: deadline)
    deadlines.add(.get(operation), at: deadline)
    var actions: [GetCoordinator.Action] = []
    get.coordinator.start(into: &actions)
    perform(actions, operation, get)
  }

  mutating func takeReadReply(_ reply: ReadReply, from: Address) {
    guard var get = gets.removeValue(forKey: reply.operation) else { return }
    var actions: [GetCoordinator.Action] = []
    get.coordinator.receive(
      reply.reading, partition: reply.partition, node: from.node, into: &actions)
    perform(actions, reply.operation, get)
  }

  mutating func getDue(_ operation: OperationID) {
    guard var get = gets.removeValue(forKey: operation) else { return }
    guard get.dueAt <= now.instant else {
      gets[operation] = get
      return
    }
    get.dueAt = now.instant + Self.collectTimeout
    var actions: [GetCoordinator.Action] = []
    get.coordinator.deadlineExpired(into: &actions)
    perform(actions, operation, get)
  }

  /// A body has been waited for long enough to ask another vnode for it, if the budget allows.
  mutating func hedgeDue(_ operation: OperationID) {
    guard hedgeCredit >= Self.hedgeCost, var get = gets.removeValue(forKey: operation) else {
      return
    }
    var actions: [GetCoordinator.Action] = []
    if get.coordinator.hedge(into: &actions) {
      hedgeCredit -= Self.hedgeCost
      counters.hedgedReads += 1
      probe("hedged read")
    }
    perform(actions, operation, get)
  }

  /// At most one fetched body in ten is asked for twice, so that hedging cannot double the load of a
  /// cluster that is slow because it is busy.
  private static let hedgeCost = 10
  private static let hedgeCreditLimit = 1000

  mutating func viewChangedForGets() {
    for operation in gets.keys.sorted() {
      guard var get = gets.removeValue(forKey: operation) else { continue }
      var actions: [GetCoordinator.Action] = []
      get.coordinator.viewChanged(view, into: &actions)
      perform(actions, operation, get)
    }
  }

  private mutating func perform(
    _ actions: [GetCoordinator.Action], _ operation: OperationID, _ operationState: GetOperation
  ) {
    var get = operationState
    var isFinished = false
    for action in actions {
      switch action {
      case .read(let replica, let byteLimit):
        read(get.coordinator.key, replica, operation, byteLimit)
      case .awaitBody:
        hedgeCredit = min(hedgeCredit + 1, Self.hedgeCreditLimit)
        deadlines.add(.hedge(operation), at: now.instant + configuration.hedgeDelay)
      case .answer(let result):
        let purpose = get.purpose
        get.purpose = .answered
        get.dueAt = now.instant + Self.collectTimeout
        deadlines.add(.get(operation), at: get.dueAt)
        finish(purpose, get.coordinator.key, result)
      case .repair(let replica, let encoded): repair(get.coordinator.key, replica, encoded)
      case .finished: isFinished = true
      }
    }
    if !isFinished { gets[operation] = get }
  }

  private mutating func read(
    _ key: ObjectKey, _ replica: Replica, _ operation: OperationID, _ byteLimit: Int
  ) {
    guard let target = view.address(of: replica.partition, on: replica.node) else { return }
    let request = ReadRequest(
      operation: operation, partition: replica.partition, key: key, byteLimit: byteLimit)
    send(.read(request), to: target)
  }

  private mutating func repair(_ key: ObjectKey, _ replica: Replica, _ encoded: Bytes) {
    guard let target = view.address(of: replica.partition, on: replica.node) else { return }
    counters.readRepairs += 1
    probe("read repair")
    // Merged without looking at allow_mult: a repair must not decide what may be forgotten.
    let request = WriteRequest(
      operation: .none, partition: replica.partition, key: key, encoded: encoded,
      keepsSiblings: true, waitsForSync: false, wantsReceipt: false)
    send(.write(request), to: target)
  }

  /// Hands a GET's outcome to whatever it was for, without contents that are dead.
  private mutating func finish(
    _ purpose: GetOperation.Purpose, _ key: ObjectKey, _ found: Result<KVObject, RequestFailure>
  ) {
    let result = found.map { living($0, key) }
    switch purpose {
    case .client(let id):
      switch result {
      case .success(let object):
        if object.siblings.count > 1 { counters.siblings += 1 }
        reply(id, .object(object))
      case .failure(let failure): reply(id, .failure(failure))
      }
    case .condition(let task): checked(task, result)
    case .delete(let task): foundClock(task, result)
    case .answered: break
    }
  }

  private func living(_ object: KVObject, _ key: ObjectKey) -> KVObject {
    guard let life = vnodes?.rules.life(in: key.bucket, at: now.wallClock) else { return object }
    var living = object
    living.forget(where: life.isDead)
    return living
  }

  // MARK: Vnode

  mutating func serveRead(_ request: ReadRequest, from: Address) {
    guard runs(request.partition), let vnodes else { return }
    counters.vnodeGets += 1
    let reading = vnodes.read(
      request.key, in: request.partition, byteLimit: request.byteLimit)
    if case .failure(let failure) = reading { log(.error, "a read failed: \(failure)") }
    let reply = ReadReply(
      operation: request.operation, partition: request.partition, reading: reading)
    send(.readReply(reply), to: from)
  }
}
