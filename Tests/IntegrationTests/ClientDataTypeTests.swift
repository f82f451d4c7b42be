import KVBase
import KVClient
import KVModel
import Testing

/// Data types of the client on a real node.
@Suite(.serialized) struct ClientDataTypeTests {
  /// A node with a bucket type for each data type, and a client of it that is patient: other tests may
  /// hold the processors.
  private func withNode(_ body: (KVClient) async throws -> Void) async throws {
    let cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    for kind in ["counter", "set", "map", "hll", "gset"] {
      try await cluster.createType("\(kind)s", #"{"datatype":"\#(kind)"}"#)
    }
    var configuration = KVClientConfiguration(
      endpoints: [KVEndpoint(host: "127.0.0.1", port: cluster.ports[0].client)])
    configuration.requestTimeout = .seconds(600)
    let client = KVClient(configuration: configuration)
    try await body(client)
    await client.close()
  }

  private func key(_ type: String, _ key: String = "k") -> ObjectKey {
    ObjectKey(key, in: BucketID(type: type, "b"))
  }

  private func code(_ body: () async throws(KVClientError) -> Void) async -> KVClientError.Code? {
    do throws(KVClientError) {
      try await body()
      return nil
    } catch {
      return error.code
    }
  }

  private let returningBody: PutOptions = {
    var options = PutOptions()
    options.returnBody = true
    return options
  }()

  @Test func `counters count exactly, also beyond 64 bits and from many tasks`() async throws {
    try await withNode { client in
      let counter = client.counter(at: key("counters"))
      #expect(try await counter.count() == 0)
      try await counter.increment()
      try await counter.increment(by: -3)
      #expect(try await counter.increment(by: 10, options: returningBody) == 8)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<50 { group.addTask { try await counter.increment(by: 2) } }
        try await group.waitForAll()
      }
      #expect(try await counter.count() == 108)
      try await counter.increment(by: .max)
      try await counter.increment(by: .max)
      #expect(try await counter.count() == 108 + 2 * Int128(Int64.max))
      try await client.delete(counter.key)
      #expect(try await counter.count() == 0)
      let untyped = client.counter(at: ObjectKey(bucket: "plain", key: "c"))
      var properties = try await client.properties(of: "plain")
      properties.allowMult = true
      try await client.setProperties(properties, of: "plain")
      try await untyped.increment(by: 4)
      #expect(try await untyped.count() == 4)
    }
  }

