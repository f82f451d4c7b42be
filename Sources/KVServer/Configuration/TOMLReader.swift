/// One value of a configuration file.
enum TOMLValue: Hashable, Sendable {
  case string(String)
  case integer(Int)
  case boolean(Bool)

  /// What a message calls the value.
  var kind: String {
    switch self {
    case .string: "a string"
    case .integer: "an integer"
    case .boolean: "a Boolean"
    }
  }
}

/// One `key = value` of a configuration file, with the table it stands in.
struct TOMLEntry: Hashable, Sendable {
  /// The full name, parts joined by dots: `node.name`.
  var key: String
  var value: TOMLValue
  /// Counted from 1.
  var line: Int
}

/// What is wrong with a configuration file's text, and where.
struct TOMLFailure: Error, Hashable, Sendable {
  var line: Int
  var message: String
}

/// Reads the part of TOML 1.0 that settings need, and knows the line of everything it read.
///
/// Accepted: comments, `[table]` headers, bare and quoted keys joined by dots, one-line strings,
/// integers and Booleans. Everything else of TOML (floats, dates, arrays, inline tables, multi-line
/// strings) is refused by name, so no accepted file means something else to another TOML reader.
///
/// **Source**: TOML 1.0.0, `toml.abnf`.
struct TOMLReader {
  private let bytes: [UInt8]
  private var position = 0
  private var line = 1

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// All entries of a file in order; a key or table that occurs twice is an error.
  static func parse(_ bytes: [UInt8]) throws(TOMLFailure) -> [TOMLEntry] {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw TOMLFailure(line: 1, message: "the file is not UTF-8 text")
    }
    var reader = TOMLReader(bytes)
    return try reader.readDocument()
  }

  private mutating func readDocument() throws(TOMLFailure) -> [TOMLEntry] {
    var entries: [TOMLEntry] = []
    var lines: [String: Int] = [:]
    var tables: [String: Int] = [:]
    var prefix: [String] = []
    while true {
      skipBlank()
      guard let byte = peek else { return entries }
      if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "#") {
        try finishLine()
        continue
      }
      if byte == UInt8(ascii: "[") {
        prefix = try readHeader()
        let name = prefix.joined(separator: ".")
        if let first = tables.updateValue(line, forKey: name) {
          throw failure("the table [\(name)] stands on line \(first) already")
        }
      } else {
        let at = line
        let (path, value) = try readAssignment()
        let key = (prefix + path).joined(separator: ".")
        if let first = lines.updateValue(at, forKey: key) {
          throw failure("\(key) is set on line \(first) already")
        }
        entries.append(TOMLEntry(key: key, value: value, line: at))
      }
      skipBlank()
      try finishLine()
    }
  }

  // MARK: Lines

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private func failure(_ message: String) -> TOMLFailure {
    TOMLFailure(line: line, message: message)
  }

  private mutating func skipBlank() {
    while let byte = peek, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  /// Reads an optional comment and the end of the line or file.
  private mutating func finishLine() throws(TOMLFailure) {
    if take("#") {
      while let byte = peek, byte != UInt8(ascii: "\n") {
        // A lone carriage return or another control character may hide text from a reader's eye.
        let endsLine = byte == UInt8(ascii: "\r") && follows(UInt8(ascii: "\n"))
        guard byte >= 0x20 && byte != 0x7F || byte == UInt8(ascii: "\t") || endsLine else {
          throw failure("a control character in a comment")
        }
        position += 1
      }
    }
    guard peek != nil else { return }
    if peek == UInt8(ascii: "\r"), follows(UInt8(ascii: "\n")) { position += 1 }
    guard take("\n") else { throw failure("expected the end of the line after the value") }
    line += 1
  }

  private func follows(_ byte: UInt8) -> Bool {
    position + 1 < bytes.count && bytes[position + 1] == byte
  }

  // MARK: Keys

  private mutating func readHeader() throws(TOMLFailure) -> [String] {
    position += 1
    guard peek != UInt8(ascii: "[") else { throw failure("arrays of tables are not used here") }
    skipBlank()
    let path = try readPath()
    guard take("]") else { throw failure("expected \"]\" after the table's name") }
    return path
  }

  private mutating func readAssignment() throws(TOMLFailure) -> ([String], TOMLValue) {
    let path = try readPath()
    guard take("=") else { throw failure("expected \"=\" after the key") }
    skipBlank()
    return (path, try readValue())
  }

  private mutating func readPath() throws(TOMLFailure) -> [String] {
    var parts: [String] = []
    repeat {
      skipBlank()
      parts.append(try readKeyPart())
      skipBlank()
    } while take(".")
    return parts
  }

  private mutating func readKeyPart() throws(TOMLFailure) -> String {
    if let byte = peek, byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
      return try readString()
    }
    let start = position
    while let byte = peek, Self.isBareKeyByte(byte) { position += 1 }
    guard position > start else { throw failure("expected a key, a [table] or a comment") }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private static func isBareKeyByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  // MARK: Values

  private mutating func readValue() throws(TOMLFailure) -> TOMLValue {
    switch peek {
    case UInt8(ascii: "\""), UInt8(ascii: "'"): return .string(try readString())
    case UInt8(ascii: "["): throw failure("arrays are not used here")
    case UInt8(ascii: "{"): throw failure("inline tables are not used here: write a [table]")
    default: break
    }
    let start = position
    while let byte = peek, byte > 0x20, byte != UInt8(ascii: "#") { position += 1 }
    let word = String(decoding: bytes[start..<position], as: UTF8.self)
    if word == "true" { return .boolean(true) }
    if word == "false" { return .boolean(false) }
    guard let number = Self.integer(word) else {
      throw failure(
        word.isEmpty
          ? "expected a value after \"=\""
          : "\(word) is not a value: expected a \"string\" in quotes, an integer, true or false")
    }
    return .integer(number)
  }

  /// A decimal integer, with single underscores between digits if any.
  static func integer(_ word: String) -> Int? {
    let digits = word.hasPrefix("+") || word.hasPrefix("-") ? word.dropFirst() : word[...]
    guard let first = digits.first, first.isASCII, first.isNumber, !word.contains("__"),
      digits.last != "_", first != "0" || digits.count == 1
    else { return nil }
    return Int(word.filter { $0 != "_" })
  }

  private mutating func readString() throws(TOMLFailure) -> String {
    let quote = bytes[position]
    guard !follows(quote) || position + 2 >= bytes.count || bytes[position + 2] != quote else {
      throw failure("multi-line strings are not used here")
    }
    position += 1
    var content: [UInt8] = []
    while let byte = peek {
      if byte == quote {
        position += 1
        return String(decoding: content, as: UTF8.self)
      }
      guard byte >= 0x20 && byte != 0x7F || byte == UInt8(ascii: "\t") else { break }
      position += 1
      if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
        content += Array(String(try readEscape()).utf8)
      } else {
        content.append(byte)
      }
    }
    throw failure("the string does not end on its line")
  }

  private mutating func readEscape() throws(TOMLFailure) -> Unicode.Scalar {
    let byte = peek
    position += 1
    switch byte {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "u"): return try readScalar(digits: 4)
    case UInt8(ascii: "U"): return try readScalar(digits: 8)
    default: throw failure("unknown escape in a string: \\\\ stands for one backslash")
    }
  }

  private mutating func readScalar(digits: Int) throws(TOMLFailure) -> Unicode.Scalar {
    guard position + digits <= bytes.count,
      bytes[position..<position + digits].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
      let value = UInt32(
        String(decoding: bytes[position..<position + digits], as: UTF8.self), radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw failure("expected \(digits) hexadecimal digits of a character") }
    position += digits
    return scalar
  }
}
