public import KVBase
public import KVModel

/// Counts the copies of one PUT that its coordinating vnode has performed, and answers.
///
/// The coordinating vnode has merged and stored the object; the others are sent it at once. A vnode
/// that does not answer in time, refuses, or runs on a node that has become unavailable is replaced
/// by the next fallback, also after the answer: the object is to have N copies, not only W.
///
/// **Invariants**: 1. there is exactly one `answer` and one `finished`, in this order; 2. each
/// partition counts once, whichever of its vnodes stored the object.
///
/// **Source**: Dynamo (SOSP 2007) §4.5 and §4.6; reference sections 1.4 and 1.7.
public struct PutCoordinator: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Send the object to the vnode.
    case write(Replica, isRetry: Bool)
    /// Tell whoever asked; at most once.
    case answer(RequestFailure?)
    /// Nothing is left to do; the coordinator can be dropped.
    case finished
  }

  fileprivate enum State: Hashable, Sendable {
    case waiting
    case received
    case stored
    case refused
  }

  fileprivate struct Copy: Hashable, Sendable {
    var replica: Replica
    var state: State
    var isReplaced = false
  }

  /// What is written.
  public let key: ObjectKey
  /// The encoded object as the coordinating vnode stored it.
  public let encoded: Bytes
  /// How the PUT is decided.
  public let plan: PutPlan
  private var copies: [Copy]
  /// Why the coordinating vnode's own copy could not be made durable.
  private var ownRefusal: RequestFailure?
  private var isAnswered = false
  private var isFinished = false

  /// A PUT that the vnode of `coordinator` has performed here but that is not durable yet.
  public init(key: ObjectKey, encoded: Bytes, plan: PutPlan, coordinator: Replica) {
    self.key = key
    self.encoded = encoded
    self.plan = plan
    copies = [Copy(replica: coordinator, state: .received)]
    for replica in plan.replicas where replica.partition != coordinator.partition {
      copies.append(Copy(replica: replica, state: .waiting))
    }
  }

  /// Whether replicas should say that they received the object before they have stored it.
  public var wantsReceipts: Bool { plan.w > plan.dw }

  /// Sends the object to the other vnodes.
  public func start(into actions: inout [Action]) {
    for copy in copies.dropFirst() { actions.append(.write(copy.replica, isRetry: false)) }
  }

  /// Takes in how far a vnode got.
  ///
  /// Replies of others, and second ones, change nothing.
  public mutating func receive(
    _ outcome: WriteReply.Outcome, partition: PartitionID, node: NodeID, view: ClusterView,
    into actions: inout [Action]
  ) {
    guard !isFinished,
      let index = copies.firstIndex(where: {
        $0.replica.partition == partition && $0.replica.node == node
      })
    else { return }
    switch outcome {
    case .received where copies[index].state == .waiting: copies[index].state = .received
    case .stored: copies[index].state = .stored
    case .refused(let failure) where copies[index].state != .stored:
      copies[index].state = .refused
      if index == 0 { ownRefusal = failure } else { replace(index, in: view, into: &actions) }
    case .received, .refused: break
    }
    evaluate(into: &actions)
  }

  /// Replaces the vnodes of nodes that have become unavailable.
  public mutating func viewChanged(_ view: ClusterView, into actions: inout [Action]) {
    guard !isFinished else { return }
    for index in copies.indices.dropFirst()
    where copies[index].isOutstanding && !view.isAvailable(copies[index].replica.node) {
      copies[index].state = .refused
      replace(index, in: view, into: &actions)
    }
    evaluate(into: &actions)
  }

  /// Repeats the write at vnodes that have not answered yet, and asks fallbacks as well.
  public mutating func retry(in view: ClusterView, into actions: inout [Action]) {
    guard !isFinished else { return }
    for index in copies.indices.dropFirst() where copies[index].isOutstanding {
      actions.append(.write(copies[index].replica, isRetry: true))
      replace(index, in: view, into: &actions)
    }
  }

  /// Ends the wait for the answer.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    guard !isFinished, !isAnswered else { return }
    answer(.timeout, into: &actions)
  }

  /// Ends the wait for late copies.
  public mutating func abandon(into actions: inout [Action]) {
    guard !isFinished else { return }
    if !isAnswered { answer(.timeout, into: &actions) }
    finish(into: &actions)
  }
}

