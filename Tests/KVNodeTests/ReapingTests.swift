import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Deletes whose tombstones go, and old values that must not come back.
@Suite struct ReapingTests {
  private let key = ObjectKey(bucket: "b", key: "k")

  private func cluster(
    _ nodes: Int = 5, mode: DeleteMode = .delayed(.seconds(3)), seed: UInt64 = 1
  ) throws -> TestCluster {
    let cluster = TestCluster(nodes: nodes, seed: seed)
    cluster.configure = { $0.deleteMode = mode }
    try cluster.start()
    return cluster
  }

  private func delete(_ key: ObjectKey, in cluster: TestCluster, at node: Int = 0) throws {
    #expect(try cluster.ask(.delete(key, context: nil, DeleteOptions()), at: node) == .deleted)
  }

  private func isGone(_ key: ObjectKey, in cluster: TestCluster) throws -> Bool {
    try cluster.primaries(of: key).allSatisfy { $0 == nil }
  }

  @Test func `a tombstone goes from every primary after the delay, not before`() throws {
    let cluster = try cluster()
    try cluster.put(key, "v", at: 0)
    try delete(key, in: cluster)
    try cluster.run(milliseconds: 2_500)
    #expect(try cluster.primaries(of: key).allSatisfy { $0?.isDeleted == true })
    try cluster.run(milliseconds: 1_500)
    #expect(try isGone(key, in: cluster))
    #expect(cluster.total(\.tombstonesReaped) == 1)
    #expect(try cluster.get(key, at: 1)?.isDeleted == true)
  }

  @Test func `mode keep removes nothing, mode immediate does not wait`() throws {
    let keeping = try cluster(mode: .keep)
    try keeping.put(key, "v", at: 0)
    try delete(key, in: keeping)
    try keeping.run(milliseconds: 60_000)
    #expect(try keeping.primaries(of: key).allSatisfy { $0?.isDeleted == true })
    let hasty = try cluster(mode: .immediate)
    try hasty.put(key, "v", at: 0)
    try delete(key, in: hasty)
    try hasty.run(milliseconds: 100)
    #expect(try isGone(key, in: hasty))
  }

  @Test
  func `nothing is reaped while any member is down, and a returning node brings nothing back`()
    throws
  {
    let cluster = try cluster()
    try cluster.put(key, "old", at: 0)
    try cluster.run(milliseconds: 100)
    let owner = cluster.view.ring.owner(
      of: cluster.view.ring.preferencePartitions(of: key, n: 3)[2])
    let away = try #require(cluster.names.indices.first { cluster.node($0) == owner })
    let here = (away + 1) % 5
    cluster.isolated = [owner]
    cluster.setDown([away])
    try delete(key, in: cluster, at: here)
    try cluster.run(milliseconds: 60_000)
    #expect(cluster.total(\.tombstonesReaped) == 0)
    cluster.isolated = []
    cluster.setDown([])
    try cluster.run(milliseconds: 20_000)
    #expect(try isGone(key, in: cluster))
    #expect(try cluster.get(key, at: here, r: .all)?.isDeleted == true)
  }

