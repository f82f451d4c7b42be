public import KVBase
public import KVModel

/// Decides the outcome of one GET from the replies of its vnodes, then repairs those that were behind.
///
/// Every vnode of the plan is asked at once; small objects come whole, large ones as heads, and the
/// bodies that the answer needs are fetched from one vnode that has them. After the answer the late
/// replies are collected and each vnode whose object differs from the merged one is sent that.
///
/// **Invariants**: there is exactly one `answer` and one `finished`, in this order.
///
/// **Source**: Dynamo (SOSP 2007) §4.5 and §4.6; reference sections 1.4, 1.6 and 5.2.
public struct GetCoordinator: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the vnode; objects above the limit are to come as heads.
    case read(Replica, byteLimit: Int)
    /// Call ``hedge(into:)`` after a while: the answer waits for a body from a single vnode.
    case awaitBody
    /// Tell whoever asked; at most once. The object is empty when nothing was found.
    case answer(Result<KVObject, RequestFailure>)
    /// Send the encoded object to a vnode that lacks it or has an older one.
    case repair(Replica, Bytes)
    /// Nothing is left to do; the coordinator can be dropped.
    case finished
  }

  fileprivate enum State: Hashable, Sendable {
    case waiting
    case fetching(KVObject)
    case notFound
    case object(KVObject, isWhole: Bool)
    case failed(RequestFailure)
  }

  fileprivate struct Answer: Hashable, Sendable {
    var replica: Replica
    var state: State
  }

  /// What is read.
  public let key: ObjectKey
  private let plan: GetPlan
  private let headOnly: Bool
  private let inlineByteLimit: Int
  private var answers: [Answer]
  private var isAnswered = false
  private var isFinished = false
  private var isCollecting = true

  /// A GET of `key` by `plan`.
  public init(key: ObjectKey, plan: GetPlan, headOnly: Bool, inlineByteLimit: Int) {
    self.key = key
    self.plan = plan
    self.headOnly = headOnly
    self.inlineByteLimit = inlineByteLimit
    answers = plan.replicas.map { Answer(replica: $0, state: .waiting) }
  }

  /// Asks every vnode.
  public func start(into actions: inout [Action]) {
    for answer in answers { actions.append(.read(answer.replica, byteLimit: inlineByteLimit)) }
  }

  /// Takes in a vnode's reply.
  ///
  /// Replies of others, and second ones, change nothing.
  public mutating func receive(
    _ reading: ReplicaReading, partition: PartitionID, node: NodeID, into actions: inout [Action]
  ) {
    guard !isFinished,
      let index = answers.firstIndex(where: {
        $0.replica.partition == partition && $0.replica.node == node && $0.isOutstanding
      })
    else { return }
    // A head that was on its way when the body was asked for does not answer that.
    if case .fetching = answers[index].state, case .head = reading { return }
    answers[index].state = Self.state(of: reading)
    evaluate(into: &actions)
  }

  /// Gives up on vnodes of nodes that have become unavailable, and asks fallbacks instead.
  public mutating func viewChanged(_ view: ClusterView, into actions: inout [Action]) {
    guard !isFinished else { return }
    var changed = false
    for index in answers.indices where answers[index].isOutstanding {
      let replica = answers[index].replica
      guard !view.isAvailable(replica.node) else { continue }
      changed = true
      if !isAnswered, plan.sloppy,
        let node = view.nextFallback(
          for: replica.partition, key: key, n: plan.n, among: answers.map(\.replica))
      {
        let fallback = Replica(partition: replica.partition, node: node, role: .fallback)
        answers[index] = Answer(replica: fallback, state: .waiting)
        actions.append(.read(fallback, byteLimit: inlineByteLimit))
      } else {
        answers[index].state = .failed(.timeout)
      }
    }
    if changed { evaluate(into: &actions) }
  }

  /// Asks a second vnode for each body that the first has not sent yet; false when there is none to ask.
  ///
  /// One slow disk then delays no GET for which another replica has what it needs.
  ///
  /// **Source**: Dean and Barroso, *The tail at scale* (CACM 2013), "Hedged requests".
  public mutating func hedge(into actions: inout [Action]) -> Bool {
    guard !isAnswered else { return false }
    var isAsking = false
    for sibling in mergedHeads().siblings where content(of: sibling) == nil {
      let index = answers.indices.first { index in
        guard case .object(let object, isWhole: false) = answers[index].state else { return false }
        return object.siblings.contains { $0.dot == sibling.dot }
      }
      guard let index, let head = answers[index].object else { continue }
      answers[index].state = .fetching(head)
      actions.append(.read(answers[index].replica, byteLimit: Int(Int32.max)))
      isAsking = true
    }
    return isAsking
  }

  /// Ends the wait: for the answer if there was none, else for late replies.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    guard !isFinished else { return }
    if !isAnswered {
      isAnswered = true
      actions.append(.answer(.failure(.timeout)))
    }
    guard isCollecting else { return finish(into: &actions) }
    isCollecting = false
    for index in answers.indices where answers[index].isOutstanding {
      answers[index].state = .failed(.timeout)
    }
    repair(into: &actions)
  }
}

