import KVBase
import KVCluster
import KVModel

/// A fold under way.
struct FoldOperation {
  var request: RequestID
  var coordinator: FoldCoordinator
}

/// Folds over the heads of all objects, as coordinator and as vnode.
extension Shard {
  private static let foldTimeout = Duration.seconds(3600)
  private static let foldLimit = 4

  mutating func fold(_ query: FoldQuery, _ id: RequestID) {
    counters.folds += 1
    guard entropy.folds.count < Self.foldLimit else { return reply(id, .failure(.overload)) }
    let placement = KeyPlacement(view)
    let nVal = query.bucket.map(placement.nVal(of:)) ?? placement.nVals.first ?? 1
    let plan: CoveragePlan
    switch CoveragePlan.make(in: view, n: nVal, start: random.below(view.ring.size)) {
    case .failure(let failure): return reply(id, .failure(failure))
    case .success(let made): plan = made
    }
    let operation = newOperation()
    var fold = FoldOperation(request: id, coordinator: FoldCoordinator(query: query, plan: plan))
    deadlines.add(.entropy(.fold(operation)), at: now.instant + Self.foldTimeout)
    var actions: [FoldCoordinator.Action] = []
    fold.coordinator.start(into: &actions)
    perform(actions, operation, fold)
  }

  mutating func takeFoldReply(_ reply: FoldReply, from: Address) {
    guard var fold = entropy.folds.removeValue(forKey: reply.operation) else { return }
    var actions: [FoldCoordinator.Action] = []
    fold.coordinator.receive(
      reply.result, partition: reply.partition, node: from.node, into: &actions)
    perform(actions, reply.operation, fold)
  }

  mutating func foldDue(_ operation: OperationID) {
    guard let fold = entropy.folds.removeValue(forKey: operation) else { return }
    reply(fold.request, .failure(.timeout))
  }

  /// Ends the folds that need a vnode which cannot be reached any more.
  mutating func viewChangedForFolds() {
    for operation in entropy.folds.keys.sorted() {
      guard let fold = entropy.folds[operation], fold.coordinator.isBroken(in: view) else {
        continue
      }
      entropy.folds[operation] = nil
      reply(fold.request, .failure(.insufficientVnodes(need: 1, got: 0)))
    }
  }

  mutating func cancelFolds(of id: RequestID) {
    for operation in entropy.folds.keys.sorted() where entropy.folds[operation]?.request == id {
      entropy.folds[operation] = nil
    }
  }

  private mutating func perform(
    _ actions: [FoldCoordinator.Action], _ operation: OperationID, _ fold: FoldOperation
  ) {
    entropy.folds[operation] = fold
    for action in actions {
      switch action {
      case .ask(let part, let cursor):
        guard let target = view.address(of: part.partition, on: part.node) else { continue }
        let request = FoldRequest(
          operation: operation, partition: part.partition, query: fold.coordinator.query,
          firstPartitions: part.firstPartitions, cursor: cursor)
        send(.entropy(.fold(request)), to: target)
      case .finished(let result):
        entropy.folds[operation] = nil
        switch result {
        case .success(let found): reply(fold.request, .folded(found))
        case .failure(let failure): reply(fold.request, .failure(failure))
        }
      }
    }
  }

  mutating func serveFold(_ request: FoldRequest, from: Address) {
    guard runs(request.partition), let vnodes else { return }
    let reply = FoldReply(
      operation: request.operation, partition: request.partition,
      result: vnodes.fold(request, ringSize: view.ring.size))
    send(.entropy(.foldReply(reply)), to: from)
  }
}
