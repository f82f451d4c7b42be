import KVBase
import KVModel
import Testing

@testable import KVProtocol
@testable import KVServer

/// Requests beyond get and put, as bytes on the wire against the obvious store.
@Suite struct TypedSessionTests {
  private static let done: Bytes = [0x20, 1]

  private func harness() -> SessionHarness {
    SessionHarness(store: RecordedExchangeTests.store())
  }

  /// A message with byte strings and numbers as fields.
  private func frame(_ code: UInt8, _ build: (inout ProtobufWriter) -> Void) -> Bytes {
    var writer = ProtobufWriter()
    build(&writer)
    return [code] + writer.bytes
  }

  private func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

  private func ask(_ harness: SessionHarness, _ payload: Bytes) -> [Bytes] {
    harness.written = []
    harness.session.received(payload)
    return harness.written
  }

  /// Sends a MapReduce job.
  private func run(_ job: String, _ harness: SessionHarness) -> [Bytes] {
    let payload = frame(23) { writer in
      writer.write(1, bytes(job))
      writer.write(2, bytes("application/json"))
    }
    return ask(harness, payload)
  }

  private func put(
    _ harness: SessionHarness, _ key: String, value: String = "v", index: (String, String)? = nil
  ) {
    let written = ask(
      harness,
      frame(11) { writer in
        writer.write(1, bytes("b"))
        writer.write(2, bytes(key))
        writer.write(4) { content in
          content.write(1, bytes(value))
          content.write(2, bytes("application/json"))
          if let index {
            content.write(10) { pair in
              pair.write(1, bytes(index.0))
              pair.write(2, bytes(index.1))
            }
          }
        }
      })
    #expect(written == [[12]])
  }

  private func counterOperation(_ type: String, returnBody: Bool = true) -> Bytes {
    frame(82) { writer in
      writer.write(1, bytes("b"))
      writer.write(2, bytes("k"))
      writer.write(3, bytes(type))
      writer.write(5) { $0.write(1) { $0.write(signed: 5, 1) } }
      writer.write(9, returnBody)
    }
  }

  @Test func `a counter is updated and fetched`() {
    let harness = harness()
    #expect(ask(harness, counterOperation("counters")) == [[83, 0x18, 10]])
    #expect(ask(harness, counterOperation("counters", returnBody: false)) == [[83]])
    let fetch = frame(80) { writer in
      writer.write(1, bytes("b"))
      writer.write(2, bytes("k"))
      writer.write(3, bytes("counters"))
    }
    #expect(ask(harness, fetch) == [[81, 0x10, 1, 0x1A, 2, 8, 20]])
  }

  @Test(arguments: [
    ("sets", "Operation type is `counter` but  bucket type is `set`."),
    ("plain", "Bucket datatype `undefined` is not a supported type"),
    ("nosuch", "Error no bucket type `<<\"nosuch\">>`"),
    ("default", "Bucket must be allow_mult=true"),
  ])
  func `what a bucket type does not offer is refused in the reference's words`(
    _ type: String, _ text: String
  ) {
    let harness = harness()
    _ = ask(harness, counterOperation(type))
    #expect(harness.errors == [text])
    #expect(!harness.isClosed)
  }

