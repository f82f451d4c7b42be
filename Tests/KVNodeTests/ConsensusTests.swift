import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Shards that decide the writes of a consistent bucket together.
@Suite struct ConsensusTests {
  private static let type = BucketID(type: Bytes("strong".utf8), name: [])
  private let key = ObjectKey(type: "strong", bucket: "b", key: "k")

  /// A cluster with a consistent bucket type, whose seats are with the owners.
  private func cluster(nodes: Int = 3, seed: UInt64 = 1) throws -> TestCluster {
    let cluster = TestCluster(nodes: nodes, ringSize: 8, seed: seed)
    var properties = BucketProperties(untyped: false)
    properties.isConsistent = true
    cluster.view.properties = [
      ClusterView.BucketEntry(bucket: Self.type, properties: properties)
    ]
    cluster.configure = {
      $0.requestTimeout = .seconds(2)
      $0.roundTimeout = .milliseconds(100)
      $0.seatRecoveryDelay = .seconds(1)
    }
    cluster.prepare = { store, view in
      var table = try SeatTable(store: store, wasUsed: true)
      let owned = view.ring.partitions(of: view.local)
      _ = try store.apply(table.adopt(view, owned: owned, random: view.local.rawValue))
    }
    try cluster.start()
    return cluster
  }

  private func put(
    _ cluster: TestCluster, _ value: String, context: VersionVector = VersionVector(),
    at node: Int, ifNoneMatch: Bool = false, ifNotModified: Bool = false
  ) throws -> ClientReply {
    var options = PutOptions()
    options.ifNoneMatch = ifNoneMatch
    options.ifNotModified = ifNotModified
    return try cluster.put(key, value, context: context, at: node, options)
  }

