import KVBase

/// The few terms of Erlang's external format that clients hand back: binaries, integers, pairs.
///
/// **Source**: Erlang External Term Format; reference section 1.12 for continuations.
enum ErlangTerm {
  private static let version: UInt8 = 131

  /// `{Term, Key}`, or `Key` alone; integers as numbers.
  static func continuation(term: Bytes?, isInteger: Bool, key: Bytes) -> Bytes {
    guard let term else { return [version] + binary(key) }
    return [version, 104, 2] + (isInteger ? integer(term) : binary(term)) + binary(key)
  }

  /// What ``continuation(term:isInteger:key:)`` wrote; integers as their decimal text.
  static func readContinuation(_ bytes: Bytes) -> (term: Bytes?, key: Bytes)? {
    var reader = ByteReader(bytes)
    guard (try? reader.readByte()) == version, let tag = try? reader.readByte() else { return nil }
    if tag == 109 {
      guard let key = readBinary(&reader), reader.isAtEnd else { return nil }
      return (nil, key)
    }
    guard tag == 104, (try? reader.readByte()) == 2, let kind = try? reader.readByte(),
      let term = kind == 109 ? readBinary(&reader) : readInteger(kind, &reader),
      (try? reader.readByte()) == 109, let key = readBinary(&reader), reader.isAtEnd
    else { return nil }
    return (term, key)
  }

  private static func binary(_ bytes: Bytes) -> Bytes {
    var writer = ByteWriter(capacity: bytes.count + 5)
    writer.write(UInt8(109))
    writer.write(fixed: UInt32(bytes.count))
    writer.write(raw: bytes)
    return writer.bytes
  }

  private static func readBinary(_ reader: inout ByteReader) -> Bytes? {
    guard let count = try? reader.readFixed(UInt32.self) else { return nil }
    return try? reader.readRaw(Int(count))
  }

  /// The most bytes of an integer, which takes quadratic time to bring into decimal form.
  private static let integerLimit = 4096

  private static func integer(_ text: Bytes) -> Bytes {
    if let value = Int(String(decoding: text, as: UTF8.self)) {
      if (0...255).contains(value) { return [97, UInt8(value)] }
      if let small = Int32(exactly: value) {
        var writer = ByteWriter(capacity: 5)
        writer.write(UInt8(98))
        writer.write(fixed: small)
        return writer.bytes
      }
    }
    let isNegative = text.first == UInt8(ascii: "-")
    var digits = (isNegative ? text.dropFirst() : text[...]).map { $0 &- 48 }
    var magnitude: Bytes = []
    while !digits.isEmpty {
      var remainder = 0
      for index in digits.indices {
        let value = remainder * 10 + Int(digits[index])
        digits[index] = UInt8(value / 256)
        remainder = value % 256
      }
      magnitude.append(UInt8(remainder))
      digits = Bytes(digits.drop { $0 == 0 })
    }
    return big(magnitude, isNegative: isNegative)
  }

  private static func big(_ magnitude: Bytes, isNegative: Bool) -> Bytes {
    var writer = ByteWriter(capacity: magnitude.count + 6)
    if magnitude.count < 256 {
      writer.write(UInt8(110))
      writer.write(UInt8(magnitude.count))
    } else {
      writer.write(UInt8(111))
      writer.write(fixed: UInt32(magnitude.count))
    }
    writer.write(isNegative)
    writer.write(raw: magnitude)
    return writer.bytes
  }

  private static func readInteger(_ kind: UInt8, _ reader: inout ByteReader) -> Bytes? {
    switch kind {
    case 97: return (try? reader.readByte()).map { Bytes("\($0)".utf8) }
    case 98: return (try? reader.readFixed(Int32.self)).map { Bytes("\($0)".utf8) }
    case 110: return (try? reader.readByte()).flatMap { readBig(Int($0), &reader) }
    case 111: return (try? reader.readFixed(UInt32.self)).flatMap { readBig(Int($0), &reader) }
    default: return nil
    }
  }

  private static func readBig(_ count: Int, _ reader: inout ByteReader) -> Bytes? {
    guard count <= integerLimit, let isNegative = try? reader.readBool(),
      let magnitude = try? reader.readRaw(count)
    else { return nil }
    var digits: Bytes = [0]
    for byte in magnitude.reversed() {
      var carry = Int(byte)
      for index in digits.indices {
        let value = Int(digits[index]) * 256 + carry
        digits[index] = UInt8(value % 10)
        carry = value / 10
      }
      while carry > 0 {
        digits.append(UInt8(carry % 10))
        carry /= 10
      }
    }
    while digits.count > 1, digits.last == 0 { digits.removeLast() }
    return (isNegative ? [UInt8(ascii: "-")] : []) + digits.reversed().map { $0 + 48 }
  }
}
