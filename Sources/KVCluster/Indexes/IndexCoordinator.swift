import KVBase
public import KVModel

/// Merges the hits of one index query from the vnodes of its coverage plan, in order.
///
/// Every vnode tells its hits in order, page by page, so that only a page of each is held, and a query
/// with a limit ends as soon as it is reached. What a vnode that is lost, refuses, stays silent or no
/// longer owns its partition has not told, other replicas tell. While the client takes nothing, nothing is
/// asked.
///
/// **Invariants**: 1. there is exactly one `finished`; 2. hits are delivered in order, each once;
/// 3. an answer counts only for the question that it was given to, and once.
public struct IndexCoordinator: Sendable {
  /// A question to one vnode.
  public struct Question: Hashable, Sendable {
    /// Tells the questions of one query apart.
    public var number: UInt32
    /// The vnode, and the key ranges that it is to tell.
    public var part: CoveragePlan.Part
    /// The hit after which the page begins; nil for the first hit.
    public var after: IndexEntry?
  }

  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask a vnode for a page.
    case ask(Question)
    /// Hand some hits on; never an empty list.
    case deliver([IndexEntry])
    /// The end, or why the query stopped.
    case finished(RequestFailure?)
  }

  private struct Source: Sendable {
    /// What is still to be asked for; nil when there is nothing.
    var open: OpenPart<IndexEntry>?
    /// The number of the question under way.
    var question: UInt32?
    var entries: [IndexEntry] = []
    var position = 0

    var next: IndexEntry? { position < entries.count ? entries[position] : nil }
  }

  /// The hits held of all vnodes together, at most, while none is replaced.
  private static let heldLimit = 100_000
  /// The most deliveries that wait to be taken before no more is told or asked.
  public static let deliveryLimit = 4
  /// The most hits handed on at once.
  private static let batchLimit = 1000

  /// What is asked.
  public let query: IndexQuery
  /// The most hits on a page.
  public let pageLimit: Int
  private let n: Int
  private var left: Int
  private var sources: [Source]
  private var nextNumber: UInt32 = 0
  private var untaken = 0
  private var isFinished = false

  /// A query over the vnodes of `plan`, for keys with `n` replicas, for at most `limit` hits that
  /// follow `after`.
  public init(
    query: IndexQuery, plan: CoveragePlan, n: Int, after: IndexEntry?, limit: Int?
  ) {
    self.query = query
    self.n = n
    left = limit ?? .max
    sources = plan.parts.map { Source(open: OpenPart($0, after: after)) }
    let share = max(16, Self.heldLimit / max(1, plan.parts.count))
    pageLimit = max(1, min(share, Self.batchLimit, left))
  }

  /// Asks all vnodes.
  public mutating func start(into actions: inout [Action]) { advance(into: &actions) }

  /// Takes in the answer to a question.
  ///
  /// Answers to questions that are no longer open change nothing.
  public mutating func receive(
    _ result: Result<IndexReply.Page, RequestFailure>, to number: UInt32, in view: ClusterView,
    into actions: inout [Action]
  ) {
    guard !isFinished, let index = sources.firstIndex(where: { $0.question == number }) else {
      return
    }
    switch result {
    case .failure(let failure):
      guard replace(index, in: view) else { return finish(failure, into: &actions) }
    case .success(let page):
      sources[index].question = nil
      sources[index].entries = page.entries
      sources[index].position = 0
      if let cursor = page.cursor {
        sources[index].open?.advance(to: cursor)
      } else {
        sources[index].open = nil
      }
    }
    advance(into: &actions)
  }

  /// The client has taken one delivery.
  public mutating func taken(into actions: inout [Action]) {
    guard !isFinished else { return }
    untaken = max(0, untaken - 1)
    advance(into: &actions)
  }

  /// Gives up waiting for the answer to a question, and asks another replica.
  public mutating func overdue(
    _ number: UInt32, in view: ClusterView, into actions: inout [Action]
  ) {
    receive(.failure(.timeout), to: number, in: view, into: &actions)
  }

  /// Lets other replicas take over from vnodes that are lost or whose partitions have moved.
  public mutating func viewChanged(_ view: ClusterView, into actions: inout [Action]) {
    guard !isFinished else { return }
    for index in sources.indices {
      guard let open = sources[index].open, !open.isAtHome(in: view) else { continue }
      guard replace(index, in: view) else {
        return finish(.insufficientVnodes(need: 1, got: 0), into: &actions)
      }
    }
    advance(into: &actions)
  }

  /// Stops because the time is up.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    if !isFinished { finish(.timeout, into: &actions) }
  }

  /// Lets others tell what a vnode has not told; what it has told is kept.
  private mutating func replace(_ index: Int, in view: ClusterView) -> Bool {
    guard let parts = sources[index].open?.replaced(n: n, in: view) else { return false }
    sources[index].open = nil
    sources[index].question = nil
    sources += parts.map { Source(open: $0) }
    return true
  }

  /// Hands on what is known to come first, and asks for more where nothing is left.
  private mutating func advance(into actions: inout [Action]) {
    sources.removeAll { $0.open == nil && $0.next == nil }
    var batch: [IndexEntry] = []
    while left > 0, untaken < Self.deliveryLimit {
      let isWaiting = askMore(into: &actions)
      if isWaiting { break }
      guard let best = firstSource, let entry = sources[best].next else { break }
      sources[best].position += 1
      left -= 1
      batch.append(entry)
      if batch.count == Self.batchLimit { deliver(&batch, into: &actions) }
    }
    if !batch.isEmpty { deliver(&batch, into: &actions) }
    let isTold = sources.allSatisfy { $0.open == nil && $0.next == nil }
    if left == 0 || isTold { finish(nil, into: &actions) }
  }

  private mutating func deliver(_ batch: inout [IndexEntry], into actions: inout [Action]) {
    untaken += 1
    actions.append(.deliver(batch))
    batch = []
  }

  /// Asks every vnode that has more and of which nothing is left; true when an answer is awaited.
  private mutating func askMore(into actions: inout [Action]) -> Bool {
    var isWaiting = false
    for index in sources.indices where sources[index].next == nil {
      guard let open = sources[index].open else { continue }
      isWaiting = true
      guard sources[index].question == nil else { continue }
      sources[index].question = nextNumber
      actions.append(
        .ask(Question(number: nextNumber, part: open.part, after: open.cursor)))
      nextNumber += 1
    }
    return isWaiting
  }

  /// The source whose next hit comes first of all.
  private var firstSource: Int? {
    var best: Int?
    for index in sources.indices {
      guard let next = sources[index].next else { continue }
      if let first = best.flatMap({ sources[$0].next }), first < next { continue }
      best = index
    }
    return best
  }

  private mutating func finish(_ failure: RequestFailure?, into actions: inout [Action]) {
    isFinished = true
    actions.append(.finished(failure))
  }
}