  @Test func `a hint for a primary stands in the way until it has drained`() throws {
    let cluster = try cluster()
    try cluster.put(key, "v", at: 0)
    try cluster.run(milliseconds: 100)
    let partition = cluster.view.ring.preferencePartitions(of: key, n: 3)[0]
    let primaries = cluster.view.ring.preferencePartitions(of: key, n: 3)
      .map { cluster.view.ring.owner(of: $0) }
    let outside = try #require(
      cluster.names.indices.first { !primaries.contains(cluster.node($0)) })
    // An old copy at a node that owns no partition of the key, which does not hand it off.
    let old = try #require(try cluster.stored(key, partition, on: primaries[0]))
    let (bytes, head) = old.encoded()
    let place = try #require(cluster.view.address(of: partition, on: cluster.node(outside)))
    _ = try cluster.stores[place]?.apply(
      [.put(key, partition, encoded: bytes, headByteCount: head)])
    cluster.blockHandoff = true
    try delete(key, in: cluster)
    try cluster.run(milliseconds: 30_000)
    #expect(cluster.total(\.tombstonesReaped) == 0)
    #expect(cluster.probes["reap deferred", default: 0] > 0)
    cluster.blockHandoff = false
    try cluster.run(milliseconds: 90_000)
    #expect(try isGone(key, in: cluster))
    #expect(cluster.total(\.hintsPending) == 0)
  }

  @Test func `an old copy that turns up within the memory is buried again`() throws {
    let cluster = try cluster()
    try cluster.put(key, "v", at: 0)
    try cluster.run(milliseconds: 100)
    let partitions = cluster.view.ring.preferencePartitions(of: key, n: 3)
    let owner = cluster.view.ring.owner(of: partitions[1])
    let old = try #require(try cluster.stored(key, partitions[1], on: owner))
    try delete(key, in: cluster)
    try cluster.run(milliseconds: 10_000)
    #expect(try isGone(key, in: cluster))
    // As from a backup: straight into one primary's store.
    let (bytes, head) = old.encoded()
    let place = try #require(cluster.view.address(of: partitions[1], on: owner))
    _ = try cluster.stores[place]?.apply(
      [.put(key, partitions[1], encoded: bytes, headByteCount: head)])
    #expect(try cluster.get(key, at: 0, r: .all)?.isDeleted == true)
    try cluster.run(milliseconds: 10_000)
    #expect(try isGone(key, in: cluster))
  }

  @Test func `a key written again after its delete lives, under events that are new`() throws {
    let cluster = try cluster(3)
    for round in 0..<6 {
      try cluster.put(key, "v\(round)", at: round % 3)
      try delete(key, in: cluster, at: (round + 1) % 3)
      try cluster.run(milliseconds: 5_000)
      #expect(try isGone(key, in: cluster))
    }
    try cluster.put(key, "last", at: 0)
    #expect(try cluster.get(key, at: 1, r: .all)?.values == ["last"])
    try cluster.run(milliseconds: 20_000)
    #expect(try cluster.primaries(of: key).allSatisfy { $0?.values == ["last"] })
    let actors = try cluster.primaries(of: key)[0]?.clock.entries.count ?? 0
    #expect(actors <= 3, "reaping costs no vnode its identity")
  }

  @Test func `the sweep finds tombstones whose coordinator crashed`() throws {
    let cluster = try cluster(3)
    for index in 0..<20 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      try cluster.put(key, "v", at: 0)
      try delete(key, in: cluster, at: index % 3)
    }
    try cluster.run(milliseconds: 1_000)
    for node in 0..<3 {
      cluster.crash(node)
      try cluster.start(node, cleanly: false)
    }
    try cluster.run(milliseconds: 60_000)
    for index in 0..<20 {
      #expect(try isGone(ObjectKey(bucket: "b", key: "k\(index)"), in: cluster))
    }
  }

  @Test func `a primary that lacks the tombstone is sent it before anything is reaped`() throws {
    let cluster = try cluster(3)
    try cluster.put(key, "v", at: 0)
    try delete(key, in: cluster)
    try cluster.run(milliseconds: 100)
    let partition = cluster.view.ring.preferencePartitions(of: key, n: 3)[1]
    let owner = cluster.view.ring.owner(of: partition)
    let place = try #require(cluster.view.address(of: partition, on: owner))
    _ = try cluster.stores[place]?.apply([.remove(key, partition)])
    try cluster.run(milliseconds: 20_000)
    #expect(cluster.probes["tombstone repaired", default: 0] > 0)
    #expect(try isGone(key, in: cluster))
  }

  @Test(arguments: [UInt64(1), 2, 3, 4])
  func `deletes stay deletes whatever the network does`(seed: UInt64) throws {
    let cluster = try cluster(5, mode: .delayed(.milliseconds(200)), seed: seed)
    cluster.faults = .init(drop: 0.1, duplicate: 0.2, maximumDelay: 400_000)
    var random = SeededRandom(seed: seed)
    var isDeleted: [ObjectKey: Bool] = [:]
    for _ in 0..<120 {
      let key = ObjectKey(bucket: "b", key: "k\(random.below(10))")
      if random.chance(0.5) {
        let reply = try cluster.put(key, "v", at: random.below(5))
        isDeleted[key] = reply == .stored(KVObject()) ? false : nil
      } else {
        var options = DeleteOptions()
        options.r = .all
        let reply = try cluster.ask(.delete(key, context: nil, options), at: random.below(5))
        isDeleted[key] = reply == .deleted ? true : nil
      }
      try cluster.run(milliseconds: UInt64(random.below(300)))
    }
    cluster.faults = .init()
    try cluster.run(milliseconds: 60_000)
    for key in isDeleted.keys.sorted() where isDeleted[key] == true {
      #expect(try cluster.get(key, at: 0, r: .all)?.isDeleted == true)
      #expect(try isGone(key, in: cluster))
    }
    for key in isDeleted.keys.sorted() where isDeleted[key] == false {
      #expect(try cluster.get(key, at: 0, r: .all)?.values == ["v"])
    }
  }
}
