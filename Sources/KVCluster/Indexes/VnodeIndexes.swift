import KVBase
public import KVModel

/// One page of an index query as a vnode answers it: a bounded piece of work.
extension Vnodes {
  private static let scanCount = 1000
  private static let scanBytes = 1 << 20
  /// The most bytes that patterns and filters look at for one page.
  private static let costLimit = 16 << 20

  /// The hits after `request.after` among the asked ranges, and where to go on.
  public func index(
    _ request: IndexRequest, ringSize: Int
  ) -> Result<IndexReply.Page, RequestFailure> {
    do throws(ReplicaStoreFailure) {
      let query = request.query
      let limit = min(Self.scanCount, max(1, request.limit))
      let page =
        query.field == IndexQuery.keyField
        ? try keys(query, request.partition, after: request.after, limit: limit)
        : try store.indexEntries(
          of: query, in: request.partition, after: request.after, limit: limit)
      var reply = IndexReply.Page(
        entries: [], cursor: page.isComplete ? nil : page.entries.last)
      var cost = 0
      for (offset, entry) in page.entries.enumerated() {
        let key = ObjectKey(bucket: query.bucket, key: entry.key)
        let first = Ring.firstPartition(of: key, ringSize: ringSize)
        guard request.firstPartitions.contains(first) else { continue }
        let finding = query.finding(entry)
        if finding.term != nil { reply.entries.append(entry) }
        cost += finding.cost
        // The next page looks at the rest: it would take too long now.
        if cost > Self.costLimit, offset + 1 < page.entries.count {
          reply.cursor = entry
          break
        }
      }
      return .success(reply)
    } catch {
      return .failure(.storage(error.description))
    }
  }

  /// The keys of the bucket themselves, which need no index.
  private func keys(
    _ query: IndexQuery, _ partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan {
    var result = IndexScan()
    var start = after.map { ObjectKey(bucket: query.bucket, key: $0.key) }
    if start == nil, !query.lower.isEmpty {
      let lower = ObjectKey(bucket: query.bucket, key: query.lower)
      if try store.head(lower, in: partition) != nil {
        result.entries.append(IndexEntry(term: lower.key, key: lower.key))
      }
      start = lower
    }
    let scan = try store.scan(
      partition, bucket: query.bucket, after: start, limit: limit, byteLimit: Self.scanBytes,
      headsOnly: true)
    result.isComplete = scan.isComplete
    for entry in scan.entries {
      if let upper = query.upper, upper.lexicographicallyPrecedes(entry.key.key) {
        result.isComplete = true
        break
      }
      result.entries.append(IndexEntry(term: entry.key.key, key: entry.key.key))
    }
    return result
  }
}

/// A part of an index, in order.
public struct IndexScan: Hashable, Sendable {
  /// The hits.
  public var entries: [IndexEntry]
  /// True when nothing in the range follows them.
  public var isComplete: Bool

  /// The given hits, and whether they are the last.
  public init(entries: [IndexEntry] = [], isComplete: Bool = true) {
    self.entries = entries
    self.isComplete = isComplete
  }
}

extension ReplicaStore {
  /// Finds the hits by looking at every object of the bucket, for stores without indexes.
  public func indexEntries(
    of query: IndexQuery, in partition: PartitionID, after: IndexEntry?, limit: Int
  ) throws(ReplicaStoreFailure) -> IndexScan {
    var found: [IndexEntry] = []
    var cursor: ObjectKey?
    while true {
      let scan = try scan(
        partition, bucket: query.bucket, after: cursor, limit: 1000, byteLimit: 1 << 20,
        headsOnly: true)
      for entry in scan.entries {
        guard let object = try? KVObject(encodedHead: entry.encoded) else {
          throw ClusterError.malformedObject(partition, "no head")
        }
        for index in object.indexes where index.key == query.field {
          let term = IndexTerm.sortable(index.value ?? [], field: query.field)
          let hit = IndexEntry(term: term, key: entry.key.key)
          if query.isInRange(term), after.map({ $0 < hit }) ?? true { found.append(hit) }
        }
      }
      guard !scan.isComplete, let last = scan.entries.last else { break }
      cursor = last.key
    }
    found.sort()
    return IndexScan(
      entries: Array(found.prefix(limit)), isComplete: found.count <= limit)
  }
}

extension IndexQuery {
  fileprivate func isInRange(_ term: Bytes) -> Bool {
    guard !term.lexicographicallyPrecedes(lower) else { return false }
    return upper.map { !$0.lexicographicallyPrecedes(term) } ?? true
  }
}
