import Foundation
import Testing

/// The client interface over HTTP, byte for byte on a real node.
@Suite struct HTTPClientTests {
  /// One answer, taken apart.
  private struct Answer {
    var status: Int
    var head: String
    var body: String

    init(_ text: String) {
      let halves = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
      head = String(halves[0])
      body = halves.count > 1 ? String(halves[1]) : ""
      status = Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0
      if header("Transfer-Encoding") == "chunked" { body = Self.joined(body) }
    }

    /// The chunks of a body as one.
    private static func joined(_ chunks: String) -> String {
      var bytes = Array(chunks.utf8)[...]
      var whole: [UInt8] = []
      while let end = bytes.firstIndex(of: 13),
        let count = Int(String(decoding: bytes[..<end], as: UTF8.self), radix: 16), count > 0
      {
        whole += bytes[(end + 2)...].prefix(count)
        bytes = bytes[(end + 2)...].dropFirst(count + 2)
      }
      return String(decoding: whole, as: UTF8.self)
    }

    /// The parts of a body of `multipart/mixed`.
    var parts: [String] {
      guard let boundary = header("Content-Type")?.components(separatedBy: "boundary=").last,
        body.hasSuffix("\r\n--\(boundary)--\r\n")
      else { return [] }
      return body.components(separatedBy: "\r\n--\(boundary)").dropFirst().dropLast().compactMap {
        $0.components(separatedBy: "\r\n\r\n").last
      }
    }

