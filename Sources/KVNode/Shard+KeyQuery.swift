import KVBase
import KVCluster
import KVModel

/// The key queries a shard coordinates, and its vnodes' parts in those of others.
struct KeyQueries {
  /// A query under way.
  struct Operation {
    var request: RequestID
    var coordinator: KeyQueryCoordinator
  }

  /// Whose query it is, and which vnode works on it.
  struct ScanName: Hashable, Comparable {
    var asker: Address
    var operation: OperationID
    var partition: PartitionID

    static func < (a: ScanName, b: ScanName) -> Bool {
      (a.asker, a.operation, a.partition) < (b.asker, b.operation, b.partition)
    }
  }

  /// A vnode's part: where it is, which step comes next, and when it is given up.
  struct Scan {
    var scan: KeyQueryScan
    var number: UInt32
    var dueAt: Instant
  }

  /// The most vnodes of a shard that work on queries at once.
  static let scanLimit = 64

  var operations: [OperationID: Operation] = [:]
  var scans: [ScanName: Scan] = [:]

  /// What may have a deadline.
  var count: Int { operations.count + 2 * scans.count }

  func isLive(_ deadline: KeyQueryDeadline) -> Bool {
    switch deadline {
    case .operation(let operation): operations[operation] != nil
    case .scan(let name), .step(let name, _): scans[name] != nil
    }
  }
}

/// What of key queries the clock can call for.
enum KeyQueryDeadline: Hashable {
  /// The answer is due.
  case operation(OperationID)
  /// The asker may have gone.
  case scan(KeyQueries.ScanName)
  /// A vnode of the asking shard itself may go on.
  case step(KeyQueries.ScanName, number: UInt32)
}

/// Key queries, as coordinator and as vnode.
extension Shard {
  /// How long a query may take when it does not say.
  private static let keyQueryTimeout = Duration.seconds(60)
  /// How long a vnode keeps its place while nobody asks for more.
  private static let scanPatience = Duration.seconds(30)

  mutating func keyQuery(_ query: KeyQuery, _ timeout: Duration?, _ id: RequestID) {
    counters.queries += 1
    let plan: CoveragePlan
    let start = random.below(view.ring.size)
    let n = view.properties(of: query.bucket).nVal
    switch CoveragePlan.make(in: view, n: n, start: start) {
    case .failure(let failure): return reply(id, .failure(failure))
    case .success(let made): plan = made
    }
    let operation = newOperation()
    let wanted = timeout ?? .zero
    deadlines.add(
      .keyQuery(.operation(operation)),
      at: now.instant + (wanted > .zero ? wanted : Self.keyQueryTimeout))
    keyQueries.operations[operation] = KeyQueries.Operation(
      request: id, coordinator: KeyQueryCoordinator(query: query, plan: plan))
    advance(operation) { $0.start(into: &$1) }
  }

  /// Lets the coordinator take something in and does what it wants.
  private mutating func advance(
    _ operation: OperationID,
    _ body: (inout KeyQueryCoordinator, inout [KeyQueryCoordinator.Action]) -> Void
  ) {
    guard var pending = keyQueries.operations.removeValue(forKey: operation) else { return }
    var actions: [KeyQueryCoordinator.Action] = []
    body(&pending.coordinator, &actions)
    var isFinished = false
    for action in actions {
      switch action {
      case .ask(let part, let number): ask(part, number, operation, pending.coordinator.query)
      case .deliver(let page):
        outbox.append(.reply(pending.request, .found(page, done: false), isFinal: false))
      case .giveUp(let part):
        guard let target = view.address(of: part.partition, on: part.node) else { continue }
        let place = KeyQueryMessage.Place(
          operation: operation, partition: part.partition, number: 0)
        send(.keyQuery(.giveUp(place)), to: target)
      case .finished(let failure):
        isFinished = true
        reply(
          pending.request, failure.map { .failure($0) } ?? .found(KeyQueryPage(), done: true))
      }
    }
    if !isFinished { keyQueries.operations[operation] = pending }
  }

