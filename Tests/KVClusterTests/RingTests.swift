import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct RingTests {
  @Test(arguments: [
    (ObjectKey(bucket: "bucket", key: "key"), 2, 11, 41),
    (ObjectKey(bucket: "test", key: "1"), 2, 12, 48),
    (ObjectKey(bucket: "users", key: "jsmith"), 0, 60, 238),
    (ObjectKey(type: "maps", bucket: "bucket", key: "key"), 1, 3, 9),
  ]) func `keys fall where Riak puts them`(key: ObjectKey, ring8: Int, ring64: Int, ring256: Int) {
    #expect(Ring.firstPartition(of: key, ringSize: 8).index == ring8)
    #expect(Ring.firstPartition(of: key, ringSize: 64).index == ring64)
    #expect(Ring.firstPartition(of: key, ringSize: 256).index == ring256)
  }
}

@Suite struct ShardLayoutTests {
  /// The most partitions a shard has of what a node owns, as a multiple of its share; nil where the
  /// share is below two partitions.
  private func excess(_ layout: ShardLayout, ring: Int, nodes: Int, shards: Int) -> Double? {
    guard ring / nodes >= 2 * shards else { return nil }
    return (0..<nodes).map { node in
      let owned = stride(from: node, to: ring, by: nodes)
      var counts = Array(repeating: 0, count: shards)
      for index in owned { counts[layout.shard(of: PartitionID(index), among: shards).index] += 1 }
      return Double(counts.max() ?? 0) * Double(shards) / Double(counts.reduce(0, +))
    }.max()
  }

  @Test func `spread partitions give no shard more than twice its share`() {
    for ring in [64, 256, 1024] {
      for nodes in 1...24 {
        for shards in [2, 3, 4, 6, 8, 12, 16, 32] {
          guard
            let excess = excess(.spread, ring: ring, nodes: nodes, shards: shards)
          else { continue }
          #expect(excess <= 2, "\(nodes) nodes of \(shards) shards, \(ring) partitions")
        }
      }
    }
  }

  @Test func `by modulo a shard gets all when nodes are as many as shards`() {
    #expect(excess(.modulo, ring: 64, nodes: 4, shards: 4) == 4)
    #expect(excess(.spread, ring: 64, nodes: 4, shards: 4) ?? 9 <= 1.5)
  }

  @Test func `layouts are fixed for good`() {
    let shards = { (layout: ShardLayout, count: Int) in
      (0..<12).map { layout.shard(of: PartitionID($0), among: count).index }
    }
    #expect(shards(.modulo, 3) == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    #expect(shards(.spread, 1) == Array(repeating: 0, count: 12))
    #expect(shards(.spread, 2) == [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1])
    #expect(shards(.spread, 4) == [0, 1, 2, 0, 1, 2, 0, 1, 3, 0, 1, 3])
  }
}