extension PutCoordinator.Copy {
  fileprivate var isOutstanding: Bool { state == .waiting || state == .received }
}

extension PutCoordinator {
  /// Sends the object to the next fallback of a vnode's partition; once for each vnode.
  private mutating func replace(
    _ index: Int, in view: ClusterView, into actions: inout [Action]
  ) {
    guard plan.sloppy, !copies[index].isReplaced else { return }
    let partition = copies[index].replica.partition
    guard
      let node = view.nextFallback(
        for: partition, key: key, n: plan.n, among: copies.map(\.replica))
    else { return }
    copies[index].isReplaced = true
    let fallback = Replica(
      partition: partition, node: node,
      role: view.ring.owner(of: partition) == node ? .primary : .fallback)
    copies.append(Copy(replica: fallback, state: .waiting))
    actions.append(.write(fallback, isRetry: true))
  }

  private mutating func evaluate(into actions: inout [Action]) {
    if !isAnswered { decide(into: &actions) }
    if isAnswered, !isFinished, isEverywhere { finish(into: &actions) }
  }

  /// True when each partition has its copy, or nobody is left who could still store it.
  private var isEverywhere: Bool {
    copies.allSatisfy { copy in
      !copy.isOutstanding
        || copies.contains { $0.replica.partition == copy.replica.partition && $0.state == .stored }
    }
  }

  private func partitions(_ isCounted: (Copy) -> Bool) -> Int {
    Set(copies.filter(isCounted).map(\.replica.partition)).count
  }

  private mutating func decide(into actions: inout [Action]) {
    let receipts = partitions { $0.state == .stored || $0.state == .received }
    let durable = partitions { $0.state == .stored }
    let primaries = partitions { $0.state == .stored && $0.replica.role == .primary }
    let nodes = Set(copies.filter { $0.state == .stored }.map(\.replica.node)).count
    let isFlushed = plan.syncOnWrite != .one || copies[0].state == .stored
    if receipts >= plan.w, durable >= plan.dw, primaries >= plan.pw, nodes >= plan.nodeConfirms,
      isFlushed
    {
      return answer(nil, into: &actions)
    }
    if plan.syncOnWrite == .one, let ownRefusal { return answer(ownRefusal, into: &actions) }
    let possible = partitions { $0.state != .refused }
    let possiblePrimaries = partitions { $0.state != .refused && $0.replica.role == .primary }
    let possibleNodes = Set(copies.filter { $0.state != .refused }.map(\.replica.node)).count
    let failure: RequestFailure
    if possible < max(plan.dw, plan.w) {
      // Never `overload`, which tells the client that nothing was done: this vnode has stored it.
      if let ownRefusal {
        failure = ownRefusal
      } else if durable < plan.dw {
        failure = .dwUnsatisfied(need: plan.dw, got: durable)
      } else {
        failure = .dwUnsatisfied(need: plan.w, got: receipts)
      }
    } else if possiblePrimaries < plan.pw {
      failure = .pwUnsatisfied(need: plan.pw, got: primaries)
    } else if possibleNodes < plan.nodeConfirms {
      failure = .nodeConfirmsUnsatisfied(need: plan.nodeConfirms, got: nodes)
    } else {
      return
    }
    answer(failure, into: &actions)
  }

  private mutating func answer(_ failure: RequestFailure?, into actions: inout [Action]) {
    isAnswered = true
    actions.append(.answer(failure))
  }

  private mutating func finish(into actions: inout [Action]) {
    isFinished = true
    actions.append(.finished)
  }
}