  private mutating func ask(
    _ part: CoveragePlan.Part, _ number: UInt32, _ operation: OperationID, _ query: KeyQuery
  ) {
    guard let target = view.address(of: part.partition, on: part.node) else { return }
    let place = KeyQueryMessage.Place(
      operation: operation, partition: part.partition, number: number)
    // Other work of this shard comes in between.
    if target == address, number > 0 {
      return deadlines.add(
        .keyQuery(.step(scanName(place, address), number: number)),
        at: now.instant + .microseconds(1))
    }
    let message: KeyQueryMessage =
      number == 0
      ? .begin(
        KeyQueryMessage.Begin(place: place, firstPartitions: part.firstPartitions, query: query))
      : .proceed(place)
    send(.keyQuery(message), to: target)
  }

  mutating func takeKeyQuery(_ message: KeyQueryMessage, from: Address) {
    switch message {
    case .begin(let begin): serve(begin, from: from)
    case .proceed(let place): proceed(place, from: from)
    case .step(let place, let result):
      advance(place.operation) {
        $0.receive(
          result, number: place.number, partition: place.partition, node: from.node, into: &$1)
      }
    case .giveUp(let place): keyQueries.scans[scanName(place, from)] = nil
    }
  }

  mutating func keyQueryDue(_ deadline: KeyQueryDeadline) {
    switch deadline {
    case .operation(let operation): advance(operation) { $0.stop(.timeout, into: &$1) }
    case .step(let name, let number):
      let place = KeyQueryMessage.Place(
        operation: name.operation, partition: name.partition, number: number)
      proceed(place, from: name.asker)
    case .scan(let name):
      guard let scan = keyQueries.scans[name] else { return }
      if scan.dueAt <= now.instant {
        keyQueries.scans[name] = nil
      } else {
        deadlines.add(.keyQuery(deadline), at: scan.dueAt)
      }
    }
  }

  mutating func viewChangedForKeyQueries() {
    let view = view
    for operation in keyQueries.operations.keys.sorted() {
      advance(operation) { $0.viewChanged(view, into: &$1) }
    }
    for name in keyQueries.scans.keys.sorted() where !view.isAvailable(name.asker.node) {
      keyQueries.scans[name] = nil
    }
  }

  /// Ends the queries of a client that is gone.
  mutating func cancelKeyQueries(of id: RequestID) {
    for operation in keyQueries.operations.keys.sorted()
    where keyQueries.operations[operation]?.request == id {
      advance(operation) { $0.stop(.timeout, into: &$1) }
    }
  }

  // MARK: As vnode

  private func scanName(
    _ place: KeyQueryMessage.Place, _ asker: Address
  ) -> KeyQueries.ScanName {
    KeyQueries.ScanName(
      asker: asker, operation: place.operation, partition: place.partition)
  }

  private mutating func serve(_ begin: KeyQueryMessage.Begin, from: Address) {
    let name = scanName(begin.place, from)
    guard runs(begin.place.partition), vnodes != nil, keyQueries.scans[name] == nil else { return }
    // A former owner may lack what its successor has taken since.
    guard view.ring.owner(of: begin.place.partition) == address.node else {
      let failure = RequestFailure.insufficientVnodes(need: 1, got: 0)
      return send(.keyQuery(.step(begin.place, .failure(failure))), to: from)
    }
    guard keyQueries.scans.count < KeyQueries.scanLimit else {
      return send(.keyQuery(.step(begin.place, .failure(.overload))), to: from)
    }
    do throws(ReplicaStoreFailure) {
      let scan = KeyQueryScan(
        begin.query, of: begin.place.partition, firstPartitions: begin.firstPartitions,
        ringSize: view.ring.size, in: try store.snapshot())
      keyQueries.scans[name] = KeyQueries.Scan(
        scan: scan, number: 0, dueAt: now.instant + Self.scanPatience)
      deadlines.add(.keyQuery(.scan(name)), at: now.instant + Self.scanPatience)
      proceed(begin.place, from: from)
    } catch {
      let failure = RequestFailure.storage(error.description)
      send(.keyQuery(.step(begin.place, .failure(failure))), to: from)
    }
  }

  private mutating func proceed(_ place: KeyQueryMessage.Place, from: Address) {
    let name = scanName(place, from)
    guard var scan = keyQueries.scans.removeValue(forKey: name) else {
      return send(.keyQuery(.step(place, .failure(.timeout))), to: from)
    }
    guard scan.number == place.number else { return keyQueries.scans[name] = scan }
    let result = scan.scan.advance()
    scan.number += 1
    scan.dueAt = now.instant + Self.scanPatience
    if case .success(let step) = result, !step.isLast { keyQueries.scans[name] = scan }
    send(.keyQuery(.step(place, result)), to: from)
  }
}
