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
