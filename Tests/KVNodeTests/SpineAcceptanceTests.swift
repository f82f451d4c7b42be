import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// What the operators of Spine demanded of their database, each demand by its name and number.
///
/// The demands are the eight of the Spine domain reference, section 1.5. Five nodes, N = 3, as there.
@Suite struct SpineAcceptanceTests {
  private let bucket = BucketID(name: Bytes("b".utf8))

  private func cluster(
    syncByDefault: Bool = true, _ properties: (inout BucketProperties) -> Void = { _ in }
  ) throws -> TestCluster {
    let cluster = TestCluster(nodes: 5, shards: 1)
    cluster.configure = { $0.syncByDefault = syncByDefault }
    var values = BucketProperties()
    properties(&values)
    cluster.view.properties = [ClusterView.BucketEntry(bucket: bucket, properties: values)]
    try cluster.start()
    return cluster
  }

  private func key(_ index: Int = 0) -> ObjectKey {
    ObjectKey(bucket: bucket, key: Bytes("k\(index)".utf8))
  }

  /// The positions of the nodes that own the key's primaries, in preference order.
  private func primaries(of key: ObjectKey, in cluster: TestCluster) -> [Int] {
    cluster.view.ring.preferencePartitions(of: key, n: 3).compactMap { partition in
      cluster.names.indices.first { cluster.node($0) == cluster.view.ring.owner(of: partition) }
    }
  }

  private func down(_ nodes: [Int], in cluster: TestCluster) {
    cluster.isolated = Set(nodes.map(cluster.node))
    cluster.setDown(nodes)
  }

  // MARK: 1 Never lose an acknowledged message

  @Test func `1: an acknowledged write survives the power loss of every node`() throws {
    let cluster = try cluster()
    for index in 0..<30 {
      #expect(try cluster.put(key(index), "v\(index)", at: index % 5) == .stored(KVObject()))
    }
    for node in 0..<5 { cluster.crash(node) }
    for node in 0..<5 { try cluster.start(node, cleanly: false) }
    try cluster.run(milliseconds: 200)
    for index in 0..<30 {
      #expect(try cluster.get(key(index), at: (index + 2) % 5)?.values == ["v\(index)"])
    }
  }

  @Test func `1: no acknowledgement goes out before the write is as safe as was asked`() throws {
    let cluster = try cluster()
    cluster.holdsFlushes = true
    let id = cluster.submit(
      .put(key(), context: VersionVector(), Content(value: [1]), PutOptions()), at: 0)
    try cluster.run(milliseconds: 500)
    #expect(cluster.replies[id] == nil, "nothing is durable yet")
    cluster.holdsFlushes = false
    try cluster.run(milliseconds: 500)
    #expect(cluster.replies[id] == [.stored(KVObject())])
  }

  // MARK: 2 Node diversity, not vnode counting

