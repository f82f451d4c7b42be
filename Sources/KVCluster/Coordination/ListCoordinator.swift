public import KVBase
public import KVModel

/// Collects one listing from the vnodes of its coverage plan, page by page.
///
/// A few vnodes are asked at a time, and each is asked for its next page when its last one has been
/// handed on and taken, so a listing of any size takes the memory of a few pages, however slowly the
/// client reads.
///
/// **Invariants**: there is exactly one `finished`; a key is delivered once.
public struct ListCoordinator: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the vnode for the page after the question's cursor.
    case ask(Coverage.Question)
    /// Hand some names on; never an empty list.
    case deliver([Bytes])
    /// The end, or why the listing stopped.
    case finished(RequestFailure?)
  }

  /// The most deliveries that wait to be taken before no more is asked.
  public static let deliveryLimit = 4
  /// Beyond this many buckets a bucket may be listed more than once.
  public static let bucketLimit = 65_536

  /// Buckets or keys.
  public let scope: ListingScope
  private var coverage: Coverage
  private var buckets: Set<Bytes> = []
  private var untaken = 0
  private var isFinished = false

  /// A listing of keys with `n` replicas over the vnodes of `plan`.
  public init(scope: ListingScope, plan: CoveragePlan, n: Int) {
    self.scope = scope
    coverage = Coverage(plan: plan, n: n)
  }

  /// Asks the first vnodes.
  public mutating func start(into actions: inout [Action]) { askMore(into: &actions) }

  /// Takes in the answer to a question.
  ///
  /// Answers to questions that are no longer open change nothing.
  public mutating func receive(
    _ result: Result<ListReply.Page, RequestFailure>, to number: UInt32, in view: ClusterView,
    into actions: inout [Action]
  ) {
    guard !isFinished else { return }
    switch result {
    case .failure(let failure): fail(number, failure, in: view, into: &actions)
    case .success(let page):
      guard coverage.answered(number, cursor: page.cursor) else { return }
      let names = fresh(page.names)
      if !names.isEmpty {
        untaken += 1
        actions.append(.deliver(names))
      }
      askMore(into: &actions)
    }
  }

  /// The client has taken one delivery.
  public mutating func taken(into actions: inout [Action]) {
    guard !isFinished else { return }
    untaken = max(0, untaken - 1)
    askMore(into: &actions)
  }

  /// Gives up waiting for the answer to a question, and asks another replica.
  public mutating func overdue(
    _ number: UInt32, in view: ClusterView, into actions: inout [Action]
  ) {
    guard !isFinished else { return }
    fail(number, .timeout, in: view, into: &actions)
  }

  /// Lets other replicas take over from vnodes that are lost or whose partitions have moved.
  public mutating func viewChanged(_ view: ClusterView, into actions: inout [Action]) {
    guard !isFinished else { return }
    guard coverage.viewChanged(view) else {
      return finish(.insufficientVnodes(need: 1, got: 0), into: &actions)
    }
    askMore(into: &actions)
  }

  /// Stops because the time is up.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    if !isFinished { finish(.timeout, into: &actions) }
  }

  private mutating func fail(
    _ number: UInt32, _ failure: RequestFailure, in view: ClusterView,
    into actions: inout [Action]
  ) {
    guard coverage.failed(number, in: view) else { return finish(failure, into: &actions) }
    askMore(into: &actions)
  }

  private mutating func askMore(into actions: inout [Action]) {
    if coverage.isComplete { return finish(nil, into: &actions) }
    guard untaken < Self.deliveryLimit else { return }
    for question in coverage.next() { actions.append(.ask(question)) }
  }

  private mutating func fresh(_ names: [Bytes]) -> [Bytes] {
    guard case .buckets = scope else { return names }
    return names.filter { name in
      if buckets.contains(name) { return false }
      if buckets.count < Self.bucketLimit { buckets.insert(name) }
      return true
    }
  }

  private mutating func finish(_ failure: RequestFailure?, into actions: inout [Action]) {
    isFinished = true
    actions.append(.finished(failure))
  }
}