  @Test func `an index query ends with where to go on`() throws {
    let harness = harness()
    for number in 1...3 { put(harness, "k\(number)", index: ("n_int", "\(number)")) }
    func query(_ continuation: Bytes?, streamed: Bool) -> Bytes {
      frame(25) { writer in
        writer.write(1, bytes("b"))
        writer.write(2, bytes("n_int"))
        writer.write(3, UInt64(1))
        writer.write(5, bytes("0"))
        writer.write(6, bytes("9"))
        writer.write(7, true)
        writer.write(8, streamed)
        writer.write(9, UInt64(2))
        if let continuation { writer.write(10, continuation) }
      }
    }
    let first = try #require(ask(harness, query(nil, streamed: false)).first)
    let fields = try ProtobufFields(first.dropFirst())
    #expect(fields.repeated(2).count == 2)
    #expect(!fields.has(4))
    let rest = ask(harness, query(fields.bytes(3), streamed: true))
    #expect(rest.count == 2)
    #expect(rest.last == [26] + Self.done)
    #expect(
      rest.first
        == frame(26) {
          $0.write(2) { hit in
            hit.write(1, bytes("3"))
            hit.write(2, bytes("k3"))
          }
        })
  }

  @Test(arguments: [
    ("n_int", "x", "{field_parsing_failed,{<<\"n_int\">>,<<\"x\">>}}"),
    ("nothing", "x", "{unknown_field_type,<<\"nothing\">>}"),
  ])
  func `terms that an index cannot have are refused`(
    _ field: String, _ term: String, _ text: String
  ) {
    let harness = harness()
    _ = ask(
      harness,
      frame(25) { writer in
        writer.write(1, bytes("b"))
        writer.write(2, bytes(field))
        writer.write(3, UInt64(0))
        writer.write(4, bytes(term))
      })
    #expect(harness.errors == [text])
  }

  @Test func `a job maps, reduces and ends with done`() {
    let harness = harness()
    put(harness, "a", value: "2")
    put(harness, "b", value: "3")
    let phases =
      #"{"map":{"language":"erlang","module":"riak_kv_mapreduce","function":"map_object_value","#
      + #""arg":"filter_notfound"}},"#
      + #"{"reduce":{"language":"erlang","module":"riak_kv_mapreduce","#
      + #""function":"reduce_string_to_integer"}},"#
      + #"{"reduce":{"language":"erlang","module":"riak_kv_mapreduce","function":"reduce_sum"}}"#
    let job = #"{"inputs":[["b","a"],["b","b"],["b","missing"]],"query":["# + phases + "]}"
    let written = run(job, harness)
    #expect(
      written == [
        frame(24) { writer in
          writer.write(1, UInt64(2))
          writer.write(2, bytes("[5]"))
        }, [24, 0x18, 1],
      ])
  }

  @Test(arguments: [
    ("{", "Invalid JSON in the job"),
    ("{}", "The job was missing the \"inputs\" or \"query\" field."),
    (
      #"{"inputs":"b","query":[{"map":{"language":"javascript","name":"Mine.map"}}]}"#,
      "JavaScript phases are not offered; use built-in functions by name"
    ),
    (
      #"{"inputs":"b","query":[{"map":{"language":"erlang","source":"fun() -> ok end."}}]}"#,
      "May have tried to run source text, which is not allowed; name a function"
    ),
  ])
  func `jobs that cannot be done are refused`(_ job: String, _ text: String) {
    let harness = harness()
    _ = run(job, harness)
    #expect(harness.errors == [text])
    #expect(!harness.session.isBusy)
  }

  @Test func `the built-in names of old clients work without JavaScript`() {
    let harness = harness()
    for (key, value) in [("a", "3"), ("b", "1"), ("c", "2")] { put(harness, key, value: value) }
    let job =
      #"{"inputs":[["b","a"],["b","b"],["b","c"],["b","none"]],"query":["#
      + #"{"map":{"language":"javascript","name":"Riak.mapValuesJson"}},"#
      + #"{"reduce":{"language":"javascript","name":"Riak.reduceNumericSort"}},"#
      + #"{"reduce":{"language":"javascript","name":"Riak.reduceSlice","arg":[1,3]}}]}"#
    let written = run(job, harness)
    #expect(
      written.first
        == frame(24) { writer in
          writer.write(1, UInt64(2))
          writer.write(2, bytes("[2,3]"))
        })
  }

  @Test func `operations that are switched off are refused, and others are not`() {
    var limits = ClientSessionLimits()
    limits.disabledJobs = Set(JobClass.allCases)
    let harness = SessionHarness(limits: limits, store: RecordedExchangeTests.store())
    let list = frame(17) { $0.write(1, bytes("b")) }
    let query = frame(25) { writer in
      writer.write(1, bytes("b"))
      writer.write(2, bytes("a_bin"))
      writer.write(3, UInt64(0))
      writer.write(4, bytes("x"))
    }
    let job = frame(23) { writer in
      writer.write(1, bytes("{}"))
      writer.write(2, bytes("application/json"))
    }
    for (payload, name) in [
      (list, "stream_list_keys"), ([15], "list_buckets"), ([15, 0x10, 1], "stream_list_buckets"),
      (query, "secondary_index"), (job, "map_reduce"),
    ] {
      _ = ask(harness, payload)
      #expect(harness.errors == ["Operation '{riak_kv,\(name)}' is not enabled"])
    }
    put(harness, "k")
  }

  @Test func `key filters choose among the keys of a bucket`() {
    let harness = harness()
    for key in ["basho-20101215", "google-20110103", "yahoo-20090613"] { put(harness, key) }
    let job =
      #"{"inputs":{"bucket":"b","key_filters":[["tokenize","-",2],["string_to_int"],"#
      + #"["between",20090101,20101231]]},"query":[]}"#
    let written = run(job, harness)
    #expect(
      written.first
        == frame(24) { writer in
          writer.write(1, UInt64(0))
          writer.write(2, bytes(#"[["b","basho-20101215"],["b","yahoo-20090613"]]"#))
        })
  }

  @Test func `a bucket is folded in key order, from and to where it is asked`() throws {
    let harness = harness()
    for key in ["a", "b", "c", "d"] { put(harness, key, value: key) }
    let written = ask(
      harness,
      frame(40) { writer in
        writer.write(1, bytes("b"))
        writer.write(2, bytes("a"))
        writer.write(3, bytes("d"))
        writer.write(4, false)
      })
    #expect(written.last == [41, 0x18, 1])
    let keys = try written.dropLast().map { frame in
      let object = try #require(try ProtobufFields(frame.dropFirst()).message(1))
      #expect(try object.message(2)?.message(1)?.bytes(1) == object.bytes(1))
      return try #require(object.bytes(1))
    }
    #expect(keys == [bytes("b"), bytes("c")])
  }

  @Test func `a bounded fold tells where it goes on`() throws {
    let harness = harness()
    for key in ["a", "b", "c"] { put(harness, key) }
    func fold(_ continuation: Bytes?) -> Bytes {
      frame(40) { writer in
        writer.write(1, bytes("b"))
        writer.write(2, bytes(""))
        if let continuation { writer.write(6, continuation) }
        writer.write(7, UInt64(2))
      }
    }
    let first = ask(harness, fold(nil))
    #expect(first.count == 3)
    let end = try ProtobufFields(try #require(first.last).dropFirst())
    let second = ask(harness, fold(end.bytes(2)))
    #expect(second.count == 2)
    #expect(second.last == [41, 0x18, 1])
  }

  @Test func `a preference list names n primaries`() throws {
    let harness = harness()
    let written = ask(
      harness,
      frame(33) { writer in
        writer.write(1, bytes("b"))
        writer.write(2, bytes("k"))
      })
    let vnodes = try ProtobufFields(try #require(written.first).dropFirst()).messages(1)
    #expect(vnodes.count == 3)
    #expect(vnodes.allSatisfy { $0.flag(3) == true })
  }

  @Test func `maps deeper than the limit are refused`() {
    var operation = ProtobufWriter()
    for _ in 0..<40 {
      var outer = ProtobufWriter()
      outer.write(2) { update in
        update.write(1) { field in
          field.write(1, bytes("m"))
          field.write(2, UInt64(5))
        }
        update.write(6, operation.bytes)
      }
      operation = outer
    }
    let harness = harness()
    _ = ask(
      harness,
      frame(82) { writer in
        writer.write(1, bytes("b"))
        writer.write(2, bytes("k"))
        writer.write(3, bytes("maps"))
        writer.write(5) { $0.write(3, operation.bytes) }
      })
    #expect(harness.errors == ["Maps go more than 32 deep"])
  }
}
