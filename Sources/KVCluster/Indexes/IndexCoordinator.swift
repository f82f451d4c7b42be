import KVBase
public import KVModel

/// Merges the hits of one index query from the vnodes of its coverage plan, in order.
///
/// Every vnode tells its hits in order, page by page, so that only a page of each is held, and a query
/// with a limit ends as soon as it is reached.
///
/// **Invariants**: there is exactly one `finished`; hits are delivered in order, each once.
public struct IndexCoordinator: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the vnode of the part for the page after the hit.
    case ask(CoveragePlan.Part, after: IndexEntry?)
    /// Hand some hits on; never an empty list.
    case deliver([IndexEntry])
    /// The end, or why the query stopped.
    case finished(RequestFailure?)
  }

  private struct Source: Sendable {
    var part: CoveragePlan.Part
    var entries: [IndexEntry] = []
    var position = 0
    /// Where the next page begins; nil when there is none.
    var cursor: IndexEntry?
    var isAsked = true

    var next: IndexEntry? { position < entries.count ? entries[position] : nil }
  }

  /// The hits held of all vnodes together, at most.
  private static let heldLimit = 100_000
  /// The most hits handed on at once.
  private static let batchLimit = 1000

  /// What is asked.
  public let query: IndexQuery
  /// The most hits on a page.
  public let pageLimit: Int
  private let after: IndexEntry?
  private var left: Int
  private var sources: [Source]
  private var isFinished = false

  /// A query over the vnodes of `plan` for at most `limit` hits that follow `after`.
  public init(query: IndexQuery, plan: CoveragePlan, after: IndexEntry?, limit: Int?) {
    self.query = query
    self.after = after
    left = limit ?? .max
    sources = plan.parts.map { Source(part: $0, cursor: after) }
    let share = max(16, Self.heldLimit / max(1, plan.parts.count))
    pageLimit = max(1, min(share, Self.batchLimit, left))
  }

  /// Asks all vnodes.
  public mutating func start(into actions: inout [Action]) {
    guard left > 0, !sources.isEmpty else { return finish(nil, into: &actions) }
    for source in sources { actions.append(.ask(source.part, after: after)) }
  }

  /// Takes in a page.
  ///
  /// Replies of vnodes that were not asked change nothing.
  public mutating func receive(
    _ result: Result<IndexReply.Page, RequestFailure>, partition: PartitionID, node: NodeID,
    into actions: inout [Action]
  ) {
    guard !isFinished,
      let index = sources.firstIndex(where: {
        $0.isAsked && $0.part.partition == partition && $0.part.node == node
      })
    else { return }
    switch result {
    case .failure(let failure): finish(failure, into: &actions)
    case .success(let page):
      sources[index].isAsked = false
      sources[index].entries = page.entries
      sources[index].position = 0
      sources[index].cursor = page.cursor
      advance(into: &actions)
    }
  }

  /// Stops when a vnode that is needed has become unavailable.
  public mutating func viewChanged(_ view: ClusterView, into actions: inout [Action]) {
    guard !isFinished,
      sources.contains(where: {
        ($0.isAsked || $0.cursor != nil) && !view.isAvailable($0.part.node)
      })
    else { return }
    finish(.insufficientVnodes(need: 1, got: 0), into: &actions)
  }

  /// Stops because the time is up.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    if !isFinished { finish(.timeout, into: &actions) }
  }

  /// Hands on what is known to come first, and asks for more where nothing is left.
  private mutating func advance(into actions: inout [Action]) {
    var batch: [IndexEntry] = []
    defer { if !batch.isEmpty, !isFinished { actions.append(.deliver(batch)) } }
    while left > 0 {
      var isWaiting = false
      var best: Int?
      for index in sources.indices {
        if let next = sources[index].next {
          if best.flatMap({ sources[$0].next }).map({ next < $0 }) ?? true { best = index }
        } else if sources[index].isAsked {
          isWaiting = true
        } else if let cursor = sources[index].cursor {
          sources[index].isAsked = true
          actions.append(.ask(sources[index].part, after: cursor))
          isWaiting = true
        }
      }
      if isWaiting { return }
      guard let best, let entry = sources[best].next else { break }
      sources[best].position += 1
      left -= 1
      batch.append(entry)
      if batch.count == Self.batchLimit {
        actions.append(.deliver(batch))
        batch = []
      }
    }
    if !batch.isEmpty { actions.append(.deliver(batch)) }
    batch = []
    finish(nil, into: &actions)
  }

  private mutating func finish(_ failure: RequestFailure?, into actions: inout [Action]) {
    isFinished = true
    actions.append(.finished(failure))
  }
}
