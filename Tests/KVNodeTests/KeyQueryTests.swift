import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Queries of several indexes, and those that count, on a cluster of real shards.
@Suite struct KeyQueryTests {
  private static let bucket = BucketID(name: Bytes("people".utf8))
  private static let families = ["SMITH", "JONES", "TAYLOR", "BROWN"]

  private struct Person {
    var key: Bytes
    var family: String
    var born: Int
    var town: String

    var indexes: [Pair] {
      [
        Pair(key: Bytes("family_bin".utf8), value: Bytes("\(family)|\(born)".utf8)),
        Pair(key: Bytes("town_bin".utf8), value: Bytes(town.utf8)),
        Pair(key: Bytes("town_bin".utf8), value: Bytes("\(town)-old".utf8)),
      ]
    }
  }

  private func filled(_ count: Int, seed: UInt64) throws -> (TestCluster, [Person]) {
    let cluster = TestCluster(seed: seed)
    try cluster.start()
    var random = SeededRandom(seed: seed)
    var people: [Person] = []
    for number in 0..<count {
      let person = Person(
        key: Bytes("p\(1000 + number)".utf8), family: Self.families[random.below(4)],
        born: 1950 + random.below(60), town: ["LEEDS", "YORK"][random.below(2)])
      people.append(person)
      let key = ObjectKey(bucket: Self.bucket, key: person.key)
      let reply = try cluster.ask(
        .put(
          key, context: VersionVector(), Content(value: [1], indexes: person.indexes.sorted()),
          PutOptions()), at: number % 3)
      #expect(reply == .stored(KVObject()))
    }
    return (cluster, people)
  }

  private func query(
    _ field: String, _ lower: String, _ upper: String, where condition: String? = nil,
    telling reported: String? = nil
  ) throws -> IndexQuery {
    var query = IndexQuery(
      bucket: Self.bucket, field: Bytes(field.utf8), lower: Bytes(lower.utf8),
      upper: Bytes(upper.utf8))
    if let condition {
      query.filter = try TermFilter(
        TermFilter.Source(
          evaluation: Bytes(
            "delim($term, \"|\", ($family, $born)) | to_integer($born, $born)".utf8),
          condition: Bytes(condition.utf8), reported: reported.map { Bytes($0.utf8) }))
    }
    return query
  }

  /// Everything that a query is told, and how it ended.
  private func ask(
    _ query: KeyQuery, _ cluster: TestCluster, at node: Int = 0
  ) throws -> (page: KeyQueryPage, failure: RequestFailure?) {
    let id = cluster.submit(.keyQuery(query, timeout: nil), at: node)
    try cluster.run(milliseconds: 20_000) { cluster.finals[id] != 0 }
    var all = KeyQueryPage()
    var failure: RequestFailure?
    for reply in cluster.replies[id] ?? [] {
      switch reply {
      case .found(let page, _):
        all.keys += page.keys
        all.terms += page.terms
        all.count += page.count
      case .failure(let reason): failure = reason
      default: Issue.record("\(reply)")
      }
    }
    #expect(cluster.finals[id] == 1)
    return (all, failure)
  }

  private func counts(_ page: KeyQueryPage) -> [String: Int] {
    Dictionary(
      page.terms.map { (String(decoding: $0.term, as: UTF8.self), $0.count) }, uniquingKeysWith: +)
  }

  @Test(arguments: [UInt64(1), 2]) func `keys and counts are those of every object, each once`(
    seed: UInt64
  ) throws {
    let (cluster, people) = try filled(120, seed: seed)
    let young = try query(
      "family_bin", "A", "~", where: "$born >= 1980", telling: "family")
    let expected = people.filter { $0.born >= 1980 }
    let keys = try ask(KeyQuery(young, answer: .keys), cluster, at: 1).page.keys
    #expect(keys.sorted { $0.lexicographicallyPrecedes($1) } == expected.map(\.key))
    #expect(try ask(KeyQuery(young, answer: .keyCount), cluster).page.count == expected.count)
    let families = Dictionary(expected.map { ($0.family, 1) }, uniquingKeysWith: +)
    for answer in [KeyQuery.Answer.matchesByTerm, .keysByTerm] {
      #expect(counts(try ask(KeyQuery(young, answer: answer), cluster, at: 2).page) == families)
    }
    let towns = try query("town_bin", "", "~")
    #expect(try ask(KeyQuery(towns, answer: .matchCount), cluster).page.count == 240)
    #expect(try ask(KeyQuery(towns, answer: .keyCount), cluster).page.count == 120)
    // The entries themselves, filtered where they are stored.
    let id = cluster.submit(.index(young, after: nil, limit: nil, timeout: nil), at: 1)
    try cluster.run(milliseconds: 20_000) { cluster.finals[id] != 0 }
    let told = (cluster.replies[id] ?? []).flatMap { reply -> [IndexEntry] in
      if case .entries(let page, _) = reply { page } else { [] }
    }
    #expect(Set(told.map(\.key)) == Set(expected.map(\.key)) && told == told.sorted())
  }

