import Testing

@testable import KVServer

@Suite struct TOMLReaderTests {
  private func parse(_ text: String) throws -> [TOMLEntry] {
    try TOMLReader.parse(Array(text.utf8))
  }

  private func failure(_ text: String) -> TOMLFailure? {
    do {
      _ = try parse(text)
      return nil
    } catch {
      return error as? TOMLFailure
    }
  }

  @Test func `values carry their table, kind and line`() throws {
    let entries = try parse(
      """
      # comment
      top = 1
      [node] # trailing
      name = "a\\"b\\u0041"   # comment
      'quoted'.sub = 'C:\\raw'
      flag = true
      size = -1_000
      """)
    #expect(
      entries == [
        TOMLEntry(key: "top", value: .integer(1), line: 2),
        TOMLEntry(key: "node.name", value: .string("a\"bA"), line: 4),
        TOMLEntry(key: "node.quoted.sub", value: .string("C:\\raw"), line: 5),
        TOMLEntry(key: "node.flag", value: .boolean(true), line: 6),
        TOMLEntry(key: "node.size", value: .integer(-1000), line: 7),
      ])
  }

  @Test func `lines may end with a carriage return and the file without a line end`() throws {
    #expect(try parse("a = 1\r\n# x\r\nb = 2").map(\.line) == [1, 3])
  }

  @Test(arguments: [
    ("a = 1\nb", 2, "\"=\""), ("a = ", 1, "expected a value"), ("a = 1.5", 1, "not a value"),
    ("a = [1]", 1, "arrays"), ("a = {b=1}", 1, "inline tables"), ("[[a]]", 1, "arrays of tables"),
    ("a = \"\"\"x\"\"\"", 1, "multi-line"), ("a = \"x", 1, "does not end"),
    ("a = \"\\q\"", 1, "escape"), ("a = \"\\uZZZZ\"", 1, "hexadecimal"),
    ("a = \"\\uD800\"", 1, "hexadecimal"), ("a = 1\na = 2", 2, "line 1 already"),
    ("[t]\n[t]", 2, "stands on line 1"), ("a = 1 b = 2", 1, "end of the line"),
    ("[t", 1, "]"), ("= 1", 1, "expected a key"), ("a = 012", 1, "not a value"),
    ("a = 1__0", 1, "not a value"), ("# \u{1}", 1, "control character"),
  ])
  func `what settings do not need is refused with its line`(
    text: String, line: Int, words: String
  ) {
    let found = failure(text)
    #expect(found?.line == line)
    #expect(found?.message.contains(words) == true, "\(found?.message ?? "accepted")")
  }

  @Test func `bytes that are not text are refused`() {
    #expect(throws: TOMLFailure.self) { try TOMLReader.parse([0x61, 0x3D, 0xFF]) }
  }

  @Test func `no truncation of the default file makes the reader fail otherwise than by an error`()
  {
    let whole = Array(DefaultFile.text.utf8)
    for count in stride(from: 0, to: whole.count, by: 7) {
      _ = ConfigurationFuzz.parse(bytes: Array(whole.prefix(count)))
    }
  }
}
