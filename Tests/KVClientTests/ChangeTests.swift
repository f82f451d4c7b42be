import KVBase
import KVModel
import KVProtocol
import Testing

@testable import KVClient

/// What changes of data types become, and how refusals are told.
@Suite(.serialized) struct ChangeTests {
  private func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

  @Test func `the last word about an element counts`() {
    var change = SetChange()
    #expect(change.isEmpty)
    change.add("a")
    change.remove("a")
    change.remove("b")
    change.add("b")
    change.add([0xFF])
    #expect(change.adds == [bytes("b"), [0xFF]] && change.removes == [bytes("a")])
  }

  @Test func `a change of a map is one operation with each field once`() throws {
    var change = MapChange()
    change.increment(counter: "n")
    change.increment(counter: "n", by: 4)
    change.assign("x", toRegister: "r")
    change.assign("y", toRegister: "r")
    change.enable(flag: "f")
    change.disable(flag: "f")
    change.add("e", toSet: "s")
    change.remove("d", fromSet: "s")
    change.update(map: "m") { $0.enable(flag: "g") }
    change.update(map: "m") { $0.increment(counter: "n", by: -1) }
    change.remove(.register("old"))
    change.remove(.register("old"))
    let operation = try change.operation()
    #expect(operation.removes == [.register("old")])
    #expect(
      operation.updates == [
        .init(field: .flag("f"), change: .flag(false)),
        .init(
          field: .map("m"),
          change: .map(
            MapOperation(updates: [
              .init(field: .flag("g"), change: .flag(true)),
              .init(field: .counter("n"), change: .counter(-1)),
            ]))),
        .init(field: .counter("n"), change: .counter(5)),
        .init(field: .register("r"), change: .register(bytes("y"))),
        .init(field: .set("s"), change: .set(adds: [bytes("e")], removes: [bytes("d")])),
      ])
  }

  @Test func `depth and steps have limits`() throws {
    func nested(_ depth: Int) -> MapChange {
      var change = MapChange()
      if depth == 1 {
        change.enable(flag: "f")
      } else {
        change.update(map: "m") { $0 = nested(depth - 1) }
      }
      return change
    }
    #expect(throws: Never.self) { try nested(32).operation() }
    #expect(throws: KVClientError.self) { try nested(33).operation() }
    var change = MapChange()
    change.update(map: "m") {
      $0.increment(counter: "n", by: .max)
      $0.increment(counter: "n", by: 1)
    }
    #expect(throws: KVClientError.self) { try change.operation() }
  }

  @Test func `an empty change and one of another object are not sent`() async throws {
    let client = KVClient(
      configuration: .init(endpoints: [KVEndpoint(host: "127.0.0.1", port: 1)]))
    let set = client.set(at: ObjectKey("k", in: BucketID(type: "sets", "b")))
    #expect(try await set.update { _ in } == nil)
    try await client.map(at: set.key).update { _ in }
    try await client.growOnlySet(at: set.key).add([])
    try await client.estimate(at: set.key).add([])
    let other = try #require(
      FetchedSet(
        key: ObjectKey(bucket: "b", key: "k"), FetchedDataType(value: .set([]), context: nil)))
    await #expect(throws: KVClientError.self) { try await set.remove("a", from: other) }
    var options = PutOptions()
    options.ifNoneMatch = true
    await #expect(throws: KVClientError.self) {
      try await client.counter(at: set.key).increment(options: options)
    }
    await client.close()
  }

  @Test(arguments: [
    ("{precondition,{not_present,<<\"a\">>}}", KVClientError.Code.notPresent),
    ("{precondition,{not_present,{<<\"a\">>,riak_dt_map}}}", .notPresent),
    ("{counter_overflow,\"a count of 2^96 or more\"}", .counterOverflow),
    ("{type_mismatch,\"set is stored\"}", .wrongDataType),
    ("Operation type is `set` but  bucket type is `map`.", .wrongDataType),
    ("`undefined` is not a supported type", .wrongDataType),
    ("Bucket datatype `undefined` is not a supported type", .wrongDataType),
    ("Bucket must be allow_mult=true", .refused),
    ("Error no bucket type `<<\"sets\">>`", .unknownBucketType),
    ("timeout", .timeout),
  ])
  func `refusals have codes`(text: String, code: KVClientError.Code) async throws {
    let server = try await ScriptedServer { _, _ in .frames([ReplyEncoder.error(text)]) }
    var configuration = KVClientConfiguration(endpoints: [server.endpoint])
    configuration.requestTimeout = .seconds(300)
    let client = KVClient(configuration: configuration)
    let set = client.set(at: ObjectKey("k", in: BucketID(type: "sets", "b")))
    do {
      try await set.add("a")
      Issue.record("an answer")
    } catch {
      #expect(error.code == code && error.message == text)
      #expect(error.isAmbiguous == (code == .timeout))
    }
    #expect(server.requestCount == 1)
    await client.close()
    await server.stop()
  }

  @Test func `what repeats harmlessly is repeated, steps of counters never`() async throws {
    let server = try await ScriptedServer { _, number in
      number.isMultiple(of: 2) ? .frames([[83]]) : .hangUp
    }
    var configuration = KVClientConfiguration(endpoints: [server.endpoint])
    configuration.requestTimeout = .seconds(300)
    let client = KVClient(configuration: configuration)
    let key = ObjectKey("k", in: BucketID(type: "t", "b"))
    try await client.growOnlySet(at: key).add("a")
    try await client.estimate(at: key).add("a")
    try await client.set(at: key).update(idempotent: true) { $0.add("a") }
    let seen = try #require(
      FetchedSet(
        key: key, FetchedDataType(value: .set([]), context: CausalContext(bytes: [1]))))
    await #expect(throws: Never.self) { try await client.set(at: key).update(from: seen) { _ in } }
    #expect(server.requestCount == 6)
    await #expect(throws: KVClientError.self) { try await client.counter(at: key).increment() }
    #expect(server.requestCount == 7)
    await client.close()
    await server.stop()
  }
}
