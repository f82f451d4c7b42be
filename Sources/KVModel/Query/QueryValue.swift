public import KVBase

/// The value of an attribute while a query looks at one index entry.
///
/// Values of different kinds are never equal; integers come before lists, lists before texts.
public enum QueryValue: Hashable, Comparable, Sendable {
  /// A text, in bytes.
  case text(Bytes)
  /// An integer of 64 bits.
  case integer(Int)
  /// Texts, as `split` and `slice` make them.
  case list([Bytes])

  private var rank: Int {
    switch self {
    case .integer: 0
    case .list: 1
    case .text: 2
    }
  }

  /// The order of integers by value, of texts by their bytes.
  public static func < (a: QueryValue, b: QueryValue) -> Bool {
    switch (a, b) {
    case (.integer(let x), .integer(let y)): x < y
    case (.text(let x), .text(let y)): x.lexicographicallyPrecedes(y)
    case (.list(let x), .list(let y)):
      x.lexicographicallyPrecedes(y) { $0.lexicographicallyPrecedes($1) }
    default: a.rank < b.rank
    }
  }
}

/// Work on the bytes of texts.
enum QueryText {
  /// The pieces between the separators; an empty separator separates nothing.
  static func split(_ text: Bytes, _ separator: Bytes) -> [Bytes] {
    guard let first = separator.first else { return [text] }
    var pieces: [Bytes] = []
    var start = 0
    var position = 0
    while position + separator.count <= text.count {
      if text[position] == first, text[position..<position + separator.count] == separator[...] {
        pieces.append(Bytes(text[start..<position]))
        position += separator.count
        start = position
      } else {
        position += 1
      }
    }
    return pieces + [Bytes(text[start...])]
  }

  /// True when the part stands somewhere in the text.
  static func contains(_ text: Bytes, _ part: Bytes) -> Bool {
    guard part.count <= text.count, let first = part.first else { return part.isEmpty }
    return (0...text.count - part.count).contains { start in
      text[start] == first && text[start..<start + part.count] == part[...]
    }
  }

  /// The characters, as readers count them; bytes of a text that is no UTF-8.
  static func characters(_ text: Bytes) -> [Bytes] {
    // A carriage return and a line feed are one character.
    if text.allSatisfy({ $0 < 128 && $0 != 13 }) { return text.map { [$0] } }
    guard let string = String(validating: text, as: UTF8.self) else { return text.map { [$0] } }
    return string.map { Bytes($0.utf8) }
  }

  /// The integer that the text begins with, sign included.
  static func leadingInteger(_ text: Bytes) -> Int? {
    let hasSign = text.first == UInt8(ascii: "-") || text.first == UInt8(ascii: "+")
    let digits = text.dropFirst(hasSign ? 1 : 0).prefix { (48...57).contains($0) }
    guard !digits.isEmpty else { return nil }
    return Int(String(decoding: text[..<digits.endIndex], as: UTF8.self))
  }
}
