import KVBase
public import KVModel

/// A vnode's part in a ``KeyQuery``: goes through the ranges of all its queries in one snapshot, in
/// steps of bounded work, and then tells the answer in pages of bounded size.
///
/// A key is the vnode's own when its preference list starts at one of the asked partitions, so the
/// sets of all asked vnodes are disjoint and the expression can be applied to each by itself.
public struct KeyQueryScan {
  /// What a step brought.
  public struct Step: Hashable, Sendable {
    /// A part of the answer; empty while the ranges are read.
    public var page: KeyQueryPage
    /// True when the answer is complete.
    public var isLast: Bool

    /// A step with the page.
    public init(page: KeyQueryPage, isLast: Bool) {
      self.page = page
      self.isLast = isLast
    }
  }

  /// What one scan may hold, in bytes.
  public static let heldLimit = 16 << 20
  private static let entryLimit = 1000
  private static let costLimit = 16 << 20
  private static let pageCount = 1000
  private static let pageBytes = 256 << 10
  /// What an element of a set takes besides its bytes.
  private static let overhead = 64

  private let query: KeyQuery
  private let partition: PartitionID
  private let firstPartitions: [PartitionID]
  private let ringSize: Int
  private let snapshot: any ReplicaSnapshot
  private var part = 0
  private var after: IndexEntry?
  private var found: [Int: Set<Bytes>] = [:]
  private var matches = 0
  private var matchesByTerm: [Bytes: Int] = [:]
  private var keysByTerm: [Bytes: Set<Bytes>] = [:]
  private var heldBytes = 0
  /// What is left to be told, the next at the end.
  private var answer: KeyQueryPage?

  /// A scan of the vnode of `partition` as `snapshot` has it.
  public init(
    _ query: KeyQuery, of partition: PartitionID, firstPartitions: [PartitionID], ringSize: Int,
    in snapshot: any ReplicaSnapshot
  ) {
    self.query = query
    self.partition = partition
    self.firstPartitions = firstPartitions
    self.ringSize = ringSize
    self.snapshot = snapshot
  }

  /// Reads on, or tells the next page of the answer.
  public mutating func advance() -> Result<Step, RequestFailure> {
    do throws(ReplicaStoreFailure) {
      if part < query.parts.count { try read() }
    } catch {
      return .failure(.storage(error.description))
    }
    guard heldBytes <= Self.heldLimit else {
      return .failure(
        .tooLarge("a query that finds more than \(Self.heldLimit) bytes of keys at one vnode"))
    }
    guard part == query.parts.count else {
      return .success(Step(page: KeyQueryPage(), isLast: false))
    }
    if answer == nil { answer = conclude() }
    return .success(nextPage())
  }

  // MARK: Reading

  private mutating func read() throws(ReplicaStoreFailure) {
    let asked = query.parts[part]
    let scan = try snapshot.indexEntries(
      of: asked.query, in: partition, after: after, limit: Self.entryLimit)
    var cost = 0
    for (offset, entry) in scan.entries.enumerated() {
      cost += take(entry, asked)
      // The rest of the page is read again: looking at it would take too long.
      if cost > Self.costLimit, offset + 1 < scan.entries.count {
        after = entry
        return
      }
    }
    if scan.isComplete {
      part += 1
      after = nil
    } else {
      after = scan.entries.last
    }
  }

  private mutating func take(_ entry: IndexEntry, _ asked: KeyQuery.Part) -> Int {
    let key = ObjectKey(bucket: query.bucket, key: entry.key)
    let first = Ring.firstPartition(of: key, ringSize: ringSize)
    guard firstPartitions.contains(first) else { return 0 }
    let (term, cost) = asked.query.finding(entry)
    if let term { count(entry.key, term, asked.tag) }
    return cost
  }

  private mutating func count(_ key: Bytes, _ term: Bytes, _ tag: Int) {
    switch query.answer {
    case .matchCount where query.parts.count == 1: matches += 1
    case .keys, .keyCount, .matchCount:
      if found[tag, default: []].insert(key).inserted { heldBytes += key.count + Self.overhead }
    case .matchesByTerm:
      if matchesByTerm[term] == nil { heldBytes += term.count + Self.overhead }
      matchesByTerm[term, default: 0] += 1
    case .keysByTerm:
      if keysByTerm[term] == nil { heldBytes += term.count + 2 * Self.overhead }
      if keysByTerm[term, default: []].insert(key).inserted {
        heldBytes += key.count + Self.overhead
      }
    }
  }

  // MARK: Answering

  private mutating func conclude() -> KeyQueryPage {
    defer {
      found = [:]
      matchesByTerm = [:]
      keysByTerm = [:]
    }
    switch query.answer {
    case .keys:
      return KeyQueryPage(
        keys: query.expression.keys(found).sorted { $1.lexicographicallyPrecedes($0) })
    case .matchCount where query.parts.count == 1: return KeyQueryPage(count: matches)
    case .matchCount, .keyCount: return KeyQueryPage(count: query.expression.keys(found).count)
    case .matchesByTerm: return Self.page(matchesByTerm)
    case .keysByTerm: return Self.page(keysByTerm.mapValues(\.count))
    }
  }

  private static func page(_ counts: [Bytes: Int]) -> KeyQueryPage {
    let terms = counts.sorted { $1.key.lexicographicallyPrecedes($0.key) }
    return KeyQueryPage(terms: terms.map { .init(term: $0.key, count: $0.value) })
  }

  private mutating func nextPage() -> Step {
    var page = KeyQueryPage(count: answer?.count ?? 0)
    answer?.count = 0
    var bytes = 0
    while page.keys.count + page.terms.count < Self.pageCount, bytes < Self.pageBytes {
      if let key = answer?.keys.popLast() {
        bytes += key.count
        page.keys.append(key)
      } else if let term = answer?.terms.popLast() {
        bytes += term.term.count
        page.terms.append(term)
      } else {
        break
      }
    }
    let isLast = (answer?.keys.isEmpty ?? true) && (answer?.terms.isEmpty ?? true)
    return Step(page: page, isLast: isLast)
  }
}
