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
      coordinator: IndexCoordinator(query: query, plan: plan, after: after, limit: limit))
    let wanted = timeout ?? .zero
    deadlines.add(
      .index(operation), at: now.instant + (wanted > .zero ? wanted : Self.queryTimeout))
    var actions: [IndexCoordinator.Action] = []
    pending.coordinator.start(into: &actions)
    perform(actions, operation, pending)
  }

  mutating func takeIndexReply(_ reply: IndexReply, from: Address) {
    guard var pending = queries.removeValue(forKey: reply.operation) else { return }
    var actions: [IndexCoordinator.Action] = []
    pending.coordinator.receive(
      reply.result, partition: reply.partition, node: from.node, into: &actions)
    perform(actions, reply.operation, pending)
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
    }
  }

  private mutating func perform(
    _ actions: [IndexCoordinator.Action], _ operation: OperationID, _ pending: IndexOperation
  ) {
    var isFinished = false
    for action in actions {
      switch action {
      case .ask(let part, let after):
        guard let target = view.address(of: part.partition, on: part.node) else { continue }
        let request = IndexRequest(
          operation: operation, partition: part.partition, firstPartitions: part.firstPartitions,
          query: pending.coordinator.query, after: after,
          limit: pending.coordinator.pageLimit)
        send(.index(request), to: target)
      case .deliver(let entries):
        outbox.append(.reply(pending.request, .entries(entries, done: false), isFinal: false))
      case .finished(let failure):
        isFinished = true
        reply(pending.request, failure.map { .failure($0) } ?? .entries([], done: true))
      }
    }
    if !isFinished { queries[operation] = pending }
  }

  mutating func serveIndex(_ request: IndexRequest, from: Address) {
    guard runs(request.partition), let vnodes else { return }
    // A former owner may lack what its successor has taken since.
    let isOwner = view.ring.owner(of: request.partition) == address.node
    let reply = IndexReply(
      operation: request.operation, partition: request.partition,
      result: isOwner
        ? vnodes.index(request, ringSize: view.ring.size)
        : .failure(.insufficientVnodes(need: 1, got: 0)))
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
