import KVBase
package import KVModel

/// An AAE fold as clients ask for it: a question to the heads of many objects, and what is done with
/// those it finds.
///
/// Objects are found, and changed, ten thousand at a time, so that what is held is bounded however many
/// there are.
///
/// **Source**: reference sections 1.19, 2.9 and 5.7.
package struct FoldJob: Hashable, Sendable {
  /// What is asked or done.
  package enum Kind: Hashable, Sendable {
    /// Objects with more siblings than this.
    case siblings(moreThan: Int)
    /// Objects of more bytes than this.
    case sizes(moreThan: Int)
    /// Tombstones, with their clocks.
    case tombstones
    /// Numbers, sizes and siblings.
    case statistics
    /// Every object is read from all its replicas, so that they are repaired.
    case repair
    /// Tombstones are queued to be reaped, or just counted.
    case reap(isCount: Bool)
    /// Objects are deleted as they were seen, or just counted.
    case erase(isCount: Bool)
    /// All buckets of all types.
    case buckets
  }

  /// What the node is to be asked next.
  package enum Next: Hashable, Sendable {
    case request(ClientRequest)
    /// The present reply has more parts.
    case wait
    case done
  }

  /// The most objects that one answer names.
  package static let objectLimit = 200_000
  /// The most buckets that one answer names.
  package static let bucketLimit = 500_000
  /// The keys queued for reaping at once.
  private static let batchLimit = 500

  /// What is asked or done.
  package let kind: Kind
  private var query: FoldQuery
  /// What was counted, and all objects that the answer names.
  private(set) var result = FoldResult()
  /// Buckets found so far.
  private(set) var buckets: Set<BucketID> = []
  /// Why the job has failed.
  package private(set) var failure: RequestFailure?
  private var types: [Bytes] = []
  /// Objects of the present page that are still to be changed, the next at the end.
  private var pending: [FoldResult.Found] = []
  /// True while objects of a page are being changed.
  private var isChanging = false
  /// Where the next page begins.
  private var nextFrom: Bytes?

  /// A fold over what `query` says besides its kind.
  package init(_ kind: Kind, over query: FoldQuery) {
    self.kind = kind
    self.query = query
    self.query.kind =
      switch kind {
      case .siblings(let limit): .siblings(moreThan: limit)
      case .sizes(let limit): .size(moreThan: limit)
      case .tombstones, .reap: .tombstones
      case .statistics, .buckets: .statistics
      case .repair, .erase: .live
      }
  }

  /// The first request.
  package func start() -> ClientRequest { kind == .buckets ? .bucketTypes : .fold(query) }

  /// Takes in a reply.
  package mutating func receive(_ reply: ClientReply) -> Next {
    switch reply {
    case .failure(let failure):
      // An object that cannot be changed is left out; a refusal to reap concerns all.
      if isChanging, !isReap { return change() }
      return fail(failure)
    case .folded(let page): return take(page)
    case .bucketTypes(let types):
      self.types = types.reversed()
      return nextType()
    case .buckets(let names, let done):
      guard let type = types.last else { return .done }
      buckets.formUnion(names.map { BucketID(type: type, name: $0) })
      guard buckets.count <= Self.bucketLimit else {
        return fail(.tooLarge("more than \(Self.bucketLimit) buckets"))
      }
      guard done else { return .wait }
      types.removeLast()
      return nextType()
    default: return change()
    }
  }

  private var isReap: Bool { if case .reap = kind { true } else { false } }

  private mutating func fail(_ failure: RequestFailure) -> Next {
    self.failure = failure
    return .done
  }

  private func nextType() -> Next {
    guard let type = types.last else { return .done }
    return .request(.listBuckets(type: type, timeout: nil))
  }

  // MARK: Objects

  private mutating func take(_ page: FoldResult) -> Next {
    nextFrom = nil
    if page.isTruncated(query), let last = page.found.last { nextFrom = last.key.key + [0] }
    switch kind {
    case .statistics, .buckets, .reap(isCount: true), .erase(isCount: true):
      result = page
      return .done
    case .siblings, .sizes, .tombstones:
      result.count += page.found.count
      result.found += page.found
      guard result.found.count <= Self.objectLimit else {
        return fail(.tooLarge("more than \(Self.objectLimit) objects"))
      }
      return nextPage()
    case .repair, .reap, .erase:
      result.count += page.found.count
      pending = page.found.reversed()
      return change()
    }
  }

  private mutating func nextPage() -> Next {
    guard let from = nextFrom else { return .done }
    query.from = from
    isChanging = false
    return .request(.fold(query))
  }

  /// Changes the next object, or goes on to the next page.
  private mutating func change() -> Next {
    guard let found = pending.popLast() else { return nextPage() }
    isChanging = true
    switch kind {
    case .repair:
      var options = GetOptions()
      options.r = .all
      return .request(.get(found.key, options))
    case .erase: return .request(.delete(found.key, context: found.clock, DeleteOptions()))
    default:
      var keys = [found.key]
      while keys.count < Self.batchLimit, let next = pending.popLast() { keys.append(next.key) }
      return .request(.reap(keys))
    }
  }
}
