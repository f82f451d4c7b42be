public import KVBase
public import KVModel

/// Which vnodes together hold every key of the ring, and which keys each of them is to tell.
///
/// **Source**: reference section 4.8.
public struct CoveragePlan: Hashable, Sendable {
  /// One vnode and the first partitions of the keys it is to tell.
  public struct Part: Hashable, Sendable {
    /// The vnode's partition.
    public var partition: PartitionID
    /// The vnode's node.
    public var node: NodeID
    /// Keys whose preference list starts here.
    public var firstPartitions: [PartitionID]
  }

  /// The vnodes, each key range assigned to exactly one.
  public private(set) var parts: [Part] = []

  /// A cover for keys with `n` replicas; `start` spreads the load of different listings.
  ///
  /// Fails when some keys have no available owner.
  public static func make(
    in view: ClusterView, n: Int, start: Int
  ) -> Result<CoveragePlan, RequestFailure> {
    let size = view.ring.size
    let n = min(n, size)
    var plan = CoveragePlan()
    var covered = 0
    while covered < size {
      let first = start + covered
      // The last owner of this range that is up covers the most ranges after it.
      guard
        let reach = (0..<n).last(where: { step in
          view.isAvailable(view.ring.owner(of: PartitionID((first + step) % size)))
        })
      else {
        return .failure(.insufficientVnodes(need: 1, got: 0))
      }
      let count = min(reach + 1, size - covered)
      let partition = PartitionID((first + reach) % size)
      plan.parts.append(
        Part(
          partition: partition, node: view.ring.owner(of: partition),
          firstPartitions: (0..<count).map { PartitionID((first + $0) % size) }))
      covered += count
    }
    return .success(plan)
  }
}

/// Collects one listing from the vnodes of its coverage plan, page by page.
///
/// A few vnodes are asked at a time, and each is asked for its next page when its last one has been
/// handed on, so a listing of any size takes the memory of a few pages.
///
/// **Invariants**: there is exactly one `finished`; a key is delivered once.
public struct ListCoordinator: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the vnode of the part for the page after the cursor.
    case ask(CoveragePlan.Part, cursor: ObjectKey?)
    /// Hand some names on; never an empty list.
    case deliver([Bytes])
    /// The end, or why the listing stopped.
    case finished(RequestFailure?)
  }

  /// The most names on a page.
  public static let pageLimit = 1000
  /// The most vnodes asked at once.
  public static let window = 4
  /// Beyond this many buckets a bucket may be listed more than once.
  public static let bucketLimit = 65_536

  /// Buckets or keys.
  public let scope: ListingScope
  private var waiting: [CoveragePlan.Part]
  private var asked: [CoveragePlan.Part] = []
  private var buckets: Set<Bytes> = []
  private var isFinished = false

  /// A listing over the vnodes of `plan`.
  public init(scope: ListingScope, plan: CoveragePlan) {
    self.scope = scope
    waiting = plan.parts.reversed()
  }

  /// Asks the first vnodes.
  public mutating func start(into actions: inout [Action]) { askMore(into: &actions) }

  /// Takes in a page.
  ///
  /// Replies of vnodes that were not asked change nothing.
  public mutating func receive(
    _ result: Result<ListReply.Page, RequestFailure>, partition: PartitionID, node: NodeID,
    into actions: inout [Action]
  ) {
    guard !isFinished,
      let index = asked.firstIndex(where: { $0.partition == partition && $0.node == node })
    else { return }
    switch result {
    case .failure(let failure): finish(failure, into: &actions)
    case .success(let page):
      let names = fresh(page.names)
      if !names.isEmpty { actions.append(.deliver(names)) }
      if let cursor = page.cursor {
        actions.append(.ask(asked[index], cursor: cursor))
      } else {
        asked.remove(at: index)
        askMore(into: &actions)
      }
    }
  }

  /// Stops when a vnode that is needed has become unavailable.
  public mutating func viewChanged(_ view: ClusterView, into actions: inout [Action]) {
    guard !isFinished, (asked + waiting).contains(where: { !view.isAvailable($0.node) }) else {
      return
    }
    finish(.insufficientVnodes(need: 1, got: 0), into: &actions)
  }

  /// Stops because the time is up.
  public mutating func deadlineExpired(into actions: inout [Action]) {
    if !isFinished { finish(.timeout, into: &actions) }
  }

  private mutating func askMore(into actions: inout [Action]) {
    while asked.count < Self.window, let part = waiting.popLast() {
      asked.append(part)
      actions.append(.ask(part, cursor: nil))
    }
    if asked.isEmpty { finish(nil, into: &actions) }
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