  @Test func `a write is read everywhere, and costs the promised rounds`() throws {
    let cluster = try cluster()
    #expect(try put(cluster, "a", at: 0) == .stored(KVObject()))
    for node in 0..<3 { #expect(try cluster.get(key, at: node)?.values == ["a"]) }
    #expect(cluster.total(\.consistentPuts) == 1 && cluster.total(\.consensusRounds) == 1)
    #expect(cluster.total(\.consistentGets) == 3 && cluster.total(\.consistentFastGets) == 3)
    // The objects' own space is not touched: nothing that merges objects can reach a register.
    #expect(try cluster.primaries(of: key) == [nil, nil, nil])
  }

  @Test func `each condition is answered in Riak's words`() throws {
    let cluster = try cluster()
    _ = try put(cluster, "a", at: 0)
    let first = try #require(try cluster.get(key, at: 1))
    #expect(try put(cluster, "b", at: 1, ifNoneMatch: true) == .failure(.matchFound))
    #expect(try put(cluster, "b", at: 1) == .failure(.failed))
    #expect(try put(cluster, "b", context: first.clock, at: 2) == .stored(KVObject()))
    #expect(
      try put(cluster, "c", context: first.clock, at: 2, ifNotModified: true)
        == .failure(.modified))
    let absent = ObjectKey(type: "strong", bucket: "b", key: "other")
    var options = PutOptions()
    options.ifNotModified = true
    #expect(
      try cluster.put(absent, "c", context: first.clock, at: 2, options) == .failure(.notFound))
    #expect(try cluster.get(key, at: 0)?.values == ["b"])
  }

  @Test func `a delete leaves a tombstone that a new write replaces`() throws {
    let cluster = try cluster()
    _ = try put(cluster, "a", at: 0)
    let delete = ClientRequest.delete(key, context: nil, DeleteOptions())
    #expect(try cluster.ask(delete, at: 1) == .deleted)
    #expect(try cluster.ask(delete, at: 2) == .deleted)
    let tombstone = try #require(try cluster.get(key, at: 2))
    #expect(tombstone.isDeleted && !tombstone.isEmpty)
    #expect(try cluster.list(.listKeys(key.bucket, timeout: nil), at: 0).names == [])
    #expect(try put(cluster, "b", at: 0, ifNoneMatch: true) == .stored(KVObject()))
    #expect(try cluster.list(.listKeys(key.bucket, timeout: nil), at: 0).names == ["k"])
    let buckets = ClientRequest.listBuckets(type: Self.type.type, timeout: nil)
    #expect(try cluster.list(buckets, at: 1).names == ["b"])
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func `of many clients that write at once one wins`(seed: UInt64) throws {
    let cluster = try cluster(seed: seed)
    var options = PutOptions()
    options.ifNoneMatch = true
    let requests = (0..<50).map { index in
      cluster.submit(
        .put(
          key, context: VersionVector(), Content(value: Bytes("\(index)".utf8)), options),
        at: index % 3, shard: index % 2)
    }
    try cluster.run(milliseconds: 5_000) { requests.allSatisfy { cluster.finals[$0] == 1 } }
    let replies = requests.compactMap { cluster.replies[$0]?.last }
    #expect(replies.count { $0 == .stored(KVObject()) } == 1)
    #expect(replies.count { $0 == .failure(.matchFound) } == 49)
  }

  @Test func `a majority suffices, less is refused before anything is done`() throws {
    let cluster = try cluster()
    cluster.crash(2)
    cluster.setDown([2])
    #expect(try put(cluster, "a", at: 0) == .stored(KVObject()))
    cluster.crash(1)
    cluster.setDown([1, 2])
    #expect(
      try put(cluster, "b", at: 0, ifNoneMatch: true)
        == .failure(.insufficientVnodes(need: 2, got: 1)))
  }

  @Test func `an acceptor that nobody knows to be gone makes a time-out, never a failure`() throws {
    let cluster = try cluster()
    cluster.isolated = [cluster.node(1), cluster.node(2)]
    #expect(try put(cluster, "a", at: 0, ifNoneMatch: true) == .failure(.timeout))
  }

  @Test func `a crash takes no promise and no value that was told`() throws {
    let cluster = try cluster()
    _ = try put(cluster, "a", at: 0)
    for node in 0..<3 { cluster.crash(node) }
    for node in 0..<3 { try cluster.start(node, cleanly: false) }
    try cluster.run(milliseconds: 100)
    #expect(try cluster.get(key, at: 1)?.values == ["a"])
    #expect(try put(cluster, "b", at: 2, ifNoneMatch: true) == .failure(.matchFound))
  }

  @Test func `a seat moves with its registers when the partition changes hands`() throws {
    let cluster = try cluster(nodes: 4)
    // The fourth node owns nothing of the key's at first.
    let partitions = cluster.view.ring.preferencePartitions(of: key, n: 3)
    _ = try put(cluster, "a", at: 0)
    let spare = cluster.view.ring.owner(
      of: PartitionID((partitions[2].index + 1) % cluster.view.ring.size))
    cluster.changeView { view in
      for partition in partitions { view.ring.owners[partition.index] = spare }
    }
    // Nobody votes before the seats have arrived.
    try cluster.run(milliseconds: 2_000)
    #expect(cluster.total(\.seatsMissing) == 0)
    #expect(try cluster.get(key, at: 1)?.values == ["a"])
    #expect(try put(cluster, "b", at: 1, ifNoneMatch: true) == .failure(.matchFound))
    #expect(cluster.probes["seat taken over"] == 3)
  }

  @Test func `a seat lost with its disk is made anew by the others, and not before`() throws {
    let cluster = try cluster(nodes: 4)
    _ = try put(cluster, "a", at: 0)
    let lost = cluster.view.ring.preferencePartitions(of: key, n: 3)[1]
    let owner = cluster.view.ring.owner(of: lost)
    let node = try #require((0..<4).first { cluster.node($0) == owner })
    cluster.crash(node)
    cluster.loseDisk(node)
    cluster.prepare = { _, _ in }
    try cluster.start(node, cleanly: false)
    try cluster.run(milliseconds: 500)
    #expect(cluster.total(\.seatsMissing) == 2)
    try cluster.run(milliseconds: 3_000)
    #expect(cluster.total(\.seatsMissing) == 0 && cluster.total(\.seatsRecovered) == 2)
    #expect(try cluster.get(key, at: node)?.values == ["a"])
    #expect(try put(cluster, "b", at: node, ifNoneMatch: true) == .failure(.matchFound))
  }

  @Test func `whether a bucket is consistent is settled with its type`() throws {
    let cluster = try cluster()
    var properties = cluster.view.properties(of: Self.type)
    properties.nVal = 5
    #expect(
      try cluster.ask(.setBucketProperties(Self.type, properties), at: 0)
        == .failure(.nValViolation(5)))
    properties.nVal = 3
    properties.isConsistent = false
    #expect(
      try cluster.ask(.setBucketProperties(key.bucket, properties), at: 0) == .failure(.failed))
  }
}
