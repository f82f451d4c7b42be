import Foundation
import KVBase
import Testing

@testable import KVModel

@Suite struct IndexTests {
  @Test func `sortable integers have the order of their values, whatever their size`() {
    let ordered = [
      "-100000000000000000000000000000000000000000", "-99999999999999999999", "-100", "-99", "-10",
      "-9", "-1", "0", "1", "9", "10", "99", "100", "18446744073709551616",
      "100000000000000000000000000000000000000000",
    ]
    let field = Bytes("n_int".utf8)
    let terms = ordered.map { IndexTerm.sortable(Bytes($0.utf8), field: field) }
    for (a, b) in zip(terms, terms.dropFirst()) { #expect(a.lexicographicallyPrecedes(b)) }
    for (text, term) in zip(ordered, terms) {
      #expect(IndexTerm.text(term, field: field) == Bytes(text.utf8))
    }
    #expect(IndexTerm.sortable([1, 2], field: Bytes("x_bin".utf8)) == [1, 2])
  }

  @Test func `whether an encoded object has index entries is known without decoding it`() throws {
    var random = SeededRandom(seed: 9)
    for _ in 0..<300 {
      var object = KVObject()
      for actor in 0..<(1 + random.below(3)) {
        var content = Content(value: [1, 2, 3])
        if random.below(2) == 0 { content.contentType = Bytes("text/plain".utf8) }
        if random.below(2) == 0 { content.vtag = [1, 2] }
        if random.below(3) == 0 { content.links = [Link(bucket: [1], key: nil, tag: [2])] }
        if random.below(3) == 0 { content.userMetadata = [Pair(key: [1], value: nil)] }
        if random.below(3) == 0 { content.indexes = [Pair(key: [2], value: [3])] }
        object.write(
          content, context: VersionVector(), by: VnodeID(rawValue: UInt64(actor + 1)))
      }
      let (encoded, count) = object.encoded()
      #expect(
        KVObject.hasIndexes(encodedHead: Bytes(encoded.prefix(count))) == !object.indexes.isEmpty)
    }
    #expect(KVObject.hasIndexes(encodedHead: [1, 2, 3]))
  }

  @Test func `siblings are indexed under all their terms, each once`() {
    let pairs = [1, 2, 3].map { Pair(key: Bytes("a_bin".utf8), value: [UInt8($0)]) }
    var object = KVObject()
    object.write(
      Content(value: [], indexes: [pairs[0], pairs[1]]), context: VersionVector(),
      by: VnodeID(rawValue: 1))
    object.write(
      Content(value: [], indexes: [pairs[1], pairs[2]]), context: VersionVector(),
      by: VnodeID(rawValue: 2))
    #expect(object.indexes == pairs)
  }

  @Test(arguments: [
    (".*l2", "val2", true), (".*l2", "val3", false), ("^v", "val", true), ("^a", "val", false),
    ("l$", "val", true), ("a$", "val", false), ("[a-c]+\\d{2,3}", "xb12", true),
    ("[a-c]+\\d{3,}", "xb12", false), ("(foo|ba[rz])?qux$", "bazqux", true), ("", "", true),
    ("a|b|", "zzz", true), ("[^a-z]", "abc", false), ("[^a-z]", "abC", true), ("\\.", "a.b", true),
    ("\\bword\\b", "a word here", true), ("\\bword\\b", "swordfish", false), ("a{2}", "aa", true),
    ("a{2}", "a", false), ("a{x", "a{x", true), ("(a*)*$", "aaaa", true), ("[]a]", "]", true),
    ("[a\\-z]", "-", true), ("\\x41", "A", true), ("(?:ab)+c", "ababc", true),
    ("a.c", "a\nc", false),
    ("^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false),
  ])
  func `patterns match as in PCRE`(_ pattern: String, _ term: String, _ matches: Bool) throws {
    let compiled = try TermPattern(Bytes(pattern.utf8))
    #expect(compiled.matches(Bytes(term.utf8)) == matches, "\(pattern) on \(term)")
  }

  @Test(arguments: ["(", ")", "[a", "*", "a**b", "(?=a)", "\\1", "a{3,2}", "a{5000}", "\\"])
  func `patterns that cannot be used are refused`(_ pattern: String) {
    #expect(throws: TermPattern.Failure.self) { try TermPattern(Bytes(pattern.utf8)) }
  }

  @Test func `random patterns match like the platform's regular expressions`() throws {
    var random = SeededRandom(seed: 11)
    let parts = [
      "a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab)", "a?", "b*", "a+", "(a|)", "b{1,2}",
    ]
    for _ in 0..<300 {
      let pattern = (0...random.below(4)).map { _ in parts[random.below(parts.count)] }.joined()
      let anchored = random.below(2) == 0 ? "^\(pattern)$" : pattern
      let compiled = try TermPattern(Bytes(anchored.utf8))
      let reference = try NSRegularExpression(pattern: anchored)
      for _ in 0..<20 {
        let term = String((0..<random.below(6)).map { _ in random.below(2) == 0 ? "a" : "b" })
        let range = NSRange(location: 0, length: term.utf16.count)
        #expect(
          compiled.matches(Bytes(term.utf8))
            == (reference.firstMatch(in: term, range: range) != nil), "\(anchored) on \(term)")
      }
    }
  }

  @Test func `a pattern costs no more than its length times the term's`() throws {
    let pattern = try TermPattern(Bytes("(a?){30}a{30}b".utf8))
    #expect(!pattern.matches(Bytes(repeating: UInt8(ascii: "a"), count: 2_000)))
  }
}
