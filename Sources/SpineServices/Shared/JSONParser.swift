public import KVBase

/// Reads JSON text into a value: strict, in one pass, and safe with hostile input.
///
/// Nesting is limited, since each level costs stack. Much faster than decoding through `Codable`,
/// which has to try every type in turn. **Source**: RFC 8259.
public struct JSONParser {
  /// The deepest nesting read; FHIR resources stay below twenty.
  private static let depthLimit = 100

  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0

  private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// The value that `bytes` hold.
  public static func parse(_ bytes: Bytes) throws(DecodingFailure) -> JSONValue {
    let result = bytes.withUnsafeBufferPointer { buffer -> Result<JSONValue, DecodingFailure> in
      var parser = JSONParser(buffer)
      do throws(DecodingFailure) {
        let value = try parser.readValue(depth: 0)
        guard parser.next() == nil else { throw parser.failure("the end") }
        return .success(value)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func failure(_ expected: String) -> DecodingFailure {
    DecodingFailure(expected: expected, offset: position)
  }

  /// The next byte that is no white space, without reading it.
  private mutating func next() -> UInt8? {
    while position < bytes.count {
      let byte = bytes[position]
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
      position += 1
    }
    return nil
  }

  private mutating func expect(_ byte: UInt8, _ name: String) throws(DecodingFailure) {
    guard next() == byte else { throw failure(name) }
    position += 1
  }

  private mutating func readValue(depth: Int) throws(DecodingFailure) -> JSONValue {
    guard depth < Self.depthLimit else { throw failure("at most \(Self.depthLimit) levels") }
    switch next() {
    case UInt8(ascii: "{"): return try readObject(depth)
    case UInt8(ascii: "["): return try readArray(depth)
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "t"): return try readWord("true", .bool(true))
    case UInt8(ascii: "f"): return try readWord("false", .bool(false))
    case UInt8(ascii: "n"): return try readWord("null", .null)
    default: return try readNumber()
    }
  }

  private mutating func readObject(_ depth: Int) throws(DecodingFailure) -> JSONValue {
    position += 1
    var members: [String: JSONValue] = [:]
    if next() == UInt8(ascii: "}") {
      position += 1
      return .object(members)
    }
    while true {
      guard next() == UInt8(ascii: "\"") else { throw failure("a member's name") }
      let name = try readString()
      try expect(UInt8(ascii: ":"), "a colon")
      members[name] = try readValue(depth: depth + 1)
      guard next() == UInt8(ascii: ",") else { break }
      position += 1
    }
    try expect(UInt8(ascii: "}"), "a comma or the end of the object")
    return .object(members)
  }

  private mutating func readArray(_ depth: Int) throws(DecodingFailure) -> JSONValue {
    position += 1
    var elements: [JSONValue] = []
    if next() == UInt8(ascii: "]") {
      position += 1
      return .array(elements)
    }
    while true {
      elements.append(try readValue(depth: depth + 1))
      guard next() == UInt8(ascii: ",") else { break }
      position += 1
    }
    try expect(UInt8(ascii: "]"), "a comma or the end of the array")
    return .array(elements)
  }

  private mutating func readWord(
    _ word: StaticString, _ value: JSONValue
  ) throws(DecodingFailure) -> JSONValue {
    for offset in 0..<word.utf8CodeUnitCount {
      guard position + offset < bytes.count, bytes[position + offset] == word.utf8Start[offset]
      else { throw failure("\(word)") }
    }
    position += word.utf8CodeUnitCount
    return value
  }

  private mutating func readNumber() throws(DecodingFailure) -> JSONValue {
    let start = position
    while position < bytes.count, Self.isNumeric(bytes[position]) { position += 1 }
    let digits = bytes[start..<position].drop { $0 == UInt8(ascii: "-") }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let first = digits.first, (48...57).contains(first),
      !(first == 48 && digits.count > 1 && (48...57).contains(digits[digits.startIndex + 1]))
    else {
      position = start
      throw failure("a value")
    }
    if let whole = Int(text) { return .integer(whole) }
    guard let number = Double(text), number.isFinite, text.last != "." else {
      position = start
      throw failure("a number")
    }
    return .number(number)
  }

  private static func isNumeric(_ byte: UInt8) -> Bool {
    (48...57).contains(byte)
      || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
      || byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")
  }
}

extension JSONParser {
  private mutating func readString() throws(DecodingFailure) -> String {
    position += 1
    let start = position
    var isPlain = true
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        let raw = bytes[start..<position]
        position += 1
        return try isPlain ? text(raw, start) : unescaped(raw, start)
      }
      guard byte >= 0x20 else { throw failure("no control character in a string") }
      if byte == UInt8(ascii: "\\") {
        isPlain = false
        position += 1
      }
      position += 1
    }
    throw failure("the end of a string")
  }

  private func text(
    _ raw: some Sequence<UInt8>, _ start: Int
  ) throws(DecodingFailure) -> String {
    guard let text = String(validating: raw, as: UTF8.self) else {
      throw DecodingFailure(expected: "UTF-8 text", offset: start)
    }
    return text
  }

  private func unescaped(
    _ raw: Slice<UnsafeBufferPointer<UInt8>>, _ start: Int
  ) throws(DecodingFailure) -> String {
    var out: Bytes = []
    out.reserveCapacity(raw.count)
    var index = raw.startIndex
    while index < raw.endIndex {
      let byte = raw[index]
      index += 1
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        continue
      }
      guard index < raw.endIndex else {
        throw DecodingFailure(expected: "an escape", offset: index)
      }
      let kind = raw[index]
      index += 1
      if kind == UInt8(ascii: "u") {
        out.append(contentsOf: String(try readScalar(raw, &index)).utf8)
      } else if let plain = Self.escapes[kind] {
        out.append(plain)
      } else {
        throw DecodingFailure(expected: "an escape", offset: index - 1)
      }
    }
    return try text(out, start)
  }

  private static let escapes: [UInt8: UInt8] = [
    UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "\\"),
    UInt8(ascii: "/"): UInt8(ascii: "/"), UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12,
    UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9,
  ]

  /// The scalar of `\uXXXX`, or of two such that form a surrogate pair.
  private func readScalar(
    _ raw: Slice<UnsafeBufferPointer<UInt8>>, _ index: inout Int
  ) throws(DecodingFailure) -> Unicode.Scalar {
    let first = try readUnit(raw, &index)
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard (0xD800..<0xDC00).contains(first), index + 1 < raw.endIndex,
      raw[index] == UInt8(ascii: "\\"), raw[index + 1] == UInt8(ascii: "u")
    else { throw DecodingFailure(expected: "a surrogate pair", offset: index) }
    index += 2
    let second = try readUnit(raw, &index)
    guard (0xDC00..<0xE000).contains(second),
      let scalar = Unicode.Scalar(
        0x10000 + ((UInt32(first) - 0xD800) << 10) + UInt32(second) - 0xDC00)
    else { throw DecodingFailure(expected: "a low surrogate", offset: index) }
    return scalar
  }

  private func readUnit(
    _ raw: Slice<UnsafeBufferPointer<UInt8>>, _ index: inout Int
  ) throws(DecodingFailure) -> UInt16 {
    let digits = raw[index..<min(index + 4, raw.endIndex)]
    guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
      let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw DecodingFailure(expected: "four hexadecimal digits", offset: index) }
    index += 4
    return unit
  }
}