extension GetCoordinator.Answer {
  fileprivate var isOutstanding: Bool {
    switch state {
    case .waiting, .fetching: true
    case .notFound, .object, .failed: false
    }
  }

  /// What the vnode is known to hold, if anything.
  fileprivate var object: KVObject? {
    switch state {
    case .object(let object, _), .fetching(let object): object
    case .waiting, .notFound, .failed: nil
    }
  }
}

extension GetCoordinator {
  private static func state(of reading: ReplicaReading) -> State {
    do {
      switch reading {
      case .notFound: return .notFound
      case .whole(let bytes): return .object(try KVObject(encoded: bytes), isWhole: true)
      case .head(let bytes): return .object(try KVObject(encodedHead: bytes), isWhole: false)
      case .failure(let failure): return .failed(failure)
      }
    } catch {
      return .failed(.storage("a replica's object does not decode: \(error)"))
    }
  }

  private mutating func evaluate(into actions: inout [Action]) {
    if !isAnswered { decide(into: &actions) }
    if isAnswered, !isFinished, !answers.contains(where: \.isOutstanding) {
      repair(into: &actions)
    }
  }

  private mutating func decide(into actions: inout [Action]) {
    let tally = Tally(answers, plan)
    if tally.isEnough(for: plan) {
      let merged = mergedHeads()
      if headOnly {
        answer(.success(merged), into: &actions)
      } else if let whole = filled(merged) {
        answer(.success(whole), into: &actions)
      } else {
        fetchBodies(of: merged, into: &actions)
      }
      return
    }
    let left = answers.contains { $0.isOutstanding }
    if tally.failures >= plan.failureThreshold || !left {
      answer(tally.outcome(for: plan), into: &actions)
    }
  }

  private mutating func answer(
    _ result: Result<KVObject, RequestFailure>, into actions: inout [Action]
  ) {
    isAnswered = true
    actions.append(.answer(result))
  }

  /// All that the replies know.
  ///
  /// Contents of heads have no values yet.
  private func mergedHeads() -> KVObject {
    var merged = KVObject()
    for answer in answers {
      if let object = answer.object { merged = merged.merging(object) }
    }
    if !plan.keepsSiblings { merged.keepNewestSibling() }
    return merged
  }

  /// The object with every value from a reply that came whole; nil when one is missing.
  private func filled(_ object: KVObject) -> KVObject? {
    var siblings: [Sibling] = []
    for sibling in object.siblings {
      guard let whole = content(of: sibling) else { return nil }
      siblings.append(whole)
    }
    return KVObject(clock: object.clock, siblings: siblings)
  }

  private func content(of sibling: Sibling) -> Sibling? {
    if sibling.content.isTombstone { return sibling }
    for answer in answers {
      guard case .object(let object, isWhole: true) = answer.state else { continue }
      if let found = object.siblings.first(where: { $0.dot == sibling.dot }) { return found }
    }
    return nil
  }

