import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

@Suite struct ShardFoldTests {
  private func fold(_ query: FoldQuery, _ cluster: TestCluster) throws -> FoldResult {
    guard case .folded(let result) = try cluster.ask(.fold(query), at: 1) else {
      Issue.record("no answer to \(query)")
      return FoldResult()
    }
    return result
  }

  private func filled() throws -> TestCluster {
    let cluster = TestCluster()
    cluster.view.properties = [cluster.siblingsBucket("s")]
    try cluster.start()
    for index in 0..<30 {
      let key = ObjectKey(bucket: index % 3 == 0 ? "s" : "b", key: "k\(100 + index)")
      try cluster.put(key, String(repeating: "x", count: index * 10), at: index % 3)
    }
    try cluster.put(ObjectKey(bucket: "s", key: "k100"), "again", at: 0)
    _ = try cluster.ask(
      .delete(ObjectKey(bucket: "b", key: "k101"), context: nil, DeleteOptions()), at: 0)
    return cluster
  }

  @Test func `each object is counted once, by size and siblings`() throws {
    let cluster = try filled()
    let all = try fold(FoldQuery(.statistics), cluster)
    #expect(all.count == 30)
    #expect(all.sizes.reduce(0, +) == 30)
    #expect(all.siblings == [0, 29, 1])
    var query = FoldQuery(.statistics)
    query.bucket = BucketID(name: Bytes("s".utf8))
    #expect(try fold(query, cluster).count == 10)
    query.from = Bytes("k103".utf8)
    query.through = Bytes("k112".utf8)
    #expect(try fold(query, cluster).count == 4)
  }

  @Test func `objects are found by siblings, size and tombstones`() throws {
    let cluster = try filled()
    #expect(
      try fold(FoldQuery(.siblings(moreThan: 1)), cluster).found.map(\.key.key)
        == [Bytes("k100".utf8)])
    #expect(
      try fold(FoldQuery(.tombstones), cluster).found.map(\.key.key) == [Bytes("k101".utf8)])
    let live = try fold(FoldQuery(.live), cluster)
    #expect(live.found.count == 29)
    #expect(live.found.map(\.key) == live.found.map(\.key).sorted())
    let largest = try #require(live.found.map(\.value).max())
    let found = try fold(FoldQuery(.size(moreThan: largest - 1)), cluster)
    #expect(found.found.map(\.key.key) == [Bytes("k129".utf8)])
  }

  @Test func `a fold without a vnode it needs fails and is not left waiting`() throws {
    let cluster = try filled()
    cluster.setDown([0, 2])
    let reply = try cluster.ask(.fold(FoldQuery(.statistics)), at: 1)
    #expect(reply == .folded(FoldResult()) || reply != .failure(.timeout))
  }

  @Test func `tombstones are reaped at once when that is asked for, but not when they are kept`()
    throws
  {
    for mode in [DeleteMode.delayed(.seconds(3600)), .keep] {
      let cluster = TestCluster()
      cluster.configure = { $0.deleteMode = mode }
      try cluster.start()
      let keys = (0..<20).map { ObjectKey(bucket: "b", key: "k\($0)") }
      for key in keys {
        try cluster.put(key, "x", at: 0)
        _ = try cluster.ask(.delete(key, context: nil, DeleteOptions()), at: 1)
      }
      try cluster.run(milliseconds: 5_000)
      #expect(try fold(FoldQuery(.tombstones), cluster).count == 20)
      let reply = try cluster.ask(.reap(keys), at: 2)
      #expect(
        reply
          == (mode == .keep
            ? .failure(.refused("tombstones are kept: delete.mode is keep")) : .reapQueued))
      try cluster.run(milliseconds: 5_000)
      #expect(try fold(FoldQuery(.tombstones), cluster).count == (mode == .keep ? 20 : 0))
      #expect(try cluster.ask(.bucketTypes, at: 0) == .bucketTypes([Bytes("default".utf8)]))
    }
  }
}
