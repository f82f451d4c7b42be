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
    switch CoveragePlan.make(in: view, n: replicaCount(of: scope), start: start) {
    case .failure(let failure): return reply(id, .failure(failure))
    case .success(let made): plan = made
    }
    let operation = newOperation()
    var list = ListOperation(
      request: id, coordinator: ListCoordinator(scope: scope, plan: plan))
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
    guard var list = listings.removeValue(forKey: reply.operation) else { return }
    var actions: [ListCoordinator.Action] = []
    list.coordinator.receive(
      reply.result, partition: reply.partition, node: from.node, into: &actions)
    perform(actions, reply.operation, list)
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
      case .ask(let part, let cursor): ask(part, cursor, scope, operation)
      case .deliver(let names):
        outbox.append(.reply(list.request, scope.reply(names, done: false), isFinal: false))
      case .finished(let failure):
        isFinished = true
        reply(list.request, failure.map { .failure($0) } ?? scope.reply([], done: true))
      }
    }
    if !isFinished { listings[operation] = list }
  }

  private mutating func ask(
    _ part: CoveragePlan.Part, _ cursor: ObjectKey?, _ scope: ListingScope,
    _ operation: OperationID
  ) {
    guard let target = view.address(of: part.partition, on: part.node) else { return }
    let request = ListRequest(
      operation: operation, partition: part.partition, scope: scope,
      firstPartitions: part.firstPartitions, cursor: cursor, limit: ListCoordinator.pageLimit)
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
