import KVBase
import KVCluster
import KVModel

/// Index queries, as coordinator and as vnode, and preference lists.
extension Shard {
  /// How long a query may take when it does not say.
  private static let queryTimeout = Duration.seconds(300)

  mutating func query(
    _ query: IndexQuery, after: IndexEntry?, limit: Int?, _ timeout: Duration?, _ id: RequestID
  ) {
    counters.queries += 1
    let plan: CoveragePlan
    let start = random.below(view.ring.size)
    let n = view.properties(of: query.bucket).nVal
    switch CoveragePlan.make(in: view, n: n, start: start) {
    case .failure(let failure): return reply(id, .failure(failure))
    case .success(let made): plan = made
    }
    let operation = newOperation()
    var pending = IndexOperation(
      request: id,
      coordinator: IndexCoordinator(query: query, plan: plan, n: n, after: after, limit: limit))
    let wanted = timeout ?? .zero
    deadlines.add(
      .index(operation), at: now.instant + (wanted > .zero ? wanted : Self.queryTimeout))
    var actions: [IndexCoordinator.Action] = []
    pending.coordinator.start(into: &actions)
    perform(actions, operation, pending)
  }

  mutating func takeIndexReply(_ reply: IndexReply, from: Address) {
    guard let page = queryPages.removeValue(forKey: reply.operation), page.target == from,
      var pending = queries.removeValue(forKey: page.asker)
    else { return }
    var actions: [IndexCoordinator.Action] = []
    if case .failure = reply.result { probe("query taken over after a refusal") }
    pending.coordinator.receive(reply.result, to: page.number, in: view, into: &actions)
    perform(actions, page.asker, pending)
  }

  mutating func takenQuery(_ id: RequestID) {
    guard let operation = queries.keys.sorted().first(where: { queries[$0]?.request == id }),
      var pending = queries.removeValue(forKey: operation)
    else { return }
    var actions: [IndexCoordinator.Action] = []
    pending.coordinator.taken(into: &actions)
    perform(actions, operation, pending)
  }

  /// A vnode stays silent: its answer or the question got lost, or it is stuck.
  mutating func indexPageDue(_ operation: OperationID) {
    guard let page = queryPages.removeValue(forKey: operation),
      var pending = queries.removeValue(forKey: page.asker)
    else { return }
    probe("query taken over after silence")
    var actions: [IndexCoordinator.Action] = []
    pending.coordinator.overdue(page.number, in: view, into: &actions)
    perform(actions, page.asker, pending)
  }

  mutating func indexDue(_ operation: OperationID) {
    guard var pending = queries.removeValue(forKey: operation) else { return }
    var actions: [IndexCoordinator.Action] = []
    pending.coordinator.deadlineExpired(into: &actions)
    perform(actions, operation, pending)
  }

  mutating func viewChangedForQueries() {
    for operation in queries.keys.sorted() {
      guard var pending = queries.removeValue(forKey: operation) else { continue }
      var actions: [IndexCoordinator.Action] = []
      pending.coordinator.viewChanged(view, into: &actions)
      perform(actions, operation, pending)
    }
  }

  mutating func cancelQueries(of id: RequestID) {
    for operation in queries.keys.sorted() where queries[operation]?.request == id {
      queries[operation] = nil
      queryPages.drop(of: operation)
    }
  }

  private mutating func perform(
    _ actions: [IndexCoordinator.Action], _ operation: OperationID, _ pending: IndexOperation
  ) {
    var isFinished = false
    for action in actions {
      switch action {
      case .ask(let question): ask(question, operation, pending.coordinator)
      case .deliver(let entries):
        outbox.append(.reply(pending.request, .entries(entries, done: false), isFinal: false))
      case .finished(let failure):
        isFinished = true
        reply(pending.request, failure.map { .failure($0) } ?? .entries([], done: true))
      }
    }
    if isFinished { queryPages.drop(of: operation) } else { queries[operation] = pending }
  }

  private mutating func ask(
    _ question: IndexCoordinator.Question, _ asker: OperationID,
    _ coordinator: IndexCoordinator
  ) {
    let part = question.part
    guard let target = view.address(of: part.partition, on: part.node) else { return }
    let operation = newOperation()
    queryPages[operation] = CoverPage(asker: asker, number: question.number, target: target)
    deadlines.add(.indexPage(operation), at: now.instant + configuration.listPageTimeout)
    let request = IndexRequest(
      operation: operation, partition: part.partition, firstPartitions: part.firstPartitions,
      query: coordinator.query, after: question.after,
      limit: min(coordinator.pageLimit, configuration.listPageLimit))
    send(.index(request), to: target)
  }

  /// Answers for as long as the partition is this node's, for the reasons that hold for listings.
  mutating func serveIndex(_ request: IndexRequest, from: Address) {
    guard runs(request.partition), let vnodes, phase == .serving || phase == .stopping else {
      return
    }
    var reply = IndexReply(
      operation: request.operation, partition: request.partition,
      result: .failure(.insufficientVnodes(need: 1, got: 0)))
    let isOwner = view.ring.owner(of: request.partition) == address.node
    if isOwner, view.member(from.node) != nil {
      reply.result = vnodes.index(request, ringSize: view.ring.size)
    } else {
      probe("query refused by a former owner")
    }
    send(.indexReply(reply), to: from)
  }

  /// The owners of an object's partitions, whether or not they are up.
  func preferredVnodes(of key: ObjectKey) -> [PreferredVnode] {
    let n = view.properties(of: key.bucket).nVal
    return view.ring.preferencePartitions(of: key, n: n).map { partition in
      let owner = view.ring.owner(of: partition)
      return PreferredVnode(
        partition: partition.index, node: view.member(owner)?.name ?? "", isPrimary: true)
    }
  }
}