    func header(_ name: String) -> String? {
      head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ": ") }
        .map { String($0.dropFirst(name.count + 2)) }
    }
  }

  private let cluster: TestCluster

  init() async throws {
    cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
  }

  private func ask(
    _ method: String, _ path: String, _ headers: [String] = [], body: String = ""
  ) throws -> Answer {
    let line = (["\(method) \(path) HTTP/1.1"] + headers).joined(separator: "\r\n")
    return Answer(try Socket.http(cluster.ports[0].http, line, body: body))
  }

  private let text = "Content-Type: text/plain"
  private let json = "Content-Type: application/json"

  private func createType(_ name: String, _ properties: String) async throws {
    let created = try await cluster.admin(
      0, ["bucket-type", "create", name, "{\"props\":\(properties)}"])
    #expect(created.status == 0, "\(created)")
  }

  @Test func `an object is stored, read and deleted with everything said about it`() throws {
    let path = "/buckets/b/keys/a%2Fb%00"
    let missing = try ask("GET", path)
    #expect(missing.status == 404 && missing.body == "not found\n")
    let stored = try ask(
      "PUT", path,
      [
        "Content-Type: text/plain; charset=utf-8", "X-Riak-Meta-Colour: blue",
        "X-Riak-Index-age_int: 007, 9", "Link: </buckets/b/keys/c%20d>; riaktag=\"next\"",
      ], body: "hello")
    #expect(stored.status == 204)
    let read = try ask("GET", path)
    #expect(read.status == 200 && read.body == "hello")
    #expect(read.header("Content-Type") == "text/plain; charset=utf-8")
    #expect(read.header("X-Riak-Meta-Colour") == "blue")
    #expect(read.header("X-Riak-Index-age_int") == "7, 9")
    #expect(
      read.header("Link") == "</buckets/b/keys/c%20d>; riaktag=\"next\", </buckets/b>; rel=\"up\"")
    let head = try ask("HEAD", path)
    #expect(head.status == 200 && head.body.isEmpty && head.header("Content-Length") == "5")
    let clock = try #require(read.header("X-Riak-Vclock"))
    #expect(try ask("DELETE", path, ["X-Riak-Vclock: \(clock)"]).status == 204)
    #expect(try ask("GET", path).status == 404)
    #expect(try ask("DELETE", path).status == 404)
    let made = try ask("POST", "/buckets/b/keys", [text], body: "x")
    #expect(made.status == 201)
    #expect(try ask("GET", try #require(made.header("Location"))).body == "x")
    #expect(try ask("PUT", "/riak/b/old", [text], body: "y").status == 204)
    #expect(try ask("GET", "/riak/b/old").header("Link") == "</riak/b>; rel=\"up\"")
    #expect(try ask("GET", "/buckets/b/keys?keys=true").body.contains("\"old\""))
    #expect(try ask("GET", "/buckets?buckets=true").body == "{\"buckets\":[\"b\"]}")
  }

  @Test func `conditions are checked before reads and writes`() throws {
    let path = "/buckets/c/keys/k"
    let first = try ask("PUT", path + "?returnbody=true", [text, "If-None-Match: *"], body: "1")
    #expect(first.status == 200 && first.body == "1")
    let tag = try #require(first.header("ETag"))
    let date = try #require(first.header("Last-Modified"))
    let clock = try #require(first.header("X-Riak-Vclock"))
    #expect(try ask("PUT", path, [text, "If-None-Match: *"], body: "2").status == 412)
    #expect(try ask("PUT", path, [text, "If-Match: \"no\""], body: "2").status == 412)
    #expect(try ask("GET", path, ["If-None-Match: \(tag)"]).status == 304)
    #expect(try ask("GET", path, ["If-Modified-Since: \(date)"]).status == 304)
    #expect(
      try ask("GET", path, ["If-Modified-Since: Sun, 31 Feb 2016 00:00:00 GMT"]).status == 200)
    #expect(try ask("PUT", path, [text, "If-Match: \(tag)"], body: "2").status == 204)
    let late = ["X-Riak-If-Not-Modified: \(clock)"]
    #expect(try ask("PUT", path, [text] + late, body: "3").status == 409)
    #expect(try ask("GET", path).body == "2")
  }

  @Test func `siblings are told by their tags or as parts`() async throws {
    try await createType("sib", #"{"allow_mult":true}"#)
    let path = "/types/sib/buckets/b/keys/k"
    #expect(try ask("PUT", path, [text], body: "one").status == 204)
    #expect(try ask("PUT", path, [text, "X-Riak-Meta-N: 2"], body: "two").status == 204)
    let plain = try ask("GET", path)
    let lines = plain.body.split(separator: "\n")
    #expect(plain.status == 300 && lines.count == 3 && lines.first == "Siblings:")
    let values = try lines.dropFirst().map { try ask("GET", "\(path)?vtag=\($0)").body }
    #expect(values.sorted() == ["one", "two"])
    let parts = try ask("GET", path, ["Accept: multipart/mixed"])
    let boundary = try #require(parts.header("Content-Type")).split(separator: "boundary=").last
    #expect(parts.status == 300)
    #expect(parts.body.components(separatedBy: "--\(boundary ?? "")").count == 4)
    #expect(parts.body.contains("X-Riak-Meta-N: 2\r\n"))
    let clock = try #require(plain.header("X-Riak-Vclock"))
    #expect(try ask("PUT", path, [text, "X-Riak-Vclock: \(clock)"], body: "3").status == 204)
    #expect(try ask("GET", path).body == "3")
  }

  @Test func `indexes, properties, counters and data types`() async throws {
    for index in 0..<5 {
      let headers = [text, "X-Riak-Index-n_int: \(index)"]
      #expect(try ask("PUT", "/buckets/i/keys/k\(index)", headers, body: "v").status == 204)
    }
    let page = try ask("GET", "/buckets/i/index/n_int/1/9?max_results=2&return_terms=true")
    #expect(page.body.contains("\"results\":[{\"1\":\"k1\"},{\"2\":\"k2\"}]"))
    let mark = try #require(
      page.body.split(separator: "continuation\":\"").last?.prefix { $0 != "\"" })
    let coded = mark.replacing("+", with: "%2B").replacing("=", with: "%3D")
    let next = try ask("GET", "/buckets/i/index/n_int/1/9?continuation=\(coded)")
    #expect(next.body == "{\"keys\":[\"k3\",\"k4\"]}")
    #expect(try ask("GET", "/buckets/i/index/n_int/3").body == "{\"keys\":[\"k3\"]}")

    let change = #"{"props":{"n_val":1,"r":"one","precommit":[{"mod":"m","fun":"f"}]}}"#
    #expect(try ask("PUT", "/buckets/p/props", [json], body: change).status == 204)
    let properties = try ask("GET", "/buckets/p/props").body
    #expect(properties.contains("\"n_val\":1") && properties.contains("\"r\":\"one\""))
    #expect(properties.contains("\"precommit\":[{\"fun\":\"f\",\"mod\":\"m\"}]"))
    #expect(try ask("DELETE", "/buckets/p/props").status == 204)
    #expect(try ask("GET", "/buckets/p/props").body.contains("\"n_val\":3"))

    #expect(try ask("POST", "/buckets/k/counters/c", [text], body: "1").status == 409)
    #expect(
      try ask("PUT", "/buckets/k/props", [json], body: #"{"props":{"allow_mult":true}}"#).status
        == 204)
    #expect(
      try ask("POST", "/buckets/k/counters/c?returnvalue=true", [text], body: "-3").body == "-3")

    try await createType("maps", #"{"datatype":"map"}"#)
    let map = "/types/maps/buckets/b/datatypes/m"
    let update = #"{"update":{"n_counter":2,"s_set":{"add_all":["a","b"]},"f_flag":"enable"}}"#
    #expect(try ask("POST", map, [json], body: update).status == 204)
    let value = try ask("GET", map).body
    #expect(value.contains(#""value":{"f_flag":true,"n_counter":2,"s_set":["a","b"]}"#))
    let context = try #require(value.split(separator: "context\":\"").last?.prefix { $0 != "\"" })
    let removal = #"{"update":{"s_set":{"remove":"a"}},"remove":"f_flag","context":"\#(context)"}"#
    let after = try ask("POST", map + "?returnbody=true", [json], body: removal)
    #expect(after.body.contains(#""value":{"n_counter":2,"s_set":["b"]}"#))
  }

  @Test func `a MapReduce job answers with the results of the phases it keeps`() throws {
    for index in 1...4 {
      #expect(try ask("PUT", "/buckets/m/keys/k\(index)", [text], body: "\(index)").status == 204)
    }
    let map =
      #"{"map":{"language":"erlang","module":"riak_kv_mapreduce","function":"map_object_value"}}"#
    let count =
      #"{"reduce":{"language":"erlang","module":"riak_kv_mapreduce","function":"reduce_count_inputs"}}"#
    let counted = try ask(
      "POST", "/mapred", [json], body: #"{"inputs":"m","query":[\#(map),\#(count)]}"#)
    #expect(counted.status == 200 && counted.body == "[4]", "\(counted)")
    let values = try ask(
      "POST", "/mapred", [json], body: #"{"inputs":[["m","k2"]],"query":[\#(map)]}"#)
    #expect(values.body == "[\"2\"]", "\(values)")
    #expect(try ask("POST", "/mapred", [json], body: "{}").status == 400)
  }

  @Test func `listings, queries and jobs are streamed to those who ask for it`() throws {
    let count = 2500
    for index in 0..<count {
      let headers = [text, "X-Riak-Index-n_int: \(index)"]
      #expect(try ask("PUT", "/buckets/s/keys/k\(index)?dw=0", headers, body: "v").status == 204)
    }
    let names = Set((0..<count).map { "\"k\($0)\"" })
    func keys(_ text: String) -> [String] {
      text.components(separatedBy: "\"").filter { $0.hasPrefix("k") && $0 != "keys" }
        .map { "\"\($0)\"" }
    }
    let whole = try ask("GET", "/buckets/s/keys?keys=true").body
    #expect(keys(whole).count == count && Set(keys(whole)) == names)
    let streamed = try ask("GET", "/buckets/s/keys?keys=stream")
    #expect(streamed.header("Transfer-Encoding") == "chunked")
    #expect(keys(streamed.body).count == count && Set(keys(streamed.body)) == names)
    #expect(streamed.body.components(separatedBy: "}{").count > 1)
    #expect(try ask("GET", "/buckets?buckets=stream").body.contains(#"{"buckets":["s"]}"#))
    #expect(try ask("GET", "/riak/s?keys=stream&props=false").body.contains("\"k7\""))

    let hits = try ask("GET", "/buckets/s/index/n_int/0/99999?stream=true").parts
    #expect(hits.count > 1)
    #expect(hits.flatMap(keys).count == count && Set(hits.flatMap(keys)) == names)
    let some = try ask("GET", "/buckets/s/index/n_int/0/99999?stream=true&max_results=10").parts
    #expect(some.dropLast().flatMap(keys) == (0..<10).map { "\"k\($0)\"" })
    let mark = try #require(some.last?.components(separatedBy: "\"").dropLast().last)
    let coded = mark.replacing("+", with: "%2B").replacing("=", with: "%3D")
    let rest = try ask("GET", "/buckets/s/index/n_int/0/99999?continuation=\(coded)")
    #expect(keys(rest.body).count == count - 10)

    let map =
      #"{"map":{"language":"erlang","module":"riak_kv_mapreduce","function":"map_object_value"}}"#
    let job = try ask(
      "POST", "/mapred?chunked=true", [json], body: #"{"inputs":"s","query":[\#(map)]}"#)
    #expect(job.parts.allSatisfy { $0.contains("\"phase\":0") } && job.parts.count > 1)
    #expect(job.parts.joined().components(separatedBy: "\"v\"").count == count + 1)
    #expect(try ask("GET", "/types/none/buckets/b/keys?keys=stream").status == 404)
  }

  @Test func `an answer for which there is no memory is refused, and what was held is free again`()
    async throws
  {
    #expect(cluster.stop(0) == 0)
    try await cluster.start(0, ["--set", "client.memory_limit=1MiB"])
    let large = String(repeating: "x", count: 700_000)
    for round in 0..<5 {
      let path = "/buckets/b/keys/k\(round)"
      #expect(try ask("PUT", path, [text], body: large).status == 204)
      #expect(try ask("GET", path).body.count == large.count)
      #expect(try ask("PUT", path, [text], body: large + large).status == 503)
    }
    #expect(try ask("GET", "/ping").body == "OK")
  }

  @Test func `operations that are switched off are refused`() async throws {
    #expect(cluster.stop(0) == 0)
    let switches = ["list_buckets", "list_keys", "secondary_index", "map_reduce"]
    try await cluster.start(0, switches.flatMap { ["--set", "client.\($0)=false"] })
    for (path, job) in [
      ("/buckets?buckets=true", "list_buckets"), ("/buckets?buckets=stream", "stream_list_buckets"),
      ("/buckets/b/keys?keys=true", "stream_list_keys"),
      ("/buckets/b/keys?keys=stream", "stream_list_keys"),
      ("/buckets/b/index/f_bin/v", "secondary_index"),
      ("/buckets/b/index/f_bin/v?stream=true", "stream_secondary_index"),
    ] {
      let answer = try ask("GET", path)
      #expect(answer.status == 403, "\(path)")
      #expect(answer.body == "Operation '{riak_kv,\(job)}' is not enabled", "\(path)")
    }
    #expect(try ask("POST", "/mapred", [json], body: "{}").status == 403)
    #expect(try ask("GET", "/buckets/b/props").status == 200)
  }

  private static let refusals = [
    ("GET", "/buckets/b/keys/k?r=zzz", 400, "r query parameter must be an integer"),
    ("GET", "/buckets/b/keys/k?r=4", 400, "invalid for bucket n value of 3"),
    ("GET", "/buckets/b/keys/k?timeout=abc", 400, "Bad timeout value \"abc\""),
    ("GET", "/buckets/b/keys/k?basic_quorum=1", 400, "must be true or false"),
    ("GET", "/types/none/buckets/b/keys/k", 404, "Unknown bucket type: none"),
    ("PUT", "/buckets/b/keys/k", 400, "Missing Content-Type request header"),
    ("GET", "/buckets/b/keys/%zz", 404, "There is nothing at"),
    ("GET", "/buckets/b/index/f_foo/v", 400, "unknown_field_type"),
    ("GET", "/buckets/b/index/f_int/1/2?max_results=0", 400, "not a positive integer"),
    ("GET", "/buckets/b/index/f_int/1/2?continuation=x", 400, "Invalid continuation"),
    ("PUT", "/buckets/b/props", 400, "bucket PUT must be a JSON object"),
    ("POST", "/ping", 405, "Method Not Allowed"),
    ("POST", "/buckets/b/counters/c", 400, "must be an integer"),
    ("GET", "/types/default/buckets/b/datatypes/d", 301, ""),
  ]

  @Test func `what cannot be done is refused`() throws {
    for (method, path, status, words) in Self.refusals {
      let answer = try ask(method, path)
      #expect(
        answer.status == status && (words.isEmpty || answer.body.contains(words)),
        "\(method) \(path): \(answer)")
    }
  }

  @Test func `a body beyond the limit of objects is refused and harms nothing`() throws {
    let large = String(repeating: "x", count: 51 << 20)
    #expect(try ask("PUT", "/buckets/b/keys/k", [text], body: large).status == 413)
    #expect(try ask("GET", "/ping").body == "OK")
  }

  /// The JSON object that is the answer.
  private func object(_ path: String) throws -> [String: Any] {
    let answer = try ask("GET", path)
    #expect(answer.status == 200, "\(path): \(answer.body)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any])
  }

  private func filter(_ json: String) -> String {
    "filter=" + Data(json.utf8).base64EncodedString().replacingOccurrences(of: "=", with: "%3D")
  }

  @Test func `folds find, count, repair and erase what clients name`() async throws {
    try await createType("t", "{\"allow_mult\":true}")
    for (key, value) in [("a", "x"), ("b", String(repeating: "y", count: 5000)), ("c", "z")] {
      #expect(try ask("PUT", "/buckets/f/keys/\(key)", [text], body: value).status == 204)
      #expect(try ask("PUT", "/types/t/buckets/f/keys/\(key)", [text], body: value).status == 204)
    }
    #expect(try ask("PUT", "/types/t/buckets/f/keys/a", [text], body: "2").status == 204)
    #expect(try ask("DELETE", "/buckets/f/keys/c").status == 204)
    let siblings = try ask("GET", "/siblings/types/t/buckets/f/counts/1")
    #expect(siblings.body == #"{"results":[{"key":"a","value":2}]}"#)
    let sizes = try object("/objectsizes/buckets/f/sizes/5000")["results"] as? [[String: Any]]
    #expect(sizes?.map { $0["key"] as? String } == ["b"])
    let statistics = try object(
      "/objectstats/types/t/buckets/f?" + filter(#"{"key_range":{"start":"a","end":"b"}}"#))
    #expect(statistics["total_count"] as? Int == 2)
    #expect(statistics["siblings"] as? [String: Int] == ["1": 1, "2": 1])
    let tombs = try object("/tombs/buckets/f")["keys-clocks"] as? [[String: String]]
    #expect(tombs?.count == 1 && tombs?[0]["key"] == "c" && tombs?[0]["bucket"] == "f")
    #expect(
      try ask("GET", "/reap/buckets/f?" + filter(#"{"change_method":"count"}"#)).body
        == #"{"dispatched_count":1}"#)
    #expect(
      try ask("GET", "/reap/buckets/f?" + filter(#"{"change_method":"local"}"#)).status == 200)
    #expect(try ask("GET", "/rangerepair/types/t/buckets/f").body == #"{"dispatched_count":3}"#)
    #expect(
      try ask("GET", "/aaebucketlist?nval=3").body
        == #"{"results":[{"bucket":"f"},{"bucket":"f","bucket-type":"t"}]}"#)
    let range = #""key_range":{"start":"a","end":"b"}"#
    let erase = "/erase/types/t/buckets/f?"
    #expect(
      try ask("GET", erase + filter("{\(range),\"change_method\":\"count\"}")).body
        == #"{"dispatched_count":2}"#)
    #expect(try ask("GET", "/types/t/buckets/f/keys/b").status == 200)
    #expect(
      try ask("GET", erase + filter("{\(range),\"change_method\":\"local\"}")).body
        == #"{"dispatched_count":2}"#)
    #expect(try ask("GET", "/types/t/buckets/f/keys/b").status == 404)
    #expect(try ask("GET", "/types/t/buckets/f/keys/c").status == 200)
    #expect(try ask("GET", "/erase/types/t/buckets/f").status == 400)
    #expect(try ask("GET", "/tombs/buckets/f?filter=x").status == 400)
    #expect(try ask("GET", "/cachedtrees/nvals/3/root").status == 404)
  }

  @Test func `statistics have the reference's names and units`() throws {
    let value = String(repeating: "v", count: 3000)
    for number in 0..<20 {
      let path = "/buckets/s/keys/k\(number)"
      #expect(try ask("PUT", path, [text], body: value).status == 204)
      #expect(try ask("GET", path).status == 200)
    }
    #expect(try ask("GET", "/buckets/s/index/$key/a/z").status == 200)
    let statistics = try object("/stats")
    func number(_ name: String) -> Int { statistics[name] as? Int ?? -1 }
    #expect(number("node_gets") >= 20 && number("node_gets_total") >= 20)
    #expect(number("vnode_gets") >= 20 && number("vnode_puts") >= 20)
    #expect((2800...3300).contains(number("node_get_fsm_objsize_median")))
    #expect(number("node_get_fsm_siblings_100") == 1 && number("node_get_fsm_siblings_mean") == 1)
    #expect((1...5_000_000).contains(number("node_get_fsm_time_99")))
    #expect(number("index_fsm_create") == 1 && number("index_fsm_active") == 0)
    #expect(number("ring_num_partitions") == 16 && number("ring_creation_size") == 16)
    #expect(number("riak_kv_vnodes_running") == 16 && number("riak_kv_vnodeq_total") >= 0)
    #expect(number("mem_total") > number("memory_total") && number("memory_total") > 1 << 20)
    #expect(number("cpu_avg1") >= 0 && number("cpu_nprocs") > 0 && number("sys_wordsize") == 8)
    #expect(number("pbc_active") == 0 && number("pbc_connects_total") == 0)
    let disks = statistics["disk"] as? [[String: Any]]
    #expect(disks?.first?["size"] as? Int ?? 0 > 1024)
    #expect((0...100).contains(disks?.first?["used"] as? Int ?? -1))
    #expect((statistics["ring_ownership"] as? String)?.hasSuffix(",16}]") == true)
    #expect((statistics["ring_members"] as? [String])?.count == 1)
    let paths = try object("/openapi.json")["paths"] as? [String: Any]
    #expect(paths?["/buckets/{bucket}/query"] != nil)
  }
}
