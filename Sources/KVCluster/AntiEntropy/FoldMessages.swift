import KVBase
public import KVModel

/// Asks a vnode for one page of a fold.
public struct FoldRequest: Hashable, Sendable {
  /// The asker's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// What is asked.
  public var query: FoldQuery
  /// Only keys whose preference list starts at one of these.
  public var firstPartitions: [PartitionID]
  /// Only what follows this key; nil for the first page.
  public var cursor: ObjectKey?

  /// A page of a fold over the vnode of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, query: FoldQuery,
    firstPartitions: [PartitionID], cursor: ObjectKey?
  ) {
    self.operation = operation
    self.partition = partition
    self.query = query
    self.firstPartitions = firstPartitions
    self.cursor = cursor
  }
}

/// One page of a fold.
public struct FoldReply: Hashable, Sendable {
  /// What a page counted, and where to go on.
  public struct Page: Hashable, Sendable {
    /// What was counted or found.
    public var result: FoldResult
    /// The cursor of the next page; nil when this was the last.
    public var cursor: ObjectKey?

    /// A page and its successor's cursor.
    public init(result: FoldResult, cursor: ObjectKey?) {
      self.result = result
      self.cursor = cursor
    }
  }

  /// The asker's operation.
  public var operation: OperationID
  /// The vnode.
  public var partition: PartitionID
  /// The page, or why there is none.
  public var result: Result<Page, RequestFailure>

  /// A page from the vnode of `partition`.
  public init(
    operation: OperationID, partition: PartitionID, result: Result<Page, RequestFailure>
  ) {
    self.operation = operation
    self.partition = partition
    self.result = result
  }
}

extension Vnodes {
  private static let foldCount = 1000
  private static let foldBytes = 1 << 20

  /// Goes through the next heads of a vnode for a fold: at most a thousand.
  public func fold(_ request: FoldRequest, ringSize: Int) -> Result<FoldReply.Page, RequestFailure>
  {
    do throws(ReplicaStoreFailure) {
      let start = request.query.bucket.flatMap { bucket in
        request.query.from.flatMap { from in
          from.isEmpty ? nil : ObjectKey(bucket: bucket, key: Bytes(from.dropLast()))
        }
      }
      let scan = try store.scan(
        request.partition, bucket: request.query.bucket, after: request.cursor ?? start,
        limit: Self.foldCount, byteLimit: Self.foldBytes, headsOnly: true)
      var page = FoldReply.Page(
        result: FoldResult(), cursor: scan.isComplete ? nil : scan.entries.last?.key)
      for entry in scan.entries {
        let first = Ring.firstPartition(of: entry.key, ringSize: ringSize)
        guard request.firstPartitions.contains(first),
          let (object, byteCount) = try? KVObject.measure(encodedHead: entry.encoded)
        else { continue }
        page.result.add(entry.key, object, byteCount: byteCount, to: request.query)
      }
      // Beyond the range of one bucket nothing can fit any more.
      if request.query.bucket != nil, let through = request.query.through,
        let last = page.cursor, through.lexicographicallyPrecedes(last.key)
      {
        page.cursor = nil
      }
      return .success(page)
    } catch {
      return .failure(.storage(error.description))
    }
  }
}

/// Collects one fold from the vnodes of its coverage plan, page by page.
///
/// **Invariants**: there is exactly one `finished`; each object is counted once.
public struct FoldCoordinator: Sendable {
  /// What must be done next.
  public enum Action: Hashable, Sendable {
    /// Ask the vnode of the part for the page after the cursor.
    case ask(CoveragePlan.Part, cursor: ObjectKey?)
    /// The whole answer, or why there is none.
    case finished(Result<FoldResult, RequestFailure>)
  }

  /// The most vnodes asked at once.
  public static let window = 2

  /// What is asked.
  public let query: FoldQuery
  private var waiting: [CoveragePlan.Part]
  private var asked: [CoveragePlan.Part] = []
  private var result = FoldResult()

  /// A fold over the vnodes of `plan`.
  public init(query: FoldQuery, plan: CoveragePlan) {
    self.query = query
    waiting = plan.parts.reversed()
  }

  /// Asks the first vnodes.
  public mutating func start(into actions: inout [Action]) { askMore(into: &actions) }

  /// Takes in a page; replies of vnodes that were not asked change nothing.
  public mutating func receive(
    _ page: Result<FoldReply.Page, RequestFailure>, partition: PartitionID, node: NodeID,
    into actions: inout [Action]
  ) {
    guard let index = asked.firstIndex(where: { $0.partition == partition && $0.node == node })
    else { return }
    switch page {
    case .failure(let failure): actions.append(.finished(.failure(failure)))
    case .success(let page):
      result.merge(page.result)
      if let cursor = page.cursor {
        actions.append(.ask(asked[index], cursor: cursor))
      } else {
        asked.remove(at: index)
        askMore(into: &actions)
      }
    }
  }

  /// True when the fold needs a vnode that has become unavailable.
  public func isBroken(in view: ClusterView) -> Bool {
    (asked + waiting).contains { !view.isAvailable($0.node) }
  }

  private mutating func askMore(into actions: inout [Action]) {
    while asked.count < Self.window, let part = waiting.popLast() {
      asked.append(part)
      actions.append(.ask(part, cursor: nil))
    }
    if asked.isEmpty { actions.append(.finished(.success(result))) }
  }
}
