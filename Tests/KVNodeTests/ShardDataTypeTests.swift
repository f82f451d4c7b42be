import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Data types and index queries through the shards of a cluster.
@Suite struct ShardDataTypeTests {
  private let key = ObjectKey(bucket: "s", key: "k")

  private func cluster(seed: UInt64 = 1) throws -> TestCluster {
    let cluster = TestCluster(seed: seed)
    cluster.view.properties = [cluster.siblingsBucket("s")]
    try cluster.start()
    return cluster
  }

  private func update(
    _ operation: DataTypeOperation, context: VersionVector? = nil
  ) -> ClientRequest {
    var options = PutOptions()
    options.dataType = DataTypeUpdate(operation: operation, context: context)
    options.returnBody = true
    return .put(key, context: VersionVector(), Content(value: []), options)
  }

  private func value(
    _ kind: DataTypeKind, _ cluster: TestCluster, at node: Int
  ) throws -> DataType? {
    try cluster.get(key, at: node, r: .all)?.dataType(kind)
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func `counts made at the same time at every node add up`(seed: UInt64) throws {
    let cluster = try cluster(seed: seed)
    var requests: [RequestID] = []
    for number in 0..<30 {
      requests.append(
        cluster.submit(update(.counter(Int64(number))), at: number % 3, shard: number % 2))
    }
    try cluster.run(milliseconds: 5_000) { requests.allSatisfy { cluster.finals[$0] == 1 } }
    for request in requests {
      guard case .stored? = cluster.replies[request]?.last else {
        Issue.record("\(String(describing: cluster.replies[request]))")
        continue
      }
    }
    for node in 0..<3 {
      #expect(try value(.counter, cluster, at: node)?.value == .counter(435))
    }
  }

  @Test func `a change replaces what its vnode holds, so contents do not pile up`() throws {
    let cluster = try cluster()
    for number in 0..<150 {
      guard case .stored = try cluster.ask(update(.counter(1)), at: number % 3) else {
        Issue.record("the change \(number) was refused")
        return
      }
    }
    let object = try #require(try cluster.get(key, at: 0, r: .all))
    #expect(object.siblings.count <= 3, "one for each vnode that coordinates")
    #expect(try object.dataType(.counter)?.value == .counter(150))
  }

  @Test func `counts survive a node that is down and one that lost its memory`() throws {
    let cluster = try cluster()
    var total: Int128 = 0
    for round in 0..<6 {
      if round == 2 { cluster.setDown([1]) }
      if round == 4 {
        cluster.setDown([])
        cluster.crash(2)
        try cluster.start(2, cleanly: false)
      }
      for node in [0, 2] {
        let reply = try cluster.ask(update(.counter(1)), at: node)
        if case .stored = reply { total += 1 }
      }
    }
    #expect(total >= 10)
    #expect(try value(.counter, cluster, at: 0)?.value == .counter(total))
  }

  @Test func `a removal takes what it has seen, and is refused when it names nothing`() throws {
    let cluster = try cluster()
    _ = try cluster.ask(update(.set(adds: [[1], [2]], removes: [])), at: 0)
    let seen = try #require(try value(.set, cluster, at: 1)).clock
    _ = try cluster.ask(update(.set(adds: [[1]], removes: [])), at: 2)
    _ = try cluster.ask(update(.set(adds: [], removes: [[1], [2]]), context: seen), at: 1)
    #expect(try value(.set, cluster, at: 0)?.value == .set([[1]]))
    #expect(
      try cluster.ask(update(.set(adds: [], removes: [[9]])), at: 0)
        == .failure(.refused("{precondition,{not_present,<<9>>}}")))
    _ = try cluster.ask(.delete(key, context: nil, DeleteOptions()), at: 0)
    #expect(try value(.set, cluster, at: 0) == nil)
  }

  @Test func `a value that is no data type is not dropped by an update`() throws {
    let cluster = try cluster()
    try cluster.put(key, "plain", at: 0)
    guard case .failure(.refused) = try cluster.ask(update(.counter(1)), at: 1) else {
      Issue.record("the update was not refused")
      return
    }
    #expect(try cluster.get(key, at: 0)?.values == ["plain"])
  }

  // MARK: Index queries

  private static let field = Bytes("n_int".utf8)

  private func query(_ lower: Int, _ upper: Int) -> IndexQuery {
    IndexQuery(
      bucket: key.bucket, field: Self.field,
      lower: IndexTerm.sortable(Bytes("\(lower)".utf8), field: Self.field),
      upper: IndexTerm.sortable(Bytes("\(upper)".utf8), field: Self.field))
  }

