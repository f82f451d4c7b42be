import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage
import Testing

@Suite struct IndexStoreTests {
  private static let fields = ["a_bin", "n_int", "b_bin"].map { Bytes($0.utf8) }

  private static func term(_ field: Bytes, _ random: inout SeededRandom) -> Bytes {
    IndexTerm.isInteger(field)
      ? Bytes("\(random.below(40) - 20)".utf8)
      : (0..<random.below(3)).map { _ in [0, 1, 97, 0xFF][random.below(4)] }
  }

  private static func object(_ random: inout SeededRandom) -> KVObject {
    var object = KVObject()
    for sibling in 0...random.below(2) {
      let indexes = (0..<random.below(4)).map { _ in
        let field = fields[random.below(fields.count)]
        return Pair(key: field, value: term(field, &random))
      }
      object.write(
        Content(value: [1], indexes: Set(indexes).sorted()), context: VersionVector(),
        by: VnodeID(rawValue: UInt64(sibling + 1)))
    }
    return object
  }

  private static func query(_ bucket: BucketID, _ random: inout SeededRandom) -> IndexQuery {
    let field = fields[random.below(fields.count)]
    let bounds = [term(field, &random), term(field, &random)]
      .map { IndexTerm.sortable($0, field: field) }
      .sorted { $0.lexicographicallyPrecedes($1) }
    return IndexQuery(
      bucket: bucket, field: field, lower: bounds[0], upper: random.chance(0.2) ? nil : bounds[1])
  }

  @Test(arguments: [UInt64(1), 2, 3, 4]) func `indexes tell what a look at every object tells`(
    seed: UInt64
  ) throws {
    var random = SeededRandom(seed: seed)
    let fileSystem = CrashableFileSystem()
    var real = LSMReplicaStore(store: try Store.open(at: "d", fileSystem: fileSystem))
    let model = ModelReplicaStore()
    let partitions = [0, 1, 255].map { PartitionID($0) }
    let buckets = [[0], [0, 1], [97], [97, 0xFF]].map { BucketID(name: $0) }
    for step in 0..<500 {
      let key = ObjectKey(bucket: buckets[random.below(4)], key: [UInt8(random.below(12))])
      let partition = partitions[random.below(3)]
      let (encoded, headByteCount) = Self.object(&random).encoded()
      let change: ReplicaChange =
        random.chance(0.2)
        ? .remove(key, partition)
        : .put(key, partition, encoded: encoded, headByteCount: headByteCount)
      _ = model.apply([change])
      _ = try real.apply([change])
      if step == 250 {
        try real.store.close()
        real = LSMReplicaStore(store: try Store.open(at: "d", fileSystem: fileSystem))
      }
    }
    for _ in 0..<300 {
      let query = Self.query(buckets[random.below(4)], &random)
      let partition = partitions[random.below(3)]
      let limit = 1 + random.below(5)
      var after: IndexEntry?
      var pages = 0
      repeat {
        let expected = try model.indexEntries(of: query, in: partition, after: after, limit: limit)
        let found = try real.indexEntries(of: query, in: partition, after: after, limit: limit)
        #expect(found == expected)
        after = found.isComplete ? nil : found.entries.last
        pages += 1
      } while after != nil && pages < 200
    }
    #expect(try real.occupiedPartitions() == model.occupiedPartitions())
  }
}