  /// Asks one vnode that has it for each missing value, unless one is being asked already.
  private mutating func fetchBodies(of object: KVObject, into actions: inout [Action]) {
    for sibling in object.siblings where content(of: sibling) == nil {
      let holders = answers.indices.filter { index in
        answers[index].object?.siblings.contains { $0.dot == sibling.dot } ?? false
      }
      let isAsked = holders.contains { index in
        if case .fetching = answers[index].state { true } else { false }
      }
      guard !isAsked, let index = holders.first, let head = answers[index].object else { continue }
      answers[index].state = .fetching(head)
      if !isAnswered { actions.append(.awaitBody) }
      actions.append(.read(answers[index].replica, byteLimit: Int(Int32.max)))
    }
  }

  /// Sends the merged object to every vnode that answered and holds something else.
  private mutating func repair(into actions: inout [Action]) {
    let merged = mergedHeads()
    var stale = answers.filter { $0.isStale(against: merged) }
    // Graves are not copied to where there is nothing to bury.
    if merged.siblings.isEmpty { stale.removeAll { $0.state == .notFound } }
    guard !merged.isEmpty, !stale.isEmpty else { return finish(into: &actions) }
    guard let whole = filled(merged) else {
      // Bodies may still be fetched while the collection lasts; after its deadline they may not.
      guard isCollecting else { return finish(into: &actions) }
      fetchBodies(of: merged, into: &actions)
      if !answers.contains(where: \.isOutstanding) { finish(into: &actions) }
      return
    }
    let encoded = whole.encoded().bytes
    for answer in stale { actions.append(.repair(answer.replica, encoded)) }
    finish(into: &actions)
  }

  private mutating func finish(into actions: inout [Action]) {
    isFinished = true
    actions.append(.finished)
  }
}

extension GetCoordinator.Answer {
  fileprivate func isStale(against merged: KVObject) -> Bool {
    switch state {
    case .notFound: true
    case .object(let object, _):
      object.clock != merged.clock || object.siblings.map(\.dot) != merged.siblings.map(\.dot)
    case .waiting, .fetching, .failed: false
    }
  }
}

extension GetCoordinator {
  /// The replies counted as reference section 1.4 counts them.
  fileprivate struct Tally {
    var successes = 0
    var primaries = 0
    var failures = 0
    var found = 0
    var errors: [RequestFailure] = []
    var nodes: Set<NodeID> = []

    init(_ answers: [Answer], _ plan: GetPlan) {
      for answer in answers {
        switch answer.state {
        case .waiting: continue
        case .failed(let failure):
          errors.append(failure)
          failures += 1
          continue
        case .notFound where !plan.notFoundOK:
          failures += 1
          continue
        case .object, .fetching: found += 1
        case .notFound: break
        }
        successes += 1
        nodes.insert(answer.replica.node)
        if answer.replica.role == .primary { primaries += 1 }
      }
    }

    func isEnough(for plan: GetPlan) -> Bool {
      successes >= plan.r && primaries >= plan.pr && nodes.count >= plan.nodeConfirms
    }

    /// Why there are too few.
    ///
    /// Without any error or object the key is simply not found.
    func outcome(for plan: GetPlan) -> Result<KVObject, RequestFailure> {
      if errors.isEmpty, found == 0, successes == 0 { return .success(KVObject()) }
      if !errors.isEmpty, errors.allSatisfy({ $0 == .overload }) { return .failure(.overload) }
      if successes < plan.r { return .failure(.rUnsatisfied(need: plan.r, got: successes)) }
      if primaries < plan.pr { return .failure(.prUnsatisfied(need: plan.pr, got: primaries)) }
      return .failure(.insufficientNodes(need: plan.nodeConfirms, got: nodes.count))
    }
  }
}

extension GetPlan {
  /// So many failures decide that the GET fails.
  var failureThreshold: Int {
    let threshold = n - max(r, pr) + 1
    return basicQuorum ? min(n / 2 + 1, threshold) : threshold
  }
}
