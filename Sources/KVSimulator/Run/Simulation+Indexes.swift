import KVBase
import KVModel
import KVNode

/// What index queries must tell, while nodes fail and partitions move and afterwards.
extension Simulation {
  /// A content with the value of write `number`, and with its index entries where those are wanted.
  func content(_ number: Int, byteCount: Int) -> Content {
    var content = Content(value: WrittenValue.bytes(number, byteCount: byteCount))
    if workload == .indexes { content.indexes = IndexedValue.entries(of: number) }
    return content
  }

  /// What is stored under a key that never changes.
  func settledContent(_ index: Int) -> Content {
    var content = Content(value: [1], indexes: [Self.settledIndex(index)])
    if workload == .indexes {
      content.indexes.append(Pair(key: IndexedValue.number, value: Bytes("\(index)".utf8)))
    }
    return content
  }

  // MARK: Queries of the storm

  /// A client asks an index of the settled keys, or of keys that are being written.
  mutating func sendQuery(_ client: Int, to place: ShardPlace) {
    let isSettled = clients[client].random.chance(0.6)
    let field =
      !isSettled && clients[client].random.chance(0.5) ? IndexedValue.text : IndexedValue.number
    let largest = isSettled ? Self.settledCount : 1 + history.writes.count
    let bounds = [
      clients[client].random.below(largest), clients[client].random.below(largest),
    ]
    var query = IndexQuery(
      bucket: isSettled ? Self.settledBucket : Self.siblingsBucket, field: field, lower: [],
      upper: nil)
    if field == IndexedValue.number {
      query.lower = Self.term(bounds.min() ?? 0)
      query.upper = Self.term(bounds.max() ?? 0)
    }
    submit(
      .index(query, after: nil, limit: nil, timeout: settings.shard.requestTimeout),
      .query(query), client: client, timeout: nil, to: place)
  }

  private static func term(_ number: Int) -> Bytes {
    IndexTerm.sortable(Bytes("\(number)".utf8), field: IndexedValue.number)
  }

  /// Holds the whole answer to a query against what was written.
  mutating func checkHits(
    _ hits: [IndexEntry], of query: IndexQuery
  ) throws(SimulationFailure) {
    guard zip(hits, hits.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw SimulationFailure(
        checker: .indexes, explanation: "the hits are not in order: \(Self.text(of: hits))")
    }
    if query.bucket == Self.settledBucket {
      if !hasMoved, !hasLostReplicas { try checkSettledHits(hits, of: query) }
    } else if query.field == IndexedValue.number {
      for hit in hits where !isGenuine(hit, in: query.bucket) {
        throw SimulationFailure(
          checker: .indexes, explanation: "nobody wrote the hit \(Self.text(of: [hit]))")
      }
    }
  }

  private mutating func checkSettledHits(
    _ hits: [IndexEntry], of query: IndexQuery
  ) throws(SimulationFailure) {
    world.probes.count("sim: query held against settled keys")
    let wanted = (0..<Self.settledCount).map { index in
      IndexEntry(term: Self.term(index), key: Self.settledName(index))
    }.filter { hit in
      !hit.term.lexicographicallyPrecedes(query.lower)
        && query.upper.map { !$0.lexicographicallyPrecedes(hit.term) } ?? true
    }
    guard hits != wanted.sorted() else { return }
    throw SimulationFailure(
      checker: .indexes,
      explanation: "a query told \(Self.text(of: hits)) of keys that never change, not "
        + Self.text(of: wanted))
  }

  private func isGenuine(_ hit: IndexEntry, in bucket: BucketID) -> Bool {
    let text = IndexTerm.text(hit.term, field: IndexedValue.number)
    guard let number = Int(String(decoding: text, as: UTF8.self)),
      history.writes.indices.contains(number)
    else { return false }
    let write = history.writes[number]
    let name = history.keys[write.key].name
    return name.bucket == bucket && name.key == hit.key && write.outcome != .refused
  }

  // MARK: The end

  /// Every index must tell exactly the entries of the objects that are there, in one answer and in
  /// pages.
  mutating func checkIndexes(_ objects: [KVObject]) throws(SimulationFailure) {
    guard workload == .indexes else { return }
    for bucket in [Self.siblingsBucket, Self.newestBucket, Self.lastWriteBucket] {
      for field in [IndexedValue.text, IndexedValue.number] {
        var wanted: Set<IndexEntry> = []
        for (key, object) in zip(history.keys, objects) where key.name.bucket == bucket {
          for sibling in object.siblings where !sibling.content.isTombstone {
            guard let number = WrittenValue.number(of: sibling.content.value) else { continue }
            wanted.formUnion(
              IndexedValue.hits(of: number, field: field, key: key.name.key))
          }
        }
        let query = IndexQuery(bucket: bucket, field: field, lower: [], upper: nil)
        try compare(try allHits(of: query, limit: nil), with: wanted.sorted(), query)
        try compare(try allHits(of: query, limit: 3), with: wanted.sorted(), query)
      }
    }
  }

  /// All hits, asked for `limit` at a time.
  private mutating func allHits(
    of query: IndexQuery, limit: Int?
  ) throws(SimulationFailure) -> [IndexEntry] {
    var hits: [IndexEntry] = []
    while true {
      let done = try ask(
        .index(query, after: hits.last, limit: limit, timeout: Self.calmTimeout), .query(query))
      if let failure = done.failure {
        throw SimulationFailure(
          checker: .availability, explanation: "a query of a whole cluster: \(failure)")
      }
      hits += done.entries
      guard let limit, done.entries.count == limit else { return hits }
    }
  }

  private func compare(
    _ hits: [IndexEntry], with wanted: [IndexEntry], _ query: IndexQuery
  ) throws(SimulationFailure) {
    guard hits != wanted else { return }
    let names = [query.bucket.name, query.field].map { String(decoding: $0, as: UTF8.self) }
    throw SimulationFailure(
      checker: .indexes,
      explanation: "the index \(names[1]) of \(names[0]) tells \(Self.text(of: hits)), not "
        + Self.text(of: wanted))
  }

  /// A dropped bucket's indexes must tell no more than the keys that are left.
  mutating func checkDroppedIndex(_ left: Set<Bytes>) throws(SimulationFailure) {
    guard workload == .indexes else { return }
    let query = IndexQuery(
      bucket: Self.settledBucket, field: IndexedValue.number, lower: [], upper: nil)
    let hits = try allHits(of: query, limit: nil)
    guard Set(hits.map(\.key)) != left else { return }
    throw SimulationFailure(
      checker: .indexes,
      explanation: "the index of a dropped bucket tells \(Self.text(of: hits))")
  }

  private static func text(of hits: [IndexEntry]) -> String {
    let words = hits.map { hit in
      let isNumber = hit.term.first == 1
      let term = isNumber ? IndexTerm.text(hit.term, field: IndexedValue.number) : hit.term
      return String(decoding: term, as: UTF8.self) + ":" + String(decoding: hit.key, as: UTF8.self)
    }
    return "[\(words.joined(separator: " "))]"
  }
}
