import Foundation
import KVBase
import KVModel
import Testing

@testable import KVProtocol

@Suite struct ErlangTermTests {
  @Test func `continuations have the bytes of the reference's`() throws {
    let words = IndexEntry(term: Bytes("val2".utf8), key: Bytes("heyrbxzjpuly".utf8))
    #expect(
      IndexContinuation.text(words, field: Bytes("field1_bin".utf8))
        == Bytes("g2gCbQAAAAR2YWwybQAAAAxoZXlyYnh6anB1bHk=".utf8))
    let field = Bytes("mr_int".utf8)
    let numbers = IndexEntry(
      term: IndexTerm.sortable(Bytes("1".utf8), field: field), key: Bytes("m1".utf8))
    #expect(
      IndexContinuation.text(numbers, field: field) == Bytes("g2gCYQFtAAAAAm0x".utf8))
  }

  @Test(arguments: [
    "0", "1", "255", "256", "-1", "-300", "2147483648", "-2147483649", "18446744073709551616",
    "-123456789012345678901234567890123456789012345678901234567890",
  ])
  func `integers of any size go on where they were`(_ number: String) throws {
    let field = Bytes("n_int".utf8)
    let entry = IndexEntry(
      term: IndexTerm.sortable(Bytes(number.utf8), field: field), key: [1, 2])
    let text = IndexContinuation.text(entry, field: field)
    #expect(try IndexContinuation.entry(text, field: field) == entry)
  }

  @Test func `keys go on where they were`() throws {
    let entry = IndexEntry(term: [1, 0xFF], key: [1, 0xFF])
    let text = IndexContinuation.text(entry, field: IndexQuery.keyField)
    #expect(try IndexContinuation.entry(text, field: IndexQuery.keyField) == entry)
  }

  @Test(arguments: ["", "!!!!", "g2gC", "g2gCYQFtAAAAAm0", "AAAA", "g2oCYQFtAAAAAm0x"])
  func `what is no continuation is refused`(_ text: String) {
    #expect(throws: ProtocolFailure.self) {
      try IndexContinuation.entry(Bytes(text.utf8), field: Bytes("n_int".utf8))
    }
  }

  @Test func `damaged terms are refused or another place, never a crash`() {
    var random = SeededRandom(seed: 4)
    let whole = ErlangTerm.continuation(
      term: Bytes("123456789012345678901234567890".utf8), isInteger: true, key: [1, 2, 3])
    for _ in 0..<2_000 {
      var damaged = whole
      damaged[random.below(damaged.count)] = UInt8(random.below(256))
      if random.below(3) == 0 { damaged.removeLast(random.below(damaged.count)) }
      _ = ErlangTerm.readContinuation(damaged)
    }
  }
}