  private func entries(
    _ query: IndexQuery, after: IndexEntry? = nil, limit: Int? = nil, _ cluster: TestCluster,
    at node: Int
  ) throws -> [Int] {
    let id = cluster.submit(
      .index(query, after: after, limit: limit, timeout: nil), at: node)
    try cluster.run(milliseconds: 10_000) { cluster.finals[id] == 1 }
    return (cluster.replies[id] ?? []).flatMap { reply -> [Int] in
      guard case .entries(let entries, _) = reply else { return [] }
      return entries.compactMap {
        Int(String(decoding: IndexTerm.text($0.term, field: Self.field), as: UTF8.self))
      }
    }
  }

  private func store(_ number: Int, _ cluster: TestCluster, index: Int?) throws {
    let content = Content(
      value: [1],
      indexes: index.map { [Pair(key: Self.field, value: Bytes("\($0)".utf8))] } ?? [])
    let target = ObjectKey(bucket: "s", key: "k\(number)")
    let present = try #require(try cluster.get(target, at: 0))
    _ = try cluster.ask(
      .put(target, context: present.clock, content, PutOptions()), at: number % 3)
  }

  @Test func `every node tells the same hits in order, and where a query goes on`() throws {
    let cluster = try cluster()
    for number in 0..<60 { try store(number, cluster, index: number - 30) }
    for node in 0..<3 {
      #expect(try entries(query(-10, 10), cluster, at: node) == Array(-10...10))
    }
    #expect(try entries(query(-10, 10), limit: 5, cluster, at: 1) == Array(-10 ... -6))
    let last = IndexEntry(
      term: IndexTerm.sortable(Bytes("-6".utf8), field: Self.field), key: Bytes("k24".utf8))
    #expect(
      try entries(query(-10, 10), after: last, limit: 5, cluster, at: 2) == Array(-5 ... -1))
  }

  @Test func `what is overwritten or deleted is no longer found`() throws {
    let cluster = try cluster()
    for number in 0..<20 { try store(number, cluster, index: number) }
    for number in 0..<5 { try store(number, cluster, index: number + 100) }
    for number in 5..<10 {
      _ = try cluster.ask(
        .delete(ObjectKey(bucket: "s", key: "k\(number)"), context: nil, DeleteOptions()), at: 1)
    }
    try store(10, cluster, index: nil)
    try cluster.run(milliseconds: 1_000)
    #expect(try entries(query(0, 200), cluster, at: 0) == Array(11..<20) + Array(100..<105))
  }

  @Test func `with a node down the hits are all there`() throws {
    let cluster = try cluster()
    for number in 0..<40 { try store(number, cluster, index: number) }
    try cluster.run(milliseconds: 1_000)
    cluster.setDown([2])
    #expect(try entries(query(0, 100), cluster, at: 0) == Array(0..<40))
  }

  @Test(arguments: [true, false])
  func `a vnode that is lost in the middle of a query is stood in for`(isNoticed: Bool) throws {
    let cluster = TestCluster()
    cluster.view.properties = [cluster.siblingsBucket("s")]
    cluster.configure = {
      $0.listPageLimit = 4
      $0.listPageTimeout = .milliseconds(300)
    }
    try cluster.start()
    for number in 0..<60 { try store(number, cluster, index: number) }
    try cluster.run(milliseconds: 1_000)
    let id = cluster.submit(
      .index(query(0, 100), after: nil, limit: nil, timeout: nil), at: 0)
    // Some pages are told, then nothing comes from the node any more.
    try cluster.run(milliseconds: 1_000) { cluster.replies[id] != nil }
    #expect(cluster.finals[id] != 1)
    cluster.isolated = [cluster.node(2)]
    if isNoticed { cluster.setDown([2]) }
    try cluster.run(milliseconds: 10_000) { cluster.finals[id] == 1 }
    let told = (cluster.replies[id] ?? []).flatMap { reply -> [IndexEntry] in
      if case .entries(let entries, _) = reply { entries } else { [] }
    }
    #expect(told.map(\.key) == (0..<60).map { Bytes("k\($0)".utf8) })
    #expect(cluster.replies[id]?.last == .entries([], done: true))
    if !isNoticed { #expect(cluster.probes["query taken over after silence", default: 0] > 0) }
  }

  @Test func `the vnodes of a key are told in order`() throws {
    let cluster = try cluster()
    guard case .preferenceList(let vnodes) = try cluster.ask(.preferenceList(key), at: 0) else {
      Issue.record("no preference list")
      return
    }
    #expect(vnodes.count == 3)
    #expect(vnodes.allSatisfy { $0.isPrimary && !$0.node.isEmpty })
    #expect(vnodes[1].partition == (vnodes[0].partition + 1) % 16)
  }
}
