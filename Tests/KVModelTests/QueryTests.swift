import KVBase
import Testing

@testable import KVModel

@Suite struct QueryTests {
  private static let term = "SMITH|19861216||Willow#Mia|LS1 4BT#LS8 1ZZ"
  private static let delim = "delim($term, \"|\", ($fn, $dob, $dod, $gns, $pcs))"

  private func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

  /// The reported attribute after the evaluation; nil when it is not there or the condition fails.
  private func told(
    _ evaluation: String, _ reported: String?, _ term: String = QueryTests.term,
    where condition: String = "$key = \"9\"", _ substitutions: [String: QueryValue] = [:]
  ) throws -> String? {
    let filter = try TermFilter(
      TermFilter.Source(
        evaluation: bytes(evaluation), condition: bytes(condition),
        substitutions: substitutions.map {
          QuerySubstitution(name: bytes($0.key), value: $0.value)
        }, reported: reported.map(bytes)))
    return filter.finding(term: bytes(term), key: bytes("9")).term.map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  private func holds(
    _ condition: String, _ evaluation: String = QueryTests.delim,
    _ substitutions: [String: QueryValue] = [:]
  ) throws -> Bool {
    try told(evaluation, nil, where: condition, substitutions) != nil
  }

  @Test func `functions take terms apart as the reference's do`() throws {
    let age = """
      \(Self.delim) | index($dob, 0, 4, $yob) | to_integer($yob, $yob) | index($dob, 4, 4, $bd)
      | map($bd, <=, (("0430", 2024)), 2023, $yoc) | subtract($yoc, $yob, $age)
      """
    #expect(try told(Self.delim, "fn") == "SMITH")
    #expect(try told(Self.delim, "dod") == "")
    #expect(try told(Self.delim + "| delim($gns, \"#\", ($a, $b, $c))", "b") == "Mia")
    #expect(try told(Self.delim + "| delim($gns, \"#\", ($a, $b, $c))", "c") == nil)
    #expect(try told(Self.delim + "| join(($dob, $fn), \"|\", $x)", "x") == "19861216|SMITH")
    #expect(try told(age, "age") == "37")
    #expect(try told(age + "| add($age, 1, $age)", "age") == "38")
    #expect(try told(age, "age", "SMITH|19860216|||") == "38")
    // What is no integer is not subtracted, and what is none is not made a text.
    let wrong = "\(Self.delim) | index($dob, 0, 4, $y) | subtract(2023, $y, $a) | to_string($a, $a)"
    #expect(try told(wrong, "a") == nil)
    #expect(try told("to_integer($term, $n)", "n", "224cm") == "224")
    #expect(try told("to_integer($term, $n)", "n", "#1") == nil)
    #expect(try told("add($none, 5, $n) | to_string($n, $s)", "s") == "5")
    #expect(try told("index($term, 3, 9, $x)", "x", "SPURS") == nil)
    #expect(try told("index($term, 1, 2, $x)", "x", "aéb") == "éb")
    #expect(try told("kvsplit($term, \"&\", \"=\")", "b", "a=1&b=2&c=3=4") == "2")
    #expect(try told("kvsplit($term, \"&\", \"=\")", "c", "a=1&b=2&c=3=4") == nil)
    #expect(try told("kvsplit($term, \"&\", \"=\")", "term", "term=x") == "term=x")
    let generation = """
      map($term, <, (("1946", "Silent"), ("1966", "Boomer"), ("1997", "Millennial")), "Z", $g)
      """
    #expect(try told(generation, "g", "19861216") == "Millennial")
    #expect(try told(generation, "g", "1945") == "Silent")
    #expect(try told(generation, "g", "2001") == "Z")
    let groups = "regex($term, \"(?<area>[A-Z]+)(?P<n>[0-9]*)( (?<rest>.*))?\", ($area, $n, $rest))"
    #expect(try told(groups, "area", "LS12 4BT") == "LS")
    #expect(try told(groups, "n", "LS12 4BT") == "12")
    #expect(try told(groups, "rest", "LS12 4BT") == "4BT")
    #expect(try told(groups, "rest", "LS12") == "")
    #expect(try told("regex($term, \"(?<a>x)\", pcre, ($a))", "a", "y") == nil)
  }

  @Test func `lists are asked for their elements`() throws {
    let names = "\(Self.delim) | split($gns, \"#\", $gns)"
    #expect(try holds("\"Mia\" IN $gns", names))
    #expect(try !holds("\"Mi\" IN $gns", names))
    #expect(try !holds("\"Mia\" IN $gns"))
    let pieces = "slice($term, 2, $p)"
    #expect(try told(pieces, nil, "MAN1VeZ", where: "\"N1\" IN $p") != nil)
    #expect(try told(pieces, nil, "MAN1VeZ", where: "\"Z\" IN $p") == nil)
    #expect(try told(names, "gns") == nil)
  }

  @Test func `filters hold as the reference's do`() throws {
    #expect(try holds("$dob BETWEEN \"19800101\" AND \"19891231\" AND begins_with($fn, \"SM\")"))
    #expect(try holds("$dob BETWEEN \"19891231\" AND \"19800101\""))
    #expect(try !holds("$dob BETWEEN 1 AND 99999999"))
    #expect(try holds("contains($pcs, \"LS8\") AND NOT contains($pcs, \"BD\")"))
    #expect(try !holds("NOT contains($pcs, \"LS8\") OR $fn = \"JONES\""))
    #expect(try holds("$fn = \"JONES\" OR $fn = \"SMITH\" AND $dob > \"1986\""))
    #expect(try holds("ends_with($pcs, \"1ZZ\") AND $dob <> \"x\" AND $dob >= \"19861216\""))
    #expect(try holds("attribute_exists($dod) AND attribute_empty($dod)"))
    #expect(try holds("attribute_not_exists($nothing) AND NOT attribute_empty($fn)"))
    #expect(try holds("$fn IN (\"A\", \"SMITH\", 5)"))
    #expect(try !holds("NOT $fn IN (\"A\", \"SMITH\")"))
    #expect(try !holds("$nothing <> \"x\""))
    #expect(try holds("$key = \"9\" AND ($term = $term)"))
    #expect(
      try holds(
        "$dob >= :low AND begins_with($fn, :start)", Self.delim,
        ["low": .text(bytes("1980")), "start": .text(bytes("S"))]))
  }

