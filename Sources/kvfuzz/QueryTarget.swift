import KVBase
import KVModel
import KVProtocol

/// Bodies of the Query API and the expressions in them.
struct QueryTarget: FuzzTarget {
  let name = "queries"
  private static let term = Bytes("SMITH|19861216||Willow#Mia|LS1 4BT#LS8 1ZZ".utf8)

  let samples: [Bytes] =
    [
      "delim($term, \"|\", ($fn, $dob, $dod, $gns, $pcs)) | split($gns, \"#\", $gns)",
      "index($term, 0, 4, $y) | to_integer($y, $y) | subtract(2024, $y, $age) | to_string($age, $a)",
      "map($term, <=, ((\"0430\", 2024), (5, \"x\")), 2023, $g) | add($g, -1, $g)",
      "regex($term, \"(?<a>[A-Z]+)[0-9]{1,3}(?<b>.*?)$\", pcre, ($a, $b)) | join(($a, $b), \"\", $c)",
      "kvsplit($key, \"&\", \"=\") | slice($term, 2, $p)",
      "$dob BETWEEN \"1980\" AND \"1990\" AND (contains($pcs, \"LS\") OR NOT \"Mia\" IN $gns)",
      "$a IN (\"x\", 1, $b) OR attribute_exists($c) AND attribute_not_exists($d)",
      "begins_with($a, \"s\") OR ends_with($a, \"s\") OR attribute_empty($b) OR $a <> :name",
      "($1 INTERSECT $2) UNION ($3 SUBTRACT $1)",
      #"{"query_list":[{"index_name":"a_bin","start_term":"a","end_term":"b"}],"timeout":5}"#,
      #"{"aggregation_expression":"$1 UNION $2","accumulation_option":"key_count","query_list":["#
        + #"{"aggregation_tag":1,"index_name":"a_bin","start_term":"a","end_term":"b","#
        + #""regular_expression":"^a.*b$"},{"aggregation_tag":2,"index_name":"b_bin","#
        + #""start_term":"a","end_term":"b","evaluation_expression":"to_integer($term, $n)","#
        + #""filter_expression":"$n > :low"}],"substitutions":{"low":5}}"#,
    ].map { Bytes($0.utf8) }

  func run(_ bytes: Bytes) -> Bool {
    let constant = QuerySubstitution(name: Bytes("name".utf8), value: .text([65]))
    var accepted = false
    for (evaluation, condition) in [(bytes, samples[6]), (samples[0], bytes)] {
      let source = TermFilter.Source(
        evaluation: evaluation, condition: condition, substitutions: [constant],
        reported: Bytes("a".utf8))
      guard let filter = try? TermFilter(source) else { continue }
      accepted = true
      precondition(
        filter.finding(term: Self.term, key: bytes) == filter.finding(term: Self.term, key: bytes),
        "a filter finds something else the second time")
      _ = filter.finding(term: bytes, key: [])
    }
    if let expression = try? KeySetExpression(bytes) {
      let again = try? KeySetExpression(Bytes(expression.text.utf8))
      precondition(
        again?.keys([1: [[1], [2]], 2: [[2], [3]]])
          == expression.keys([1: [[1], [2]], 2: [[2], [3]]]),
        "an expression of key sets changes when it is read again")
      accepted = true
    }
    if let pattern = try? TermPattern(bytes) {
      precondition(
        (pattern.captures(in: Self.term) != nil) == pattern.matches(Self.term),
        "a pattern has captures where it does not match")
    }
    if let query = try? BucketQuery(bytes, bucket: BucketID(name: [1])) {
      accepted = true
      _ = query.answer([IndexEntry(term: Self.term, key: [1])]).json.text
      _ = query.answer([KeyQueryPage(keys: [[1]])]).text
    }
    return accepted
  }
}
