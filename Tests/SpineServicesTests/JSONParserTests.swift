import KVBase
import Testing

@testable import SpineServices

@Suite struct JSONParserTests {
  private func parse(_ text: String) throws -> JSONValue { try JSONParser.parse(Bytes(text.utf8)) }

  @Test func `values of every kind are read`() throws {
    let text = #" {"a":[1,-2.5,1e3,true,false,null,""],"b":{"c":"x\"\\\/\n\u00e9\ud83d\ude00é"}} "#
    #expect(
      try parse(text) == [
        "a": [.integer(1), .number(-2.5), .number(1000), .bool(true), .bool(false), .null, ""],
        "b": ["c": "x\"\\/\né😀é"],
      ])
    #expect(try parse("[]") == [])
    #expect(try parse("{}") == [:])
    #expect(try parse("9223372036854775807") == .integer(.max))
  }

  @Test(arguments: [
    "", " ", "{", "[1,]", "{\"a\":}", "{\"a\" 1}", "{a:1}", "[1 2]", "tru", "01", "-", "1.", "+1",
    "\"",
    "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\u{1}\"", "1 1", "nul", "[",
    "1e999",
  ])
  func `anything else is refused`(text: String) {
    #expect(throws: DecodingFailure.self) { try parse(text) }
  }

  @Test func `bytes that are not UTF-8 and endless nesting are refused`() {
    #expect(throws: DecodingFailure.self) { try JSONParser.parse([0x22, 0xFF, 0x22]) }
    #expect(throws: DecodingFailure.self) {
      try parse(String(repeating: "[", count: 100_000))
    }
  }

  @Test(arguments: 0..<20) func `damaged text never does harm`(seed: Int) {
    var random = SeededRandom(seed: UInt64(seed))
    let good = Bytes(#"{"a":[1,-2.5,true,null,"x\u00e9\n"],"b":{"c":"é"}}"#.utf8)
    for _ in 0..<200 {
      var bytes = good
      for _ in 0...random.below(3) {
        bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      _ = try? JSONParser.parse(Bytes(bytes.prefix(random.below(bytes.count + 1))))
    }
  }

  @Test(.enabled(if: SharedData.isPresent)) func `it agrees with the decoder on real files`() throws
  {
    for file in SharedData.files(under: "pds") {
      let bytes = try SharedData.bytes("pds/\(file)")
      #expect(try JSONParser.parse(bytes) == JSONCoding.decode(JSONValue.self, bytes))
    }
  }
}