  @Test func `what means nothing is refused where it begins`() throws {
    func refusal(_ evaluation: String, _ condition: String = "$key = \"9\"") -> String? {
      do throws(TermFilter.Failure) {
        _ = try TermFilter(
          TermFilter.Source(evaluation: bytes(evaluation), condition: bytes(condition)))
        return nil
      } catch {
        switch error {
        case .evaluation(let failure): return "evaluation: \(failure.text)"
        case .condition(let failure): return "condition: \(failure.text)"
        case .reported(let failure): return "reported: \(failure.text)"
        }
      }
    }
    #expect(refusal("delm($term)") == "evaluation: expected a function, not delm, at byte 0")
    #expect(
      refusal("delim($term \"|\", ($a))")
        == "evaluation: expected ',', not \"|\", at byte 12")
    #expect(refusal("delim($term, :d, ($a))") == "evaluation: substitution d not found at byte 13")
    #expect(
      refusal("delim($term, \"|\", ($term))")
        == "evaluation: $term and $key cannot be set at byte 19")
    #expect(refusal("delim($term, \"|, ($a))") == "evaluation: the text has no end at byte 13")
    #expect(
      refusal("slice($term, 0, $a)")
        == "evaluation: expected an integer of at least 1, not 0, at byte 13")
    #expect(
      refusal("regex($term, \"a(b\", ($b))")
        == "evaluation: missing ) in the regular expression at byte 17")
    #expect(
      refusal("regex($term, \"(?<a>b)\", ($b))")
        == "evaluation: the regular expression has no group b at byte 24")
    #expect(refusal("to_integer($a, $b) }") == "evaluation: an illegal character at byte 19")
    let good = "to_integer($a, $b)"
    #expect(
      refusal(good, "$a = ")
        == "condition: expected an attribute, a text or an integer, not the end, at byte 5")
    #expect(
      refusal(good, "$a BETWEEN \"A\" AND 12")
        == "condition: expected a bound of the same kind as the first, not 12, at byte 19")
    #expect(refusal(good, "($a = 1") == "condition: expected ')', not the end, at byte 7")
    #expect(
      refusal(good, "$a = 99999999999999999999") == "condition: no integer of 64 bits at byte 5")
    let deep = String(repeating: "(", count: 60) + "$a = 1" + String(repeating: ")", count: 60)
    #expect(refusal(good, deep) == "condition: conditions are nested too deeply at byte 50")
    let nots = String(repeating: "NOT ", count: 60) + "$a = 1"
    #expect(refusal(good, nots)?.contains("nested too deeply") == true)
    let long = "\"" + String(repeating: "x", count: 9000) + "\""
    #expect(refusal(good, long)?.contains("the expression is too long") == true)
    let many = Array(repeating: good, count: 65).joined(separator: "|")
    #expect(refusal(many)?.contains("more than 64 functions") == true)
  }

  @Test func `a value that doubles again and again stays short`() throws {
    let doubling = Array(repeating: "join(($x, $x), \"\", $x)", count: 60).joined(separator: "|")
    let evaluation = "join(($term, $key), \"\", $x) | \(doubling)"
    let text = try #require(try told(evaluation, "x", "0123456789"))
    #expect(text.utf8.count <= 16_384)
  }

  @Test func `key sets are put together by closeness of their operators`() throws {
    let sets: [Int: Set<Bytes>] = [1: [[1], [2], [3]], 2: [[2], [3], [4]], 3: [[3]]]
    func keys(_ text: String) throws -> [UInt8] {
      try KeySetExpression(bytes(text)).keys(sets).compactMap(\.first).sorted()
    }
    #expect(try keys("$1 INTERSECT $2") == [2, 3])
    #expect(try keys("$1 UNION $2") == [1, 2, 3, 4])
    #expect(try keys("$1 SUBTRACT $2") == [1])
    #expect(try keys("$3 UNION $1 INTERSECT $2 SUBTRACT $3") == [2, 3])
    #expect(try keys("($1 INTERSECT $2) UNION ($3 SUBTRACT $1)") == [2, 3])
    #expect(try keys("$1 SUBTRACT $2 SUBTRACT $3") == [1, 3])
    #expect(try KeySetExpression(bytes("$1 UNION $7 SUBTRACT $12")).tags == [1, 7, 12])
    for wrong in ["", "$1 XOR $2", "$1 UNION", "$0", "($1", "$a", "$1 $2"] {
      #expect(throws: QueryFailure.self) { try KeySetExpression(bytes(wrong)) }
    }
  }

  @Test func `expressions of key sets agree with membership key by key`() throws {
    var random = SeededRandom(seed: 11)
    func made(_ depth: Int) -> KeySetExpression {
      guard depth > 0, random.below(4) > 0 else { return .query(1 + random.below(3)) }
      let (a, b) = (made(depth - 1), made(depth - 1))
      return [.union(a, b), .intersection(a, b), .difference(a, b)][random.below(3)]
    }
    func holds(_ expression: KeySetExpression, _ member: (Int) -> Bool) -> Bool {
      switch expression {
      case .query(let tag): member(tag)
      case .union(let a, let b): holds(a, member) || holds(b, member)
      case .intersection(let a, let b): holds(a, member) && holds(b, member)
      case .difference(let a, let b): holds(a, member) && !holds(b, member)
      }
    }
    for _ in 0..<300 {
      let expression = made(5)
      var sets: [Int: Set<Bytes>] = [:]
      for tag in 1...3 {
        sets[tag] = Set((0..<20).filter { _ in random.below(2) == 0 }.map { [UInt8($0)] })
      }
      let expected = Set(
        (0..<20).map { [UInt8($0)] }.filter { key in
          holds(expression) { sets[$0]?.contains(key) ?? false }
        })
      #expect(expression.keys(sets) == expected)
      #expect(try KeySetExpression(bytes(expression.text)).keys(sets) == expected)
    }
  }

  @Test(arguments: [
    ("(?<a>a+)(?<b>a*)", "aaa", ["aaa", ""]), ("(?<a>a+?)(?<b>a*)", "aaa", ["a", "aa"]),
    ("(?<a>foo|foobar)(?<b>.*)", "foobarx", ["foo", "barx"]),
    ("x(?<a>\\d+)?y(?<b>z)", "xyz", [nil, "z"]), ("(?:(?<a>[ab])(?<b>\\d))*", "a1b2", ["b", "2"]),
    ("(?<a>b)(?<b>$)", "abab", ["b", ""]), ("^(?<a>.*)-(?<b>.*)$", "a-b-c", ["a-b", "c"]),
    ("(?'a'q)(?P<b>r)", "pqr", ["q", "r"]),
  ])
  func `groups tell what they matched first and best`(
    pattern: String, term: String, expected: [String?]
  ) throws {
    let compiled = try TermPattern(bytes(pattern))
    #expect(compiled.groupNames == ["a", "b"].map(bytes))
    let found = try #require(compiled.captures(in: bytes(term)))
    let texts = found.map { range in
      range.map { String(decoding: bytes(term)[$0], as: UTF8.self) }
    }
    #expect(texts == expected)
  }

  @Test func `a pattern has captures exactly where it matches`() throws {
    var random = SeededRandom(seed: 5)
    let parts = ["a", "b", "(?<x>a|b*)", "[ab]", ".", "a?", "(ab)*", "a+?", "^", "$", "\\b", "|"]
    for _ in 0..<2000 {
      let pattern = (0..<1 + random.below(5)).map { _ in parts[random.below(parts.count)] }.joined()
      guard let compiled = try? TermPattern(bytes(pattern)) else { continue }
      let term: Bytes = (0..<random.below(8)).map { _ in [97, 98, 32][random.below(3)] }
      #expect((compiled.captures(in: term) != nil) == compiled.matches(term), "\(pattern) \(term)")
    }
  }

  @Test func `any bytes are read or refused, and what is read is applied`() {
    var random = SeededRandom(seed: 21)
    let words = [
      "delim(", "$a", "$term", ",", "\"|\"", "(", ")", "|", "split(", "IN", "BETWEEN", "AND", "OR",
      "NOT", "=", "<>", "12", "-3", ":s", "contains(", "attribute_exists(", "regex(", "map(",
      "\"(?<a>.)\"", "join(", "slice(", " ",
    ]
    func text() -> Bytes {
      bytes((0..<random.below(20)).map { _ in words[random.below(words.count)] }.joined())
    }
    var read = 0
    for _ in 0..<20_000 {
      let source = TermFilter.Source(
        evaluation: random.below(2) == 0 ? bytes(Self.delim) : text(),
        condition: random.below(2) == 0 ? bytes("$a = \"1\"") : text(),
        substitutions: [QuerySubstitution(name: bytes("s"), value: .integer(1))])
      guard let filter = try? TermFilter(source) else { continue }
      read += 1
      _ = filter.finding(term: bytes(Self.term), key: [])
      _ = try? KeySetExpression(text())
    }
    #expect(read > 100)
  }
}
