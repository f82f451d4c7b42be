import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Ownership handoffs between real shards: what moves, how often, and what a break costs.
@Suite struct ShardHandoffTests {
  private static let moved = (0..<16).filter { $0 % 3 == 0 }.map { PartitionID($0) }

  private func name(_ index: Int) -> ObjectKey { ObjectKey(bucket: "b", key: "k\(index)") }

  /// Two owners, a third node that is to take every third partition, and `count` objects.
  private func cluster(
    count: Int, seed: UInt64 = 1, _ limits: @escaping (inout HandoffLimits) -> Void = { _ in }
  ) throws -> TestCluster {
    let cluster = TestCluster(nodes: 3, seed: seed, members: 2)
    cluster.configure = { limits(&$0.handoff) }
    try cluster.start()
    for index in 0..<count { try cluster.put(name(index), "v\(index)", at: index % 2) }
    try cluster.run(milliseconds: 200)
    return cluster
  }

  private func begin(_ cluster: TestCluster) {
    cluster.changeView { view in
      view.transfers = Self.moved.map {
        PendingTransfer(partition: $0, from: view.ring.owner(of: $0), to: cluster.node(2))
      }
    }
  }

  private func finish(_ cluster: TestCluster) throws {
    cluster.changeView { view in
      for partition in Self.moved { view.ring.owners[partition.index] = cluster.node(2) }
      view.transfers = []
    }
    try cluster.run(milliseconds: 8000) { cluster.total(\.hintsPending) == 0 }
    #expect(cluster.total(\.hintsPending) == 0)
  }

  private func finished(_ cluster: TestCluster) -> Set<PartitionID> {
    Set(cluster.shards.values.flatMap(\.finishedTransfers).map(\.partition))
  }

