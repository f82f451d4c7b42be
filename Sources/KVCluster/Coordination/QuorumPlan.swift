import KVBase
public import KVModel

/// How a GET will be decided: which vnodes are asked and how many of which answers are enough.
///
/// **Source**: reference section 1.4.
public struct GetPlan: Hashable, Sendable {
  /// The vnodes asked, in preference order.
  public var replicas: [Replica]
  /// N of this request.
  public var n: Int
  /// Answers needed.
  public var r: Int
  /// Of those, answers from primaries.
  public var pr: Int
  /// Different nodes that must have answered.
  public var nodeConfirms: Int
  /// Whether to give up at a majority of failures.
  public var basicQuorum: Bool
  /// Whether "not found" is an answer or a failure.
  public var notFoundOK: Bool
  /// Whether nodes other than the owners may be asked.
  public var sloppy: Bool
  /// False when only the newest content counts.
  public var keepsSiblings: Bool

  /// The plan of a GET, or why there can be none.
  public static func make(
    for key: ObjectKey, options: GetOptions, in view: ClusterView
  ) -> Result<GetPlan, RequestFailure> {
    let properties = view.properties(of: key.bucket)
    let n: Int
    switch properties.replicaCount(override: options.nVal) {
    case .success(let count): n = count
    case .failure(let failure): return .failure(failure)
    }
    let plan = GetPlan(
      replicas: view.preferenceList(for: key, n: n, sloppy: options.sloppyQuorum), n: n,
      r: (options.r ?? properties.r).resolved(n: n),
      pr: (options.pr ?? properties.pr).resolved(n: n),
      nodeConfirms: (options.nodeConfirms ?? properties.nodeConfirms).resolved(n: n),
      basicQuorum: options.basicQuorum ?? properties.basicQuorum,
      notFoundOK: options.notFoundOK ?? properties.notFoundOK, sloppy: options.sloppyQuorum,
      keepsSiblings: properties.keepsSiblings)
    return plan.failure.map { .failure($0) } ?? .success(plan)
  }

  private var failure: RequestFailure? {
    if max(r, pr, nodeConfirms) > n { return .nValViolation(n) }
    let primaries = replicas.count { $0.role == .primary }
    if pr > primaries { return .prUnsatisfied(need: pr, got: primaries) }
    if max(r, 1) > replicas.count {
      return .insufficientVnodes(need: max(r, 1), got: replicas.count)
    }
    let nodes = Set(replicas.map(\.node)).count
    if nodeConfirms > nodes { return .insufficientNodes(need: nodeConfirms, got: nodes) }
    return nil
  }
}

/// How a PUT will be decided.
///
/// **Source**: reference section 1.4.
public struct PutPlan: Hashable, Sendable {
  /// The vnodes that will store it, in preference order, the coordinating one among them.
  public var replicas: [Replica]
  /// N of this request.
  public var n: Int
  /// Receipts needed.
  public var w: Int
  /// Durable copies needed, at least 1.
  public var dw: Int
  /// Of those, copies at primaries.
  public var pw: Int
  /// Different nodes that must have stored it.
  public var nodeConfirms: Int
  /// Which vnodes flush before they acknowledge.
  public var syncOnWrite: SyncOnWrite
  /// Whether nodes other than the owners may be used.
  public var sloppy: Bool
  /// False when only the newest content counts.
  public var keepsSiblings: Bool
  /// True when the write replaces whatever there is.
  public var replacesAll: Bool

  /// The plan of a PUT, or why there can be none.
  public static func make(
    for key: ObjectKey, options: PutOptions, in view: ClusterView
  ) -> Result<PutPlan, RequestFailure> {
    let properties = view.properties(of: key.bucket)
    let n: Int
    switch properties.replicaCount(override: options.nVal) {
    case .success(let count): n = count
    case .failure(let failure): return .failure(failure)
    }
    let plan = PutPlan(
      replicas: view.preferenceList(for: key, n: n, sloppy: options.sloppyQuorum), n: n,
      w: (options.w ?? properties.w).resolved(n: n),
      dw: max(1, (options.dw ?? properties.dw).resolved(n: n)),
      pw: (options.pw ?? properties.pw).resolved(n: n),
      nodeConfirms: (options.nodeConfirms ?? properties.nodeConfirms).resolved(n: n),
      syncOnWrite: options.syncOnWrite ?? properties.syncOnWrite, sloppy: options.sloppyQuorum,
      keepsSiblings: properties.keepsSiblings, replacesAll: properties.lastWriteWins)
    return plan.failure.map { .failure($0) } ?? .success(plan)
  }

  private var failure: RequestFailure? {
    if max(w, dw, pw, nodeConfirms) > n { return .nValViolation(n) }
    let primaries = replicas.count { $0.role == .primary }
    if pw > primaries { return .pwUnsatisfied(need: pw, got: primaries) }
    if replicas.isEmpty { return .allNodesDown }
    let need = max(w, dw, pw)
    if need > replicas.count { return .insufficientVnodes(need: need, got: replicas.count) }
    let nodes = Set(replicas.map(\.node)).count
    if nodeConfirms > nodes { return .nodeConfirmsUnsatisfied(need: nodeConfirms, got: nodes) }
    return nil
  }

  /// Whether a replica must flush before it acknowledges.
  public func waitsForSync(atCoordinator: Bool, byDefault: Bool) -> Bool {
    switch syncOnWrite {
    case .backend: byDefault
    case .one: atCoordinator
    case .all: true
    }
  }
}

extension BucketProperties {
  /// False when only the newest content of an object may stay.
  public var keepsSiblings: Bool { allowMult && !lastWriteWins && !isWriteOnce }

  private static let writeOnceName = Bytes("write_once".utf8)
  private static let isTrue = Bytes("true".utf8)

  /// True when an object is not meant to be written twice: of two writes the later stays.
  private var isWriteOnce: Bool {
    opaque.contains { $0.key == Self.writeOnceName && $0.value == Self.isTrue }
  }

  /// N of a request, which may ask for fewer replicas than the bucket's.
  func replicaCount(override: UInt32?) -> Result<Int, RequestFailure> {
    guard let override else { return .success(nVal) }
    guard override >= 1, Int(override) <= nVal else {
      return .failure(.nValViolation(Int(override)))
    }
    return .success(Int(override))
  }
}

extension ClusterView {
  /// The node that stands in for a vnode of `partition` that does not answer: the next available
  /// one clockwise that takes no part in the request, else one that does not have this partition.
  public func nextFallback(
    for partition: PartitionID, key: ObjectKey, n: Int, among replicas: [Replica]
  ) -> NodeID? {
    let first = ring.firstPartition(of: key).index
    let order = (0..<ring.size).map {
      ring.owner(of: PartitionID((first + min(n, ring.size) + $0) % ring.size))
    }
    let candidates = order.filter { isAvailable($0) }
    if let outside = candidates.first(where: { node in !replicas.contains { $0.node == node } }) {
      return outside
    }
    return candidates.first { node in
      !replicas.contains { $0.node == node && $0.partition == partition }
    }
  }
}
