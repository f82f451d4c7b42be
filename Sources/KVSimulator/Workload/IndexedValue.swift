import KVBase
import KVModel

/// The index entries of the writes of a run: they follow from a write's number, so that what a query
/// must tell is known without looking at any index.
enum IndexedValue {
  /// An index of texts, in which many writes share a term.
  static let text = Bytes("a_bin".utf8)
  /// An index of integers, in which every write has a term of its own.
  static let number = Bytes("n_int".utf8)

  /// The entries of write `number`; every fifth write has none.
  static func entries(of number: Int) -> [Pair] {
    guard number % 5 != 4 else { return [] }
    var pairs: Set<Pair> = [
      Pair(key: text, value: term(number % 4)),
      Pair(key: Self.number, value: Bytes("\(number)".utf8)),
    ]
    if number % 3 == 0 { pairs.insert(Pair(key: text, value: term(number % 7))) }
    return pairs.sorted()
  }

  /// The hits of write `number` to the object `key` in an index.
  static func hits(of number: Int, field: Bytes, key: Bytes) -> [IndexEntry] {
    entries(of: number).filter { $0.key == field }.map { pair in
      IndexEntry(term: IndexTerm.sortable(pair.value ?? [], field: field), key: key)
    }
  }

  private static func term(_ number: Int) -> Bytes { Bytes("t\(number)".utf8) }
}
