import KVBase
public import KVModel

/// Puts the answer to a ``KeyQuery`` together from the vnodes of its coverage plan.
///
/// A few vnodes work at a time, and each tells its next page when the one before has been handed on.
///
/// **Invariants**: there is exactly one `finished`; what each vnode tells is handed on once.
public struct KeyQueryCoordinator: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the vnode of the part for the step with the number; step 0 begins.
    case ask(CoveragePlan.Part, number: UInt32)
    /// Hand a part of the answer on.
    case deliver(KeyQueryPage)
    /// Tell the vnode that nobody waits for more.
    case giveUp(CoveragePlan.Part)
    /// The end, or why the query stopped.
    case finished(RequestFailure?)
  }

  /// The most vnodes that work at once.
  public static let window = 4

  /// What is asked.
  public let query: KeyQuery
  private var waiting: [CoveragePlan.Part]
  private var asked: [(part: CoveragePlan.Part, number: UInt32)] = []
  private var isFinished = false

  /// A query over the vnodes of `plan`.
  public init(query: KeyQuery, plan: CoveragePlan) {
    self.query = query
    waiting = plan.parts.reversed()
  }

  /// Asks the first vnodes.
  public mutating func start(into actions: inout [Action]) { askMore(into: &actions) }

  /// Takes in a step; steps that were not asked for change nothing.
  public mutating func receive(
    _ result: Result<KeyQueryScan.Step, RequestFailure>, number: UInt32, partition: PartitionID,
    node: NodeID, into actions: inout [Action]
  ) {
    guard !isFinished,
      let index = asked.firstIndex(where: {
        $0.part.partition == partition && $0.part.node == node && $0.number == number
      })
    else { return }
    switch result {
    case .failure(let failure):
      asked.remove(at: index)
      finish(failure, into: &actions)
    case .success(let step):
      if step.page != KeyQueryPage() { actions.append(.deliver(step.page)) }
      if step.isLast {
        asked.remove(at: index)
        askMore(into: &actions)
      } else {
        asked[index].number += 1
        actions.append(.ask(asked[index].part, number: asked[index].number))
      }
    }
  }

  /// Stops when a vnode that is needed has become unavailable.
  public mutating func viewChanged(_ view: ClusterView, into actions: inout [Action]) {
    guard !isFinished, (asked.map(\.part) + waiting).contains(where: { !view.isAvailable($0.node) })
    else { return }
    finish(.insufficientVnodes(need: 1, got: 0), into: &actions)
  }

  /// Stops for the given reason: the time is up, or the client is gone.
  public mutating func stop(_ failure: RequestFailure, into actions: inout [Action]) {
    if !isFinished { finish(failure, into: &actions) }
  }

  private mutating func askMore(into actions: inout [Action]) {
    while asked.count < Self.window, let part = waiting.popLast() {
      asked.append((part, 0))
      actions.append(.ask(part, number: 0))
    }
    if asked.isEmpty { finish(nil, into: &actions) }
  }

  private mutating func finish(_ failure: RequestFailure?, into actions: inout [Action]) {
    isFinished = true
    for (part, _) in asked { actions.append(.giveUp(part)) }
    asked = []
    actions.append(.finished(failure))
  }
}
