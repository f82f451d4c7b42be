import KVBase
import KVCluster
import KVModel

/// Listings, as coordinator.
extension Shard {
  private static let listTimeout = Duration.seconds(300)

  mutating func list(_ scope: ListingScope, _ timeout: Duration?, _ id: RequestID) {
    counters.listings += 1
    let plan: CoveragePlan
    let start = random.below(view.ring.size)
    let n = replicaCount(of: scope)
    switch CoveragePlan.make(in: view, n: n, start: start) {
    case .failure(let failure): return reply(id, .failure(failure))
    case .success(let made): plan = made
    }
    let operation = newOperation()
    var list = ListOperation(
      request: id, coordinator: ListCoordinator(scope: scope, plan: plan, n: n))
    let wanted = timeout ?? .zero
    deadlines.add(
      .listing(operation), at: now.instant + (wanted > .zero ? wanted : Self.listTimeout))
    var actions: [ListCoordinator.Action] = []
    list.coordinator.start(into: &actions)
    perform(actions, operation, list)
  }

  /// The N that a cover must assume: of all the type's buckets the smallest.
  private func replicaCount(of scope: ListingScope) -> Int {
    switch scope {
    case .keys(let bucket): return view.properties(of: bucket).nVal
    case .buckets(let type):
      let anyBucket = view.properties(of: BucketID(type: type, name: []))
      return view.properties.filter { $0.bucket.type == type }
        .reduce(anyBucket.nVal) { min($0, $1.properties.nVal) }
    }
  }

  mutating func takeListReply(_ reply: ListReply, from: Address) {
    guard let page = listPages.removeValue(forKey: reply.operation), page.target == from,
      var list = listings.removeValue(forKey: page.asker)
    else { return }
    var actions: [ListCoordinator.Action] = []
    if case .failure = reply.result { probe("listing taken over after a refusal") }
    list.coordinator.receive(reply.result, to: page.number, in: view, into: &actions)
    perform(actions, page.asker, list)
  }

  /// A vnode stays silent: its answer or the question got lost, or it is stuck.
  mutating func listPageDue(_ operation: OperationID) {
    guard let page = listPages.removeValue(forKey: operation),
      var list = listings.removeValue(forKey: page.asker)
    else { return }
    probe("listing taken over after silence")
    var actions: [ListCoordinator.Action] = []
    list.coordinator.overdue(page.number, in: view, into: &actions)
    perform(actions, page.asker, list)
  }

  /// The client has room for another part of its listing or query.
  mutating func taken(_ id: RequestID) {
    takenQuery(id)
    guard let operation = listings.keys.sorted().first(where: { listings[$0]?.request == id }),
      var list = listings.removeValue(forKey: operation)
    else { return }
    var actions: [ListCoordinator.Action] = []
    list.coordinator.taken(into: &actions)
    perform(actions, operation, list)
  }

  mutating func listingDue(_ operation: OperationID) {
    guard var list = listings.removeValue(forKey: operation) else { return }
    var actions: [ListCoordinator.Action] = []
    list.coordinator.deadlineExpired(into: &actions)
    perform(actions, operation, list)
  }

  mutating func viewChangedForListings() {
    for operation in listings.keys.sorted() {
      guard var list = listings.removeValue(forKey: operation) else { continue }
      var actions: [ListCoordinator.Action] = []
      list.coordinator.viewChanged(view, into: &actions)
      perform(actions, operation, list)
    }
  }

  private mutating func perform(
    _ actions: [ListCoordinator.Action], _ operation: OperationID, _ list: ListOperation
  ) {
    let scope = list.coordinator.scope
    var isFinished = false
    for action in actions {
      switch action {
      case .ask(let question): ask(question, scope, operation)
      case .deliver(let names):
        outbox.append(.reply(list.request, scope.reply(names, done: false), isFinal: false))
      case .finished(let failure):
        isFinished = true
        reply(list.request, failure.map { .failure($0) } ?? scope.reply([], done: true))
      }
    }
    if isFinished { listPages.drop(of: operation) } else { listings[operation] = list }
  }

  private mutating func ask(
    _ question: Coverage.Question, _ scope: ListingScope, _ listing: OperationID
  ) {
    let part = question.part
    guard let target = view.address(of: part.partition, on: part.node) else { return }
    let operation = newOperation()
    listPages[operation] = CoverPage(asker: listing, number: question.number, target: target)
    deadlines.add(.listPage(operation), at: now.instant + configuration.listPageTimeout)
    let request = ListRequest(
      operation: operation, partition: part.partition, scope: scope,
      firstPartitions: part.firstPartitions, cursor: question.cursor,
      limit: configuration.listPageLimit)
    send(.list(request), to: target)
  }
}

extension ListingScope {
  fileprivate func reply(_ names: [Bytes], done: Bool) -> ClientReply {
    switch self {
    case .buckets: .buckets(names, done: done)
    case .keys: .keys(names, done: done)
    }
  }
}