  @Test func `several queries are put together key by key`() throws {
    let (cluster, people) = try filled(90, seed: 4)
    let smiths = try query("family_bin", "SMITH", "SMITH~")
    let young = try query("family_bin", "A", "~", where: "$born >= 1980")
    let leeds = try query("town_bin", "LEEDS", "LEEDS")
    let parts = [smiths, young, leeds].enumerated().map {
      KeyQuery.Part(tag: $0.offset + 1, query: $0.element)
    }
    func expected(_ holds: (Bool, Bool, Bool) -> Bool) -> [Bytes] {
      people.filter { holds($0.family == "SMITH", $0.born >= 1980, $0.town == "LEEDS") }.map(\.key)
    }
    for (text, keys) in [
      ("$1 INTERSECT $2", expected { smith, young, _ in smith && young }),
      ("($1 UNION $2) SUBTRACT $3", expected { ($0 || $1) && !$2 }),
      ("$1 INTERSECT $3 UNION $2 SUBTRACT $3", expected { $0 && $2 || $1 && !$2 }),
    ] {
      let expression = try KeySetExpression(Bytes(text.utf8))
      let query = KeyQuery(
        bucket: Self.bucket, parts: parts, expression: expression, answer: .keys)
      let found = try ask(query, cluster, at: 2).page.keys
      #expect(found.sorted { $0.lexicographicallyPrecedes($1) } == keys, "\(text)")
      for answer in [KeyQuery.Answer.keyCount, .matchCount] {
        var counting = query
        counting.answer = answer
        #expect(try ask(counting, cluster).page.count == keys.count)
      }
    }
  }

  @Test func `an object that moves between two indexes is always found in their union`() throws {
    let cluster = TestCluster(nodes: 1, shards: 1, members: 1)
    try cluster.start()
    let store = try #require(cluster.stores[cluster.address(0)])
    let partition = PartitionID(3)
    func put(_ number: Int, _ field: String) throws {
      let key = ObjectKey(bucket: Self.bucket, key: Bytes("\(number)".utf8))
      var object = KVObject()
      object.write(
        Content(
          value: [], indexes: [Pair(key: Bytes(field.utf8), value: Bytes("x\(number)".utf8))]),
        context: VersionVector(), by: VnodeID(rawValue: 1))
      let (encoded, count) = object.encoded()
      _ = try store.apply([.put(key, partition, encoded: encoded, headByteCount: count)])
    }
    for number in 1000..<4000 { try put(number, "a_bin") }
    let parts = ["a_bin", "b_bin"].enumerated().map { offset, field in
      KeyQuery.Part(
        tag: offset + 1,
        query: IndexQuery(
          bucket: Self.bucket, field: Bytes(field.utf8), lower: [], upper: [0x7E]))
    }
    let query = KeyQuery(
      bucket: Self.bucket, parts: parts,
      expression: try KeySetExpression(Bytes("$1 UNION $2".utf8)),
      answer: .keyCount)
    // Every partition is asked for, so that no key is left out.
    var scan = KeyQueryScan(
      query, of: partition, firstPartitions: (0..<16).map { PartitionID($0) }, ringSize: 16,
      in: try store.snapshot())
    var steps = 0
    var count = 0
    while true {
      let step = try scan.advance().get()
      count += step.page.count
      if step.isLast { break }
      // All move, from behind the scan's place to where it would come later, or the other way.
      for number in 1000..<4000 { try put(number, steps % 2 == 0 ? "b_bin" : "a_bin") }
      steps += 1
    }
    #expect(steps >= 3 && count == 3000)
  }

  @Test func `a query ends once when vnodes go, and vnodes forget what nobody asks for`() throws {
    let (cluster, _) = try filled(30, seed: 6)
    let all = KeyQuery(try query("town_bin", "", "~"), answer: .keys)
    cluster.isLost = { message in
      if case .keyQuery(.step) = message { true } else { false }
    }
    let id = cluster.submit(.keyQuery(all, timeout: .seconds(2)), at: 0)
    try cluster.run(milliseconds: 60_000) { cluster.finals[id] != 0 }
    #expect(cluster.replies[id]?.last == .failure(.timeout))
    cluster.isLost = { _ in false }
    try cluster.run(milliseconds: 70_000) { false }
    #expect(try ask(all, cluster).page.keys.count == 30)
    cluster.setDown([1, 2])
    let (page, failure) = try ask(all, cluster)
    #expect(failure == nil ? page.keys.count == 30 : failure != .timeout)
  }
}
