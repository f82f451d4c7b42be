import KVBase
import KVModel
import Testing

@testable import KVProtocol

/// Bodies of the Query API.
@Suite struct BucketQueryTests {
  private static let bucket = BucketID(type: Bytes("t".utf8), name: Bytes("b".utf8))
  private static let plain = #"{"index_name":"A_bin","start_term":"a","end_term":"b"}"#

  private func read(_ body: String) throws -> BucketQuery {
    try BucketQuery(Bytes(body.utf8), bucket: Self.bucket)
  }

  private func refusal(_ body: String) -> String? {
    do throws(BucketQueryFailure) {
      _ = try BucketQuery(Bytes(body.utf8), bucket: Self.bucket)
      return nil
    } catch {
      return error.json["error"]?.string
    }
  }

  private func tagged(_ tag: String, _ more: String = "") -> String {
    #"{"aggregation_tag":\#(tag),"index_name":"a_bin","start_term":"a","end_term":"b"\#(more)}"#
  }

  @Test func `a plain query asks for keys for a minute`() throws {
    let query = try read(#"{"query_list":[\#(Self.plain)]}"#)
    let index = IndexQuery(
      bucket: Self.bucket, field: Bytes("a_bin".utf8), lower: [97], upper: [98])
    #expect(query.work == .keys(KeyQuery(index, answer: .keys)))
    #expect(query.timeout == .seconds(60))
    let pages = [KeyQueryPage(keys: [[99], [97]]), KeyQueryPage(keys: [[98]])]
    #expect(query.answer(pages).text == #"{"keys":["a","b","c"]}"#)
  }

  @Test func `terms come page by page`() throws {
    let first = try read(
      #"{"accumulation_option":"terms","max_results":2,"timeout":5,"query_list":[\#(Self.plain)]}"#)
    let hits = [IndexEntry(term: [97], key: [1 + 64]), IndexEntry(term: [98], key: [2 + 64])]
    let (json, continuation) = first.answer(hits)
    #expect(json.text == #"{"terms":[{"a":"A"},{"b":"B"}]}"#)
    #expect(first.answer([hits[0]]).continuation == nil && first.timeout == .seconds(5))
    let next = try read(
      #"{"accumulation_option":"raw_keys","max_results":2,"continuation":"\#(continuation ?? "")","#
        + #""query_list":[\#(Self.plain)]}"#)
    guard case .entries(_, let after, let limit) = next.work else {
      Issue.record("\(next)")
      return
    }
    #expect(after == hits[1] && limit == 2)
    #expect(next.answer(hits).json.text == #"{"raw_keys":["A","B"]}"#)
  }

  @Test func `numbers are added up by term`() throws {
    for name in ["term_with_matchcount", "term_with_keycount", "term_with_count"] {
      let query = try read(#"{"accumulation_option":"\#(name)","query_list":[\#(Self.plain)]}"#)
      let pages = [
        KeyQueryPage(terms: [.init(term: [97], count: 2), .init(term: [98], count: 1)]),
        KeyQueryPage(terms: [.init(term: [97], count: 3)]),
      ]
      #expect(query.answer(pages).text == #"{"\#(name)":{"a":5,"b":1}}"#)
    }
    let count = try read(#"{"accumulation_option":"key_count","query_list":[\#(Self.plain)]}"#)
    #expect(
      count.answer([KeyQueryPage(count: 2), KeyQueryPage(count: 3)]).text == #"{"key_count":5}"#)
  }

  @Test func `several queries need tags and an expression`() throws {
    let query = try read(
      #"{"aggregation_expression":"$2 SUBTRACT $1","query_list":[\#(tagged("1")),\#(tagged("2"))]}"#
    )
    guard case .keys(let keys) = query.work else {
      Issue.record("\(query)")
      return
    }
    #expect(keys.parts.map(\.tag) == [1, 2] && keys.expression.text == "($2 SUBTRACT $1)")
  }

  @Test func `what means nothing is refused at the stage and in the words of the reference`() {
    let start = "Validation failure at stage "
    let evaluation = #","evaluation_expression":"delim($term, \"|\", ($a))""#
    let both = evaluation + #","filter_expression":"$a = :x""#
    let pair = "[\(tagged("1")),\(tagged("2"))]"
    for (body, words) in [
      ("{", "init due to Malformed json request"), ("[]", "init due to Malformed json request"),
      (#"{"timeout":5}"#, #"key_check due to Missing required keys in request [<<"query_list">>]"#),
      (
        #"{"query_list":[\#(Self.plain)],"x":1}"#,
        #"key_check due to Unexpected keys in request [<<"x">>]"#
      ),
      (#"{"query_list":[]}"#, "query_key_check due to No valid query provided"),
      (
        #"{"query_list":[{"index_name":"a_bin"}]}"#,
        "query_key_check due to Missing required keys in request "
          + #"[<<"start_term">>,<<"end_term">>]"#
      ),
      (#"{"timeout":0,"query_list":[\#(Self.plain)]}"#, "init due to Bad timeout"),
      (
        #"{"accumulation_option":"trms","query_list":[\#(Self.plain)]}"#,
        #"accumulation_option due to Unrecognised option <<"trms">>"#
      ),
      (
        #"{"accumulation_option":"queue_raw_keys","query_list":[\#(Self.plain)]}"#,
        "accumulation_option due to Option queue_raw_keys is not offered: results are not queued"
      ),
      (
        #"{"accumulation_option":"terms","aggregation_expression":"$1","query_list":\#(pair)}"#,
        "accumulation_option due to Unsupported option in combination query"
      ),
      (
        #"{"accumulation_option":"keys","max_results":9,"query_list":[\#(Self.plain)]}"#,
        "max_results due to Invalid combination max_results 9 query_type single_query "
          + "accumulation_option keys"
      ),
      (
        #"{"accumulation_option":"terms","max_results":0,"query_list":[\#(Self.plain)]}"#,
        "max_results due to Invalid max_results 0"
      ),
      (
        #"{"accumulation_term":"$a","query_list":[\#(Self.plain)]}"#,
        #"accumulation_term due to Bad term <<"$a">> with option keys"#
      ),
      (
        #"{"aggregation_expression":"$1","query_list":[\#(Self.plain)]}"#,
        "aggregation_expression due to Attempt to aggregate single query"
      ),
      (
        #"{"aggregation_expression":"$1 XOR $2","query_list":\#(pair)}"#,
        "aggregation_expression due to Invalid function: expected the end, not XOR, at byte 3"
      ),
      (
        #"{"aggregation_expression":"$1 UNION $3","query_list":\#(pair)}"#,
        "aggregation_expression due to Invalid function: no query has the tag 3"
      ),
      (
        #"{"aggregation_expression":"$1","query_list":[\#(tagged("1")),\#(Self.plain)]}"#,
        "query_evaluation due to Untagged query in combination request"
      ),
      (
        #"{"aggregation_expression":"$1","query_list":[\#(tagged("1")),\#(tagged("1"))]}"#,
        "query_evaluation due to Incorrect tagging of queries"
      ),
      (
        #"{"query_list":[{"index_name":"a_int","start_term":"1","end_term":"2"}]}"#,
        "query_evaluation due to Invalid index name"
      ),
      (
        #"{"query_list":[{"index_name":"a_bin","start_term":"b","end_term":"a"}]}"#,
        "query_evaluation due to Invalid query range"
      ),
      (
        #"{"query_list":[\#(tagged("1", #","regular_expression":"a(""#))]}"#,
        "query_evaluation due to Invalid regex: missing ) at byte 2"
      ),
      (
        #"{"query_list":[\#(tagged("1", evaluation))]}"#,
        "query_evaluation due to Invalid combination of regex/eval/filter"
      ),
      (
        #"{"query_list":[\#(tagged("1", both))]}"#,
        "query_evaluation due to Invalid filter function: substitution x not found at byte 5"
      ),
      (
        #"{"substitutions":{"x":[1]},"query_list":[\#(tagged("1", both))]}"#,
        "query_evaluation due to Invalid type in substitution"
      ),
      (
        #"{"accumulation_option":"terms","continuation":"?","query_list":[\#(Self.plain)]}"#,
        "apply_continuation due to Invalid continuation"
      ),
    ] {
      #expect(refusal(body) == start + words, "\(body)")
    }
  }
}