  @Test func `sets remove what was seen, and say so when nothing was`() async throws {
    try await withNode { client in
      let set = client.set(at: key("sets"))
      #expect(try await set.fetch() == nil)
      try await set.add("a", "b")
      let early = try #require(try await set.fetch())
      #expect(early.strings == ["a", "b"] && early.contains("a") && early.context != nil)
      // Added again after the read: the removal has not seen this addition.
      try await set.add("a")
      try await set.remove("a", "never there", from: early)
      #expect(try await set.fetch()?.strings == ["a", "b"])
      let late = try #require(try await set.fetch())
      try await set.remove("a", from: late)
      #expect(try await set.fetch()?.strings == ["b"])
      // Without a fetched value: whatever is there, and an error when it is not.
      try await set.update { $0.remove("b") }
      #expect(try await set.fetch()?.elements == [])
      #expect(
        await code { () throws(KVClientError) in try await set.update { $0.remove("b") } }
          == .notPresent)
      let after = try await set.update(from: late, options: returningBody) {
        $0.add([0xFF, 0])
        $0.add("c")
        $0.remove("nothing")
      }
      #expect(after?.elements == [[0xFF, 0], Bytes("c".utf8)] && after?.context != nil)
    }
  }

  @Test func `grow-only sets and estimates`() async throws {
    try await withNode { client in
      let grown = client.growOnlySet(at: key("gsets"))
      #expect(try await grown.elements() == [])
      try await grown.add("a", "b")
      try await grown.add([[0], Bytes("a".utf8)])
      #expect(try await grown.elements() == [[0], Bytes("a".utf8), Bytes("b".utf8)])
      let estimate = client.estimate(at: key("hlls"))
      #expect(try await estimate.count() == 0)
      try await estimate.add((0..<1000).map { Bytes("element \($0)".utf8) })
      try await estimate.add("element 7")
      let count = try await estimate.count()
      #expect((980...1020).contains(count), "\(count)")
    }
  }

  @Test func `maps in maps change field by field`() async throws {
    try await withNode { client in
      let map = client.map(at: key("maps"))
      #expect(try await map.fetch() == nil)
      try await map.update {
        $0.assign("Ada", toRegister: "name")
        $0.assign([0xFF], toRegister: "bytes")
        $0.increment(counter: "visits", by: 2)
        $0.add("nuts", toSet: "allergies")
        $0.enable(flag: "active")
        $0.update(map: "address") {
          $0.assign("Leeds", toRegister: "town")
          $0.update(map: "deep") { $0.increment(counter: "name", by: -1) }
        }
      }
      let present = try #require(try await map.fetch())
      let fields = present.fields
      #expect(fields.text("name") == "Ada" && fields.register("bytes") == [0xFF])
      #expect(fields.counter("visits") == 2 && fields.flag("active") == true)
      #expect(fields.strings("allergies") == ["nuts"])
      #expect(fields.map("address")?.text("town") == "Leeds")
      #expect(fields.map("address")?.map("deep")?.counter("name") == -1)
      #expect(fields.counter("name") == nil && fields.map("none") == nil)
      #expect(fields.fields.count == 6 && fields[.flag("active")] == .flag(true))

      // Changed after the read, so the removal of the field leaves what it has not seen.
      try await map.update { $0.update(map: "address") { $0.assign("York", toRegister: "town") } }
      let after = try #require(
        try await map.update(from: present, options: returningBody) {
          $0.remove(.map("address"))
          $0.remove(.register("bytes"))
          $0.remove("nuts", fromSet: "allergies")
          $0.disable(flag: "active")
          $0.increment(counter: "visits")
        })
      #expect(after.fields.map("address")?.text("town") == "York")
      #expect(after.fields.map("address")?.map("deep") == nil)
      #expect(after.fields.register("bytes") == nil && after.fields.counter("visits") == 3)
      #expect(after.fields.flag("active") != true)
      #expect(after.fields.strings("allergies") ?? [] == [])
      #expect(
        await code { () throws(KVClientError) in
          try await map.update { $0.remove(.counter("never")) }
        } == .notPresent)
      #expect(try await map.fetch()?.fields.counter("visits") == 3)
    }
  }

  @Test func `the deepest map is stored and read, and one deeper is refused`() async throws {
    try await withNode { client in
      let map = client.map(at: key("maps"))
      func nested(_ depth: Int) -> MapChange {
        var change = MapChange()
        if depth == 1 {
          change.increment(counter: "n")
        } else {
          change.update(map: "m") { $0 = nested(depth - 1) }
        }
        return change
      }
      try await map.update { $0 = nested(32) }
      var fields = try await map.fetch()?.fields
      for _ in 1..<32 { fields = fields?.map("m") }
      #expect(fields?.counter("n") == 1)
      #expect(
        await code { () throws(KVClientError) in try await map.update { $0 = nested(33) } }
          == .invalidArgument)
    }
  }

  @Test func `what does not fit is told by its code`() async throws {
    try await withNode { client in
      try await client.set(at: key("sets")).add("a")
      #expect(
        await code { () throws(KVClientError) in
          _ = try await client.counter(at: key("sets")).count()
        } == .wrongDataType)
      #expect(
        await code { () throws(KVClientError) in
          try await client.counter(at: key("sets")).increment()
        } == .wrongDataType)
      #expect(
        await code { () throws(KVClientError) in
          _ = try await client.set(at: ObjectKey(bucket: "b", key: "k")).fetch()
        } == .wrongDataType)
      #expect(
        await code { () throws(KVClientError) in
          _ = try await client.map(at: key("no such type")).fetch()
        } == .unknownBucketType)
      #expect(
        await code { () throws(KVClientError) in
          try await client.map(at: key("no such type")).update { $0.enable(flag: "f") }
        } == .unknownBucketType)
      try await client.put(Content(value: [1]), at: key("sets", "plain"))
      #expect(
        await code { () throws(KVClientError) in
          _ = try await client.set(at: key("sets", "plain")).fetch()
        } == .wrongDataType)
    }
  }
}
