import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

@Suite struct ShardDataTests {
  private let key = ObjectKey(bucket: "b", key: "k")

  @Test func `a written object is read through every shard of every node`() throws {
    let cluster = TestCluster()
    try cluster.start()
    #expect(try cluster.put(key, "v", at: 0) == .stored(KVObject()))
    for node in 0..<3 {
      for shard in 0..<2 {
        let object = try cluster.get(key, at: node, shard: shard)
        #expect(object?.values == ["v"])
      }
    }
    #expect(try cluster.primaries(of: key).allSatisfy { $0?.values == ["v"] })
  }

  @Test func `every shard coordinates or forwards writes, also of absent keys`() throws {
    let cluster = TestCluster()
    try cluster.start()
    for index in 0..<60 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      #expect(
        try cluster.put(key, "v\(index)", at: index % 3, shard: index % 2) == .stored(KVObject()))
    }
    for index in 0..<60 {
      let key = ObjectKey(bucket: "b", key: "k\(index)")
      #expect(try cluster.get(key, at: (index + 1) % 3)?.values == ["v\(index)"])
    }
    #expect(cluster.total(\.forwards) > 0)
    #expect(try cluster.get(ObjectKey(bucket: "b", key: "none"), at: 0)?.isEmpty == true)
  }

  @Test func `concurrent writes become siblings and a write that saw them replaces them`() throws {
    let cluster = TestCluster()
    cluster.view.properties = [cluster.siblingsBucket("s")]
    try cluster.start()
    let key = ObjectKey(bucket: "s", key: "k")
    for value in ["a", "b", "c"] { try cluster.put(key, value, at: 0) }
    let object = try #require(try cluster.get(key, at: 1))
    #expect(object.values == ["a", "b", "c"])
    try cluster.put(key, "merged", context: object.clock, at: 2)
    #expect(try cluster.get(key, at: 0)?.values == ["merged"])
  }

  @Test func `without siblings the later write wins`() throws {
    let cluster = TestCluster()
    try cluster.start()
    for value in ["a", "b", "c"] { try cluster.put(key, value, at: 0) }
    #expect(try cluster.get(key, at: 1, r: .all)?.values == ["c"])
  }

  @Test func `a deleted object is a tombstone everywhere`() throws {
    let cluster = TestCluster()
    try cluster.start()
    try cluster.put(key, "v", at: 0)
    #expect(try cluster.ask(.delete(key, context: nil, DeleteOptions()), at: 1) == .deleted)
    let object = try #require(try cluster.get(key, at: 2, r: .all))
    #expect(object.isDeleted && !object.isEmpty)
    #expect(try cluster.ask(.delete(key, context: nil, DeleteOptions()), at: 1) == .deleted)
    let none = ObjectKey(bucket: "b", key: "none")
    #expect(try cluster.ask(.delete(none, context: nil, DeleteOptions()), at: 1) == .deleted)
    #expect(try cluster.primaries(of: none).allSatisfy { $0 == nil })
  }

  @Test func `the body comes back when asked for`() throws {
    let cluster = TestCluster()
    try cluster.start()
    var options = PutOptions()
    options.returnBody = true
    for node in 0..<3 {
      guard case .stored(let object) = try cluster.put(key, "v\(node)", at: node, options) else {
        Issue.record("no object")
        return
      }
      #expect(object.values == ["v\(node)"])
      #expect(object.siblings[0].content.vtag.count == 22)
    }
  }

  @Test func `large objects are read as heads first`() throws {
    let cluster = TestCluster()
    try cluster.start()
    let value = String(repeating: "x", count: 100_000)
    try cluster.put(key, value, at: 0)
    #expect(try cluster.get(key, at: 1)?.values == [value])
    var options = GetOptions()
    options.headOnly = true
    guard case .object(let head) = try cluster.ask(.get(key, options), at: 2) else {
      Issue.record("no object")
      return
    }
    #expect(head.values == [""])
  }

  @Test func `conditional writes: reference section 1-7`() throws {
    let cluster = TestCluster()
    try cluster.start()
    var none = PutOptions()
    none.ifNoneMatch = true
    var same = PutOptions()
    same.ifNotModified = true
    #expect(try cluster.put(key, "v", at: 0, same) == .failure(.notFound))
    #expect(try cluster.put(key, "v", at: 1, none) == .stored(KVObject()))
    #expect(try cluster.put(key, "w", at: 2, none) == .failure(.matchFound))
    let object = try #require(try cluster.get(key, at: 0))
    #expect(try cluster.put(key, "w", context: object.clock, at: 0, same) == .stored(KVObject()))
    #expect(try cluster.put(key, "x", context: object.clock, at: 1, same) == .failure(.modified))
    #expect(try cluster.get(key, at: 0, r: .all)?.values == ["w"])
  }

  @Test func `only one of many conditional writes at once succeeds`() throws {
    let cluster = TestCluster()
    cluster.view.properties = [cluster.siblingsBucket("s")]
    try cluster.start()
    var options = PutOptions()
    options.ifNoneMatch = true
    let key = ObjectKey(bucket: "s", key: "k")
    let ids = (0..<12).map { index in
      cluster.submit(
        .put(key, context: VersionVector(), Content(value: [UInt8(index)]), options),
        at: index % 3, shard: index % 2)
    }
    try cluster.run(milliseconds: 1000)
    let stored = ids.filter { cluster.replies[$0] == [.stored(KVObject())] }
    let refused = ids.filter { cluster.replies[$0] == [.failure(.matchFound)] }
    #expect(stored.count == 1 && refused.count == 11)
  }

  @Test func `keys and buckets are listed once, from every node`() throws {
    let cluster = TestCluster(ringSize: 32)
    try cluster.start()
    var expected: [String] = []
    for index in 0..<200 {
      try cluster.put(ObjectKey(bucket: "b", key: "k\(index)"), "v", at: index % 3)
      expected.append("k\(index)")
    }
    try cluster.put(ObjectKey(bucket: "other", key: "k"), "v", at: 0)
    for node in 0..<3 {
      let keys = try cluster.list(
        .listKeys(BucketID(name: Bytes("b".utf8)), timeout: nil), at: node)
      #expect(keys.names == expected.sorted())
      #expect(keys.last == .keys([], done: true))
      let buckets = try cluster.list(
        .listBuckets(type: BucketID.defaultType, timeout: nil), at: node)
      #expect(buckets.names == ["b", "other"])
    }
    cluster.setDown([1])
    let keys = try cluster.list(.listKeys(BucketID(name: Bytes("b".utf8)), timeout: nil), at: 0)
    #expect(keys.names == expected.sorted())
  }
}

extension TestCluster {
  func siblingsBucket(_ name: String) -> ClusterView.BucketEntry {
    var properties = BucketProperties()
    properties.allowMult = true
    return ClusterView.BucketEntry(
      bucket: BucketID(name: Bytes(name.utf8)), properties: properties)
  }
}
