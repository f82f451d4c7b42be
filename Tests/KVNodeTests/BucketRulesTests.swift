import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

/// Contents that expire, and buckets that are dropped.
@Suite struct BucketRulesTests {
  private let bucket = BucketID(name: Bytes("b".utf8))

  private func key(_ index: Int) -> ObjectKey {
    ObjectKey(bucket: bucket, key: Bytes("k\(index)".utf8))
  }

  private func cluster(ttl: UInt64?, siblings: Bool = false) throws -> TestCluster {
    let cluster = TestCluster(nodes: 5)
    var properties = BucketProperties()
    properties.allowMult = siblings
    properties.secondsToLive = ttl
    cluster.view.properties = [
      ClusterView.BucketEntry(bucket: bucket, properties: properties)
    ]
    try cluster.start()
    return cluster
  }

  private func dropTime(_ cluster: TestCluster) {
    var marker = BucketProperties()
    marker.dropTime = cluster.now.wallClock
    let entry = ClusterView.BucketEntry(
      bucket: ClusterView.dropMarker(of: bucket), properties: marker)
    cluster.changeView { view in
      view.properties.removeAll { $0.bucket == entry.bucket }
      view.properties = (view.properties + [entry]).sorted { $0.bucket < $1.bucket }
    }
  }

  private func keys(_ cluster: TestCluster) throws -> [String] {
    let listing = try cluster.list(.listKeys(bucket, timeout: nil), at: 0)
    #expect(listing.last == .keys([], done: true))
    return listing.names
  }

  // MARK: Expiry

  @Test func `a content is gone when its seconds are over, for reads, lists and disks`() throws {
    let cluster = try cluster(ttl: 5)
    try cluster.put(key(0), "v", at: 0)
    try cluster.run(milliseconds: 3_000)
    #expect(try cluster.get(key(0), at: 1)?.values == ["v"])
    #expect(try keys(cluster) == ["k0"])
    try cluster.run(milliseconds: 2_500)
    #expect(try cluster.get(key(0), at: 1)?.values == [])
    #expect(try keys(cluster) == [])
    try cluster.run(milliseconds: 2_000)
    #expect(try cluster.primaries(of: key(0)).allSatisfy { $0 == nil })
  }

  @Test func `a write after the expiry lives, although its vnodes have forgotten the key`() throws {
    let cluster = try cluster(ttl: 2, siblings: true)
    for round in 0..<5 {
      try cluster.put(key(0), "v\(round)", at: round)
      try cluster.run(milliseconds: 100)
      #expect(try cluster.get(key(0), at: 1, r: .all)?.values == ["v\(round)"])
      try cluster.run(milliseconds: 4_000)
    }
  }

  @Test func `nodes whose clocks differ lose no write that is alive`() throws {
    // The stores expire by clocks a second apart, the shards by one of their own.
    let cluster = try cluster(ttl: 2, siblings: true)
    cluster.clockSkewSeconds = [0, 1, 2, 3, 4]
    for round in 0..<8 {
      try cluster.put(key(0), "v\(round)", at: round % 5)
      try cluster.run(milliseconds: 100)
      #expect(try cluster.get(key(0), at: 1, r: .all)?.values.contains("v\(round)") == true)
      try cluster.run(milliseconds: 1_500)
    }
  }

  @Test func `an expired copy on a returning node stays gone`() throws {
    let cluster = try cluster(ttl: 5)
    try cluster.put(key(0), "v", at: 0)
    try cluster.run(milliseconds: 100)
    cluster.isolated = [cluster.node(2)]
    cluster.setDown([2])
    try cluster.run(milliseconds: 8_000)
    cluster.isolated = []
    cluster.setDown([])
    #expect(try cluster.get(key(0), at: 0, r: .all)?.values == [])
    try cluster.run(milliseconds: 3_000)
    #expect(try keys(cluster) == [])
  }

  // MARK: Drop

  @Test func `a dropped bucket is empty at once and its bytes go, other buckets stay`() throws {
    let cluster = try cluster(ttl: nil)
    let other = ObjectKey(bucket: "other", key: "k")
    try cluster.put(other, "stays", at: 0)
    for index in 0..<50 { try cluster.put(key(index), "v", at: index % 5) }
    dropTime(cluster)
    #expect(try cluster.get(key(0), at: 1, r: .all)?.values == [])
    #expect(try keys(cluster) == [])
    try cluster.run(milliseconds: 5_000)
    for index in 0..<50 {
      #expect(try cluster.primaries(of: key(index)).allSatisfy { $0 == nil })
    }
    #expect(try cluster.get(other, at: 0)?.values == ["stays"])
    #expect(cluster.probes["dropped objects removed", default: 0] > 0)
  }

  @Test func `what is written after the drop stays, also as a sibling of what was dropped`() throws
  {
    let cluster = try cluster(ttl: nil, siblings: true)
    for index in 0..<20 { try cluster.put(key(index), "old", at: index % 5) }
    try cluster.run(milliseconds: 100)
    dropTime(cluster)
    for index in 0..<20 where index.isMultiple(of: 2) {
      try cluster.put(key(index), "new", at: index % 5)
    }
    try cluster.run(milliseconds: 5_000)
    for index in 0..<20 {
      let values = index.isMultiple(of: 2) ? ["new"] : []
      #expect(try cluster.get(key(index), at: 3, r: .all)?.values == values)
    }
    #expect(try keys(cluster).count == 10)
  }

  @Test func `a node that was away brings nothing of a dropped bucket back`() throws {
    let cluster = try cluster(ttl: nil)
    for index in 0..<20 { try cluster.put(key(index), "v", at: index % 5) }
    try cluster.run(milliseconds: 100)
    cluster.isolated = [cluster.node(2)]
    cluster.setDown([2])
    dropTime(cluster)
    cluster.crash(2)
    try cluster.run(milliseconds: 5_000)
    try cluster.start(2, cleanly: false)
    cluster.isolated = []
    cluster.setDown([])
    try cluster.run(milliseconds: 5_000)
    for index in 0..<20 {
      #expect(try cluster.get(key(index), at: 0, r: .all)?.values == [])
      #expect(try cluster.primaries(of: key(index)).allSatisfy { $0 == nil })
    }
  }

  @Test func `a coordinator whose clock lags keeps what it takes after it knew of the drop`() throws
  {
    let cluster = try cluster(ttl: nil)
    var marker = BucketProperties()
    marker.dropTime = WallClock(
      microseconds: cluster.now.wallClock.microseconds + 60_000_000)
    let entry = ClusterView.BucketEntry(
      bucket: ClusterView.dropMarker(of: bucket), properties: marker)
    cluster.changeView {
      $0.properties = ($0.properties + [entry]).sorted { $0.bucket < $1.bucket }
    }
    try cluster.put(key(0), "v", at: 0)
    #expect(try cluster.get(key(0), at: 1, r: .all)?.values == ["v"])
  }
}
