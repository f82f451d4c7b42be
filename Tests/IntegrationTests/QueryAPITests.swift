import Foundation
import Testing

/// The Query API, byte for byte on a real node.
@Suite struct QueryAPITests {
  private let cluster: TestCluster

  /// Two people-finder patterns: one index with everything, and one index for each thing.
  private static let people = [
    ("9001", "SMITH", "19861216", "Willow.Mia", "LS1 4BT"),
    ("9002", "SMITH", "19700301", "Ann", "BD1 1DU"),
    ("9003", "SMYTHE", "19790613", "William", "LS8 1ZZ"),
    ("9004", "JONES", "19861216", "Will", "YO1 7HH"),
    ("9005", "TAYLOR", "20010101", "Mia", "LS1 4BT"),
  ]

  init() async throws {
    cluster = try TestCluster(nodes: 1)
    try await cluster.start(0)
    for (key, family, born, given, postcode) in Self.people {
      let headers = [
        "Content-Type: text/plain",
        "X-Riak-Index-peoplefinder_bin: \(family)|\(born)|\(given)|\(postcode)",
        "X-Riak-Index-dateofbirth_bin: \(born)|\(key)",
        "X-Riak-Index-area_bin: \(postcode.prefix(2))",
      ]
      #expect(try send("PUT", "/buckets/people/keys/\(key)", headers, "x").status == 204)
    }
  }

  private func send(
    _ method: String, _ path: String, _ headers: [String], _ body: String
  ) throws -> (status: Int, head: String, body: String) {
    let line = (["\(method) \(path) HTTP/1.1"] + headers).joined(separator: "\r\n")
    let answer = try Socket.http(cluster.ports[0].http, line, body: body)
    let halves = answer.components(separatedBy: "\r\n\r\n")
    let status = Int(halves[0].split(separator: " ").dropFirst().first ?? "") ?? 0
    return (status, halves[0], halves.dropFirst().joined(separator: "\r\n\r\n"))
  }

  private func ask(_ body: String) throws -> (status: Int, head: String, body: String) {
    try send(
      "POST", "/buckets/people/query", ["Content-Type: application/json"],
      body.replacingOccurrences(of: "\n", with: " "))
  }

  @Test func `people are found by a part of the name and a range of birth dates`() throws {
    let found = try ask(
      #"""
      {"query_list": [{"index_name": "peoplefinder_bin", "start_term": "SM", "end_term": "SM~",
       "evaluation_expression": "delim($term, :d, ($fn, $dob, $gns, $pc))",
       "filter_expression":
        "$dob BETWEEN :from AND \"19891231\" AND begins_with($gns, \"Will\")"}],
       "substitutions": {"d": "|", "from": "19700101"}}
      """#)
    #expect(found.status == 200 && found.body == #"{"keys":["9001","9003"]}"#)
    let terms = try ask(
      #"""
      {"accumulation_option": "term_with_keys", "accumulation_term": "$pc",
       "query_list": [{"index_name": "peoplefinder_bin", "start_term": "SM", "end_term": "SM~",
       "evaluation_expression": "delim($term, \"|\", ($fn, $dob, $gns, $pc))",
       "filter_expression": "contains($pc, \"LS\")"}]}
      """#)
    #expect(terms.body == #"{"term_with_keys":[{"LS1 4BT":"9001"},{"LS8 1ZZ":"9003"}]}"#)
    let expression = try ask(
      #"""
      {"accumulation_option": "raw_keys",
       "query_list": [{"index_name": "peoplefinder_bin", "start_term": "A", "end_term": "~",
       "regular_expression": "^[^|]*\\|1986"}]}
      """#)
    #expect(expression.body == #"{"raw_keys":["9004","9001"]}"#)
    #expect(expression.head.contains("Content-Type: application/json"))
  }

  @Test func `several indexes are combined and counted`() throws {
    let queries = #"""
      "query_list": [
       {"aggregation_tag": 1, "index_name": "dateofbirth_bin", "start_term": "1980",
        "end_term": "1990"},
       {"aggregation_tag": 2, "index_name": "area_bin", "start_term": "LS", "end_term": "LS"}]
      """#
    for (expression, option, answer) in [
      ("$1 INTERSECT $2", "keys", #"["9001"]"#), ("$2 SUBTRACT $1", "keys", #"["9003","9005"]"#),
      ("$1 UNION $2", "keys", #"["9001","9003","9004","9005"]"#), ("$1 UNION $2", "key_count", "4"),
      ("($1 INTERSECT $2) UNION ($2 SUBTRACT $1)", "match_count", "3"),
    ] {
      let found = try ask(
        #"{"aggregation_expression": "\#(expression)", "accumulation_option": "\#(option)", \#(queries)}"#
      )
      #expect(found.status == 200 && found.body == "{\"\(option)\":\(answer)}", "\(expression)")
    }
    let years = try ask(
      #"""
      {"accumulation_option": "term_with_matchcount", "accumulation_term": "yob",
       "query_list": [{"index_name": "dateofbirth_bin", "start_term": "1", "end_term": "3",
       "evaluation_expression": "index($term, 0, 4, $yob) | to_integer($yob, $yob)",
       "filter_expression": "$yob < 2000"}]}
      """#)
    #expect(
      years.body == #"{"term_with_matchcount":{"1970":1,"1979":1,"1986":2}}"#)
  }

  @Test func `pages follow each other by their continuation`() throws {
    var told: [String] = []
    var continuation: String?
    var pages = 0
    repeat {
      let more = continuation.map { #""continuation": "\#($0)","# } ?? ""
      let page = try ask(
        #"""
        {"accumulation_option": "terms", "max_results": 2, \#(more)
         "query_list": [{"index_name": "dateofbirth_bin", "start_term": "1", "end_term": "3"}]}
        """#)
      #expect(page.status == 200)
      told += page.body.components(separatedBy: "\":\"").dropFirst().map { String($0.prefix(4)) }
      continuation =
        page.head.components(separatedBy: "\r\n")
        .first { $0.hasPrefix("X-Riak-Continuation: ") }?.components(separatedBy: ": ").last
      pages += 1
    } while continuation != nil && pages < 9
    #expect(told == ["9002", "9003", "9001", "9004", "9005"] && pages == 3)
  }

  @Test func `a query that means nothing is refused with the place`() throws {
    let wrong = try ask(
      #"""
      {"query_list": [{"index_name": "a_bin", "start_term": "A", "end_term": "B",
       "evaluation_expression": "delim($term, \"|\", ($a))", "filter_expression": "$a == 1"}]}
      """#)
    #expect(wrong.status == 400)
    #expect(
      wrong.body
        == #"{"error":"Validation failure at stage query_evaluation due to Invalid filter function: "#
        + #"expected an attribute, a text or an integer, not '=', at byte 4"}"#)
    #expect(try send("GET", "/buckets/people/query", [], "").status == 405)
    let untyped = try send(
      "POST", "/types/nope/buckets/b/query", [],
      #"{"query_list":[{"index_name":"a_bin","start_term":"a","end_term":"b"}]}"#)
    #expect(untyped.status == 404 && untyped.body == "Unknown bucket type: nope")
  }
}
