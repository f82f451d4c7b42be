import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

@Suite struct ShardFaultTests {
  private let key = ObjectKey(bucket: "b", key: "k")

  @Test func `a node that is down is stood in for, and gets its hints back`() throws {
    let cluster = TestCluster(nodes: 5)
    try cluster.start()
    cluster.isolated = [cluster.node(1)]
    cluster.setDown([1])
    for index in 0..<50 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      #expect(
        try cluster.put(key, "v\(index)", at: [0, 2, 3, 4][index % 4]) == .stored(KVObject()))
    }
    #expect(cluster.total(\.hintsPending) > 0)
    cluster.isolated = []
    cluster.setDown([])
    try cluster.run(milliseconds: 5000)
    #expect(cluster.total(\.hintsPending) == 0)
    #expect(cluster.total(\.handoffsActive) == 0)
    for index in 0..<50 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      #expect(try cluster.primaries(of: key).allSatisfy { $0?.values == ["v\(index)"] })
    }
    #expect(cluster.probes["handed off objects removed", default: 0] > 0)
  }

  @Test func `a crash that nobody has noticed yet costs no write its quorum`() throws {
    let cluster = TestCluster(nodes: 3)
    try cluster.start()
    cluster.isolated = [cluster.node(1)]
    cluster.crash(1)
    var timeouts = 0
    for index in 0..<30 {
      var options = PutOptions()
      options.timeout = .seconds(2)
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      if try cluster.put(key, "v", at: 2 * (index % 2), options) == .failure(.timeout) {
        timeouts += 1
      }
    }
    try cluster.run(milliseconds: 3000)
    #expect(timeouts == 0, "every key has a primary on each of three nodes")
    #expect(cluster.probes["put sent again or to a fallback", default: 0] > 0)
  }

  @Test func `what was acknowledged survives a crash of its replicas`() throws {
    let cluster = TestCluster()
    try cluster.start()
    for index in 0..<40 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      #expect(try cluster.put(key, "v\(index)", at: index % 3) == .stored(KVObject()))
    }
    for node in 0..<3 {
      cluster.crash(node)
      try cluster.start(node, cleanly: false)
    }
    try cluster.run(milliseconds: 100)
    for index in 0..<40 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      #expect(try cluster.get(key, at: (index + 1) % 3)?.values == ["v\(index)"])
    }
    #expect(cluster.probes["epoch bump"] == 12)
  }

  @Test func `a node takes writes again once its full disk has space`() throws {
    let cluster = TestCluster()
    try cluster.start()
    cluster.limitDisk(of: 1, to: 0)
    var options = PutOptions()
    options.dw = .all
    options.timeout = .seconds(1)
    #expect(try cluster.put(key, "full", at: 0, options) != .stored(KVObject()))
    try cluster.run(milliseconds: 2000)
    #expect(cluster.logs.contains { $0.contains("a flush failed") })
    cluster.limitDisk(of: 1, to: nil)
    try cluster.run(milliseconds: 3000)
    #expect(cluster.probes["resumed after a full disk", default: 0] > 0)
    let later = ObjectKey(bucket: "b", key: "later")
    #expect(try cluster.put(later, "v", at: 1, options) == .stored(KVObject()))
    #expect(try cluster.primaries(of: later).allSatisfy { $0?.values == ["v"] })
  }

  @Test func `a read repairs replicas that missed writes, tombstones included`() throws {
    let cluster = TestCluster()
    cluster.configure = { $0.deleteMode = .keep }
    try cluster.start()
    let deleted = ObjectKey(bucket: "b", key: "deleted")
    try cluster.put(deleted, "v", at: 0)
    try cluster.run(milliseconds: 100)
    cluster.isolated = [cluster.node(2)]
    try cluster.put(key, "v", at: 0)
    _ = try cluster.ask(.delete(deleted, context: nil, DeleteOptions()), at: 0)
    // The coordinators give up their late copies before the node is back.
    try cluster.run(milliseconds: 15_000)
    cluster.isolated = []
    // Hints went to the other two nodes beside their own vnodes; drop them from the picture.
    #expect(try cluster.get(key, at: 1, r: .all)?.values == ["v"])
    #expect(try cluster.get(deleted, at: 1, r: .all)?.isDeleted == true)
    try cluster.run(milliseconds: 3000)
    #expect(try cluster.primaries(of: key).allSatisfy { $0?.values == ["v"] })
    #expect(try cluster.primaries(of: deleted).allSatisfy { $0?.isDeleted == true })
    #expect(cluster.total(\.readRepairs) > 0)
  }

  @Test func `a partition moves to its next owner with all that is written meanwhile`() throws {
    let cluster = TestCluster(nodes: 3, members: 2)
    try cluster.start()
    for index in 0..<100 {
      try cluster.put(ObjectKey(bucket: "b", key: "k\(index)"), "v\(index)", at: 0)
    }
    let moved = (0..<16).filter { $0 % 3 == 0 }.map { PartitionID($0) }
    cluster.changeView { view in
      view.transfers = moved.map {
        PendingTransfer(
          partition: $0, from: view.ring.owner(of: $0), to: cluster.node(2))
      }
    }
    for index in 50..<150 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      try cluster.put(key, "w\(index)", at: index % 2)
    }
    try cluster.run(milliseconds: 2000)
    #expect(cluster.total(\.handoffObjectsReceived) > 0)
    cluster.changeView { view in
      for partition in moved { view.ring.owners[partition.index] = cluster.node(2) }
      view.transfers = []
    }
    try cluster.run(milliseconds: 5000)
    #expect(cluster.total(\.hintsPending) == 0)
    for index in 0..<150 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      let value = index < 50 ? "v\(index)" : "w\(index)"
      #expect(try cluster.primaries(of: key).allSatisfy { $0?.values == [value] })
      #expect(try cluster.get(key, at: 2, r: .all)?.values == [value])
    }
  }

  @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6])
  func `every request gets exactly one final reply, whatever the network does`(seed: UInt64) throws
  {
    let cluster = TestCluster(seed: seed)
    cluster.view.properties = [cluster.siblingsBucket("s")]
    try cluster.start()
    cluster.faults = .init(drop: 0.1, duplicate: 0.1, maximumDelay: 20_000)
    var random = SeededRandom(seed: seed)
    var written: [RequestID: (key: ObjectKey, value: String)] = [:]
    for round in 0..<300 {
      let key = ObjectKey(bucket: random.chance(0.5) ? "s" : "b", key: "k\(random.below(12))")
      let node = random.below(3)
      let shard = random.below(2)
      switch random.below(10) {
      case 0..<5:
        var options = PutOptions()
        options.timeout = .seconds(3)
        let request = ClientRequest.put(
          key, context: VersionVector(), Content(value: Bytes("v\(round)".utf8)), options)
        written[cluster.submit(request, at: node, shard: shard)] = (key, "v\(round)")
      case 5..<9:
        var options = GetOptions()
        options.timeout = .seconds(3)
        cluster.submit(.get(key, options), at: node, shard: shard)
      default:
        cluster.submit(.listKeys(key.bucket, timeout: .seconds(3)), at: node, shard: shard)
      }
      try cluster.run(milliseconds: UInt64(random.below(60)))
      if round == 100 { cluster.setDown([1]) }
      if round == 150 { cluster.setDown([]) }
    }
    try cluster.run(milliseconds: 30_000)
    for (id, count) in cluster.finals { #expect(count == 1, "request \(id.rawValue)") }
    cluster.faults = .init()
    try cluster.run(milliseconds: 30_000)
    #expect(cluster.total(\.hintsPending) == 0)
    #expect(cluster.total(\.requestsActive) == 0)
    for (id, write) in written where write.key.bucket.name == Bytes("s".utf8) {
      guard cluster.replies[id] == [.stored(KVObject())] else { continue }
      let object = try cluster.get(write.key, at: 0, r: .all)
      #expect(object?.values.contains(write.value) == true, "\(write) was acknowledged")
    }
  }

  @Test func `quorums that cannot be met fail with the exact counts`() throws {
    let cluster = TestCluster()
    try cluster.start()
    cluster.isolated = [cluster.node(2)]
    cluster.setDown([2])
    var get = GetOptions()
    get.pr = .all
    #expect(try cluster.ask(.get(key, get), at: 0) == .failure(.prUnsatisfied(need: 3, got: 2)))
    get = GetOptions()
    get.r = .count(4)
    #expect(try cluster.ask(.get(key, get), at: 0) == .failure(.nValViolation(3)))
    get = GetOptions()
    get.r = .all
    get.sloppyQuorum = false
    #expect(
      try cluster.ask(.get(key, get), at: 0) == .failure(.insufficientVnodes(need: 3, got: 2)))
    get = GetOptions()
    get.nodeConfirms = .count(3)
    #expect(
      try cluster.ask(.get(key, get), at: 0) == .failure(.insufficientNodes(need: 3, got: 2)))
    var put = PutOptions()
    put.pw = .all
    #expect(try cluster.put(key, "v", at: 0, put) == .failure(.pwUnsatisfied(need: 3, got: 2)))
    put = PutOptions()
    put.nVal = 4
    #expect(try cluster.put(key, "v", at: 0, put) == .failure(.nValViolation(4)))
    put = PutOptions()
    put.w = .all
    put.sloppyQuorum = false
    #expect(
      try cluster.put(key, "v", at: 0, put) == .failure(.insufficientVnodes(need: 3, got: 2)))
    #expect(try cluster.put(key, "v", at: 0) == .stored(KVObject()))
  }

  @Test func `limits are refused and the object stays as it was`() throws {
    let cluster = TestCluster()
    cluster.configure = {
      $0.objectByteLimit = 2000
      $0.siblingLimit = 3
    }
    cluster.view.properties = [cluster.siblingsBucket("s")]
    try cluster.start()
    let key = ObjectKey(bucket: "s", key: "k")
    for value in ["a", "b", "c"] { try cluster.put(key, value, at: 0) }
    guard case .failure(.tooLarge) = try cluster.put(key, "d", at: 1),
      case .failure(.tooLarge) = try cluster.put(
        self.key, String(repeating: "x", count: 3000), at: 1)
    else {
      Issue.record("not refused")
      return
    }
    #expect(try cluster.get(key, at: 2, r: .all)?.values == ["a", "b", "c"])
    #expect(try cluster.get(self.key, at: 2, r: .all)?.isEmpty == true)
  }

  @Test func `too many requests at once are answered with overload`() throws {
    let cluster = TestCluster()
    cluster.configure = { $0.requestLimit = 10 }
    try cluster.start()
    let ids = (0..<30).map { _ in cluster.submit(.get(key, GetOptions()), at: 0) }
    try cluster.run(milliseconds: 1000)
    let overloads = ids.filter { cluster.replies[$0] == [.failure(.overload)] }
    #expect(overloads.count == 20)
    #expect(cluster.finals.values.allSatisfy { $0 == 1 })
  }

  @Test func `stop finishes what is under way and refuses what comes after`() throws {
    let cluster = TestCluster()
    try cluster.start()
    let first = cluster.submit(
      .put(key, context: VersionVector(), Content(value: [1]), PutOptions()), at: 0)
    cluster.sendStop(0)
    let second = cluster.submit(.get(key, GetOptions()), at: 0)
    try cluster.run(milliseconds: 2000)
    #expect(cluster.replies[first] == [.stored(KVObject())])
    #expect(cluster.replies[second] == [.failure(.overload)])
    #expect(cluster.stopped == [cluster.address(0, 0), cluster.address(0, 1)])
  }
}