  private func expectAll(_ cluster: TestCluster, _ range: Range<Int>, _ letter: String) throws {
    for index in range {
      #expect(
        try cluster.primaries(of: name(index)).allSatisfy { $0?.values == ["\(letter)\(index)"] },
        "k\(index)")
    }
  }

  @Test func `a partition is sent once: what drains afterwards is only compared`() throws {
    let cluster = try cluster(count: 300) { $0.batchCount = 10 }
    begin(cluster)
    try cluster.run(milliseconds: 4000) { finished(cluster).count == Self.moved.count }
    let received = cluster.total(\.handoffObjectsReceived)
    #expect(received > 0)
    try finish(cluster)
    #expect(cluster.total(\.handoffObjectsReceived) == received)
    #expect(cluster.probes["hints removed without sending them", default: 0] > 0)
    try expectAll(cluster, 0..<300, "v")
  }

  @Test func `with a node of the first release everything is streamed, and nothing unknown sent`()
    throws
  {
    let cluster = TestCluster(nodes: 3, members: 2)
    cluster.versions = [2, 2, 1]
    try cluster.start()
    for index in 0..<100 { try cluster.put(name(index), "v\(index)", at: index % 2) }
    begin(cluster)
    try cluster.run(milliseconds: 4000) { finished(cluster).count == Self.moved.count }
    #expect(finished(cluster).count == Self.moved.count)
    try finish(cluster)
    #expect(cluster.sent["compare", default: 0] + cluster.sent["offer", default: 0] == 0)
    try expectAll(cluster, 0..<100, "v")
  }

  @Test func `new writes reach the next owner while the partition moves and after`() throws {
    let cluster = try cluster(count: 100) { $0.bytesPerSecond = 3000 }
    begin(cluster)
    for index in 0..<60 {
      try cluster.put(name(index), "w\(index)", at: index % 2)
      try cluster.run(milliseconds: 20)
    }
    #expect(cluster.probes["write forwarded during transfer", default: 0] > 0)
    #expect(cluster.probes["handoff held back by its rate", default: 0] > 0)
    try cluster.run(milliseconds: 60_000) { finished(cluster).count == Self.moved.count }
    #expect(finished(cluster).count == Self.moved.count)
    for index in 60..<100 { try cluster.put(name(index), "w\(index)", at: index % 2) }
    try cluster.run(milliseconds: 100)
    // Before the ring changes: the next owner has everything.
    for index in 0..<100 {
      for partition in cluster.view.ring.preferencePartitions(of: name(index), n: 3)
      where Self.moved.contains(partition) {
        let there = try cluster.stored(name(index), partition, on: cluster.node(2))
        #expect(there?.values == ["w\(index)"], "k\(index) of \(partition.index)")
      }
    }
    try finish(cluster)
    try expectAll(cluster, 0..<100, "w")
  }

  @Test func `a batch is acknowledged when it is durable, not before`() throws {
    let cluster = try cluster(count: 3)
    var receipts = 0
    cluster.isLost = { message in
      if case .handoffReceipt(let receipt) = message, receipt.isAccepted { receipts += 1 }
      return false
    }
    for (number, isHeld) in [false, true].enumerated() {
      cluster.holdsFlushes = isHeld
      let key = name(700 + number)
      let partition = cluster.view.ring.preferencePartitions(of: key, n: 3)[0]
      var object = KVObject()
      object.write(Content(value: [1]), context: VersionVector(), by: VnodeID(rawValue: 9))
      let batch = HandoffBatch(
        operation: OperationID(rawValue: UInt64(number)), partition: partition, number: 0,
        entries: [ReplicaScan.Entry(key: key, encoded: object.encoded().bytes)])
      let owner = cluster.view.ring.owner(of: partition)
      let sender = try #require((0..<2).first { cluster.node($0) != owner })
      cluster.send(
        .handoff(batch), from: cluster.address(sender),
        to: try #require(cluster.view.address(of: partition, on: owner)))
      try cluster.run(milliseconds: 200)
      #expect(try cluster.stored(key, partition, on: owner)?.values.count == 1)
      #expect(receipts == 1, "flushes end: \(!isHeld)")
    }
  }

  @Test func `what replicas bring back to the sender reaches the next owner too`() throws {
    let cluster = try cluster(count: 20)
    begin(cluster)
    try cluster.run(milliseconds: 4000) { finished(cluster).count == Self.moved.count }
    let key = name(900)
    let partition = try #require(
      cluster.view.ring.preferencePartitions(of: key, n: 3).first(where: Self.moved.contains))
    var object = KVObject()
    object.write(
      Content(value: Bytes("late".utf8)), context: VersionVector(), by: VnodeID(rawValue: 9))
    let owner = cluster.view.ring.owner(of: partition)
    let batch = HandoffBatch(
      operation: OperationID(rawValue: 1), partition: partition, number: 0,
      entries: [ReplicaScan.Entry(key: key, encoded: object.encoded().bytes)])
    let sender = try #require((0..<2).first { cluster.node($0) != owner })
    cluster.send(
      .handoff(batch), from: cluster.address(sender),
      to: try #require(cluster.view.address(of: partition, on: owner)))
    try cluster.run(milliseconds: 100)
    #expect(cluster.probes["batch forwarded during transfer", default: 0] > 0)
    #expect(try cluster.stored(key, partition, on: cluster.node(2))?.values == ["late"])
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func `a break costs no more than what was on its way`(seed: UInt64) throws {
    let cluster = try cluster(count: 400, seed: seed) {
      $0.batchCount = 5
      $0.windowCount = 2
      $0.concurrency = 1
    }
    begin(cluster)
    try cluster.run(milliseconds: 5000) { cluster.total(\.handoffObjects) > 40 }
    cluster.isolated = [cluster.node(2)]
    cluster.setDown([2])
    try cluster.run(milliseconds: 500)
    #expect(cluster.probes["handoff given up", default: 0] > 0)
    cluster.isolated = []
    cluster.setDown([])
    try cluster.run(milliseconds: 20_000) { finished(cluster).count == Self.moved.count }
    #expect(finished(cluster).count == Self.moved.count)
    let occupied = try Self.moved.reduce(0) { sum, partition in
      try sum
        + (0..<400).count {
          try cluster.stored(name($0), partition, on: cluster.node(2)) != nil
        }
    }
    #expect(cluster.total(\.handoffObjectsReceived) <= occupied + 2 * 2 * 5)
    try finish(cluster)
    try expectAll(cluster, 0..<400, "v")
  }

  @Test func `batches lost on the way, or by a receiver that crashes, are made up for`() throws {
    let cluster = try cluster(count: 200) {
      $0.batchCount = 10
      $0.compareCount = 20
    }
    var random = SeededRandom(seed: 8)
    cluster.isLost = { message in
      switch message {
      case .handoff, .handoffReceipt, .handoffMessage: random.chance(0.2)
      default: false
      }
    }
    begin(cluster)
    try cluster.run(milliseconds: 300)
    cluster.crash(2)
    try cluster.start(2, cleanly: false)
    try cluster.run(milliseconds: 200_000) { finished(cluster).count == Self.moved.count }
    #expect(finished(cluster).count == Self.moved.count)
    cluster.isLost = { _ in false }
    try finish(cluster)
    try expectAll(cluster, 0..<200, "v")
  }

  @Test func `a receiver that lost its disk after the transfer is not taken at its word`() throws {
    let cluster = try cluster(count: 120)
    begin(cluster)
    try cluster.run(milliseconds: 4000) { finished(cluster).count == Self.moved.count }
    cluster.crash(2)
    cluster.loseDisk(2)
    try cluster.start(2, cleanly: false)
    try finish(cluster)
    try expectAll(cluster, 0..<120, "v")
  }
}