  @Test func `2: with two primaries down pw=2 fails and node_confirms=2 succeeds`() throws {
    let cluster = try cluster()
    let homes = primaries(of: key(), in: cluster)
    down(Array(homes.prefix(2)), in: cluster)
    var options = PutOptions()
    options.pw = .count(2)
    #expect(
      try cluster.put(key(), "v", at: homes[2], options)
        == .failure(.pwUnsatisfied(need: 2, got: 1)))
    options = PutOptions()
    options.nodeConfirms = .count(2)
    #expect(try cluster.put(key(), "v", at: homes[2], options) == .stored(KVObject()))
    options.nodeConfirms = .count(3)
    #expect(try cluster.put(key(), "w", at: homes[2], options) == .stored(KVObject()))
    #expect(try cluster.get(key(), at: homes[2])?.values == ["w"])
  }

  @Test func `2: node_confirms above n is invalid`() throws {
    let cluster = try cluster()
    var put = PutOptions()
    put.nodeConfirms = .count(4)
    #expect(try cluster.put(key(), "v", at: 0, put) == .failure(.nValViolation(3)))
    var get = GetOptions()
    get.nodeConfirms = .count(4)
    #expect(try cluster.ask(.get(key(), get), at: 0) == .failure(.nValViolation(3)))
  }

  @Test func `2: with only two nodes up node_confirms=3 fails`() throws {
    let cluster = try cluster()
    let homes = primaries(of: key(), in: cluster)
    let others = cluster.names.indices.filter { !homes.contains($0) }
    down([homes[2]] + others, in: cluster)
    var options = PutOptions()
    options.nodeConfirms = .count(3)
    #expect(
      try cluster.put(key(), "v", at: homes[0], options)
        == .failure(.nodeConfirmsUnsatisfied(need: 3, got: 2)))
    options.nodeConfirms = .count(2)
    #expect(try cluster.put(key(), "v", at: homes[0], options) == .stored(KVObject()))
  }

  @Test func `2: vnodes of one node confirm once`() throws {
    // Two nodes, N = 3: two of the copies share a node.
    let cluster = TestCluster(nodes: 2, shards: 1)
    try cluster.start()
    var options = PutOptions()
    options.w = .all
    options.nodeConfirms = .count(2)
    #expect(try cluster.put(key(), "v", at: 0, options) == .stored(KVObject()))
    options.nodeConfirms = .count(3)
    #expect(
      try cluster.put(key(), "v", at: 0, options)
        == .failure(.nodeConfirmsUnsatisfied(need: 3, got: 2)))
  }

  // MARK: 3 Selective flush

  /// Flushes before all nodes have acknowledged one put, by node.
  private func flushes(
    _ mode: SyncOnWrite, byDefault: Bool, overridden: SyncOnWrite? = nil
  ) throws -> (coordinator: Int, others: Int) {
    let cluster = try cluster(syncByDefault: byDefault) { $0.syncOnWrite = mode }
    let home = primaries(of: key(), in: cluster)[0]
    try cluster.run(milliseconds: 3_000)
    let before = cluster.flushes
    var options = PutOptions()
    options.w = .all
    options.dw = .all
    options.syncOnWrite = overridden
    // Well before the next tick, which flushes what nobody waits for.
    let id = cluster.submit(
      .put(key(), context: VersionVector(), Content(value: [1]), options), at: home)
    try cluster.run(milliseconds: 60) { cluster.finals[id] != 0 }
    #expect(cluster.replies[id] == [.stored(KVObject())])
    func count(_ node: Int) -> Int {
      cluster.flushes[cluster.address(node), default: 0]
        - before[cluster.address(node), default: 0]
    }
    return (
      count(home), cluster.names.indices.filter { $0 != home }.map(count).reduce(0, +)
    )
  }

  @Test func `3: sync_on_write=all costs one flush at each replica`() throws {
    #expect(try flushes(.all, byDefault: false) == (1, 2))
  }

  @Test func `3: sync_on_write=one costs one flush, at the coordinator`() throws {
    #expect(try flushes(.one, byDefault: true) == (1, 0))
  }

  @Test func `3: sync_on_write=backend does as the node is configured`() throws {
    #expect(try flushes(.backend, byDefault: true) == (1, 2))
    #expect(try flushes(.backend, byDefault: false) == (0, 0))
  }

  @Test func `3: a put overrides its bucket's sync_on_write`() throws {
    #expect(try flushes(.backend, byDefault: false, overridden: .all) == (1, 2))
    #expect(try flushes(.all, byDefault: true, overridden: .one) == (1, 0))
    #expect(try flushes(.all, byDefault: true, overridden: .backend) == (1, 2))
  }

  @Test func `3: one flush serves all writes that wait for it`() throws {
    let cluster = try cluster()
    try cluster.run(milliseconds: 3_000)
    let before = cluster.flushes.values.reduce(0, +)
    let ids = (0..<40).map { index in
      cluster.submit(
        .put(key(index), context: VersionVector(), Content(value: [1]), PutOptions()), at: index % 5
      )
    }
    try cluster.run(milliseconds: 150)
    #expect(ids.allSatisfy { cluster.replies[$0] == [.stored(KVObject())] })
    #expect(cluster.flushes.values.reduce(0, +) - before < 60, "not one for each of 120 copies")
  }

  @Test func `3: background writes are not flushed by themselves`() throws {
    let cluster = try cluster(syncByDefault: true) { $0.nVal = 3 }
    try cluster.put(key(), "v", at: 0)
    try cluster.run(milliseconds: 3_000)
    let partition = cluster.view.ring.preferencePartitions(of: key(), n: 3)[1]
    let owner = cluster.view.ring.owner(of: partition)
    let place = Address(node: owner, shard: ShardIndex(0))
    _ = try cluster.stores[place]?.apply([.remove(key(), partition)])
    try cluster.run(milliseconds: 1_000)
    let before = cluster.flushes[place, default: 0]
    #expect(try cluster.get(key(), at: 0, r: .all)?.values == ["v"])
    try cluster.run(milliseconds: 20)
    #expect(try cluster.stored(key(), partition, on: owner)?.values == ["v"], "read repair")
    #expect(cluster.flushes[place, default: 0] - before == 0)
  }

  // MARK: 4 Reconciliation aware of causality

  @Test func `4: old data never replaces new, whichever way it comes`() throws {
    let cluster = try cluster { $0.allowMult = true }
    try cluster.put(key(), "old", at: 0)
    try cluster.run(milliseconds: 100)
    let partitions = cluster.view.ring.preferencePartitions(of: key(), n: 3)
    let old = try #require(
      try cluster.stored(key(), partitions[0], on: cluster.view.ring.owner(of: partitions[0])))
    try cluster.put(key(), "new", context: old.clock, at: 1)
    try cluster.run(milliseconds: 100)
    let (bytes, head) = old.encoded()
    for partition in partitions.prefix(2) {
      let place = Address(node: cluster.view.ring.owner(of: partition), shard: ShardIndex(0))
      _ = try cluster.stores[place]?.apply(
        [.put(key(), partition, encoded: bytes, headByteCount: head)])
    }
    #expect(try cluster.get(key(), at: 2, r: .all)?.values == ["new"])
    try cluster.run(milliseconds: 1_000)
    #expect(try cluster.primaries(of: key()).allSatisfy { $0?.values == ["new"] })
  }

  // MARK: 6 Stable latency under pressure

  @Test func `6: a replica that is slow costs no read or write its time`() throws {
    let cluster = try cluster()
    let homes = primaries(of: key(), in: cluster)
    try cluster.put(key(), "v", at: homes[0])
    cluster.isolated = [cluster.node(homes[2])]
    let begin = cluster.clock
    #expect(try cluster.put(key(), "w", at: homes[0]) == .stored(KVObject()))
    #expect(try cluster.get(key(), at: homes[1])?.values == ["w"])
    #expect(cluster.clock - begin < 100_000_000, "two of three replicas are quick")
  }

  // MARK: 7 Hands-off operation

  @Test func `7: nodes stop and start one after the other without a word of an operator`() throws {
    let cluster = try cluster()
    for node in 0..<5 {
      down([node], in: cluster)
      cluster.crash(node)
      for index in 0..<10 {
        let reply = try cluster.put(key(index), "n\(node)", at: (node + 1 + index % 4) % 5)
        #expect(reply == .stored(KVObject()))
      }
      try cluster.start(node, cleanly: false)
      down([], in: cluster)
      try cluster.run(milliseconds: 5_000)
      #expect(cluster.total(\.hintsPending) == 0)
    }
    for index in 0..<10 {
      #expect(try cluster.get(key(index), at: 0, r: .all)?.values == ["n4"])
    }
  }

  // MARK: 8 Conditional puts

  @Test func `8: conditional puts are checked, then written`() throws {
    let cluster = try cluster()
    var options = PutOptions()
    options.ifNoneMatch = true
    #expect(try cluster.put(key(), "v", at: 0, options) == .stored(KVObject()))
    #expect(try cluster.put(key(), "w", at: 1, options) == .failure(.matchFound))
    options = PutOptions()
    options.ifNotModified = true
    let clock = try #require(try cluster.get(key(), at: 2)?.clock)
    #expect(
      try cluster.put(key(), "w", context: clock, at: 3, options) == .stored(KVObject()))
    #expect(
      try cluster.put(key(), "x", context: clock, at: 3, options) == .failure(.modified))
    #expect(try cluster.put(key(9), "x", at: 3, options) == .failure(.notFound))
  }
}
