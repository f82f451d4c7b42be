import KVBase

/// Compares answers field by field, as `riak-replay.py` does.
struct ExchangeComparison {
  typealias Field = (number: UInt64, wire: UInt64, value: Bytes)

  /// Values of the recording, and what this server answered in their place.
  private var replacements: [Bytes: Bytes] = [:]

  static func bytes(_ hex: String) -> Bytes {
    let digits = Array(hex.utf8)
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
      UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
  }

  /// The fields of a message; nil when it is none.
  ///
  /// Varints are kept as their eight bytes.
  static func fields(_ body: Bytes) -> [Field]? {
    var reader = ByteReader(body)
    var fields: [Field] = []
    do {
      while !reader.isAtEnd {
        let tag = try reader.readVarint()
        let value: Bytes
        switch tag & 7 {
        case 0: value = withUnsafeBytes(of: try reader.readVarint().bigEndian) { Bytes($0) }
        case 1: value = try reader.readRaw(8)
        case 2: value = try reader.readBytes()
        case 5: value = try reader.readRaw(4)
        default: return nil
        }
        fields.append((tag >> 3, tag & 7, value))
      }
    } catch {
      return nil
    }
    return fields
  }

  private static func encode(_ fields: [Field]) -> Bytes {
    var writer = ByteWriter()
    for field in fields {
      writer.write(varint: field.number << 3 | field.wire)
      switch field.wire {
      case 0: writer.write(varint: field.value.reduce(0) { $0 << 8 | UInt64($1) })
      case 2: writer.write(field.value)
      default: writer.write(raw: field.value)
      }
    }
    return writer.bytes
  }

  func translated(_ request: Bytes) -> Bytes {
    guard let fields = Self.fields(Bytes(request.dropFirst())) else { return request }
    return [request[0]]
      + Self.encode(
        fields.map { field in
          guard field.wire == 2, let other = replacements[field.value] else { return field }
          return (field.number, field.wire, other)
        })
  }

  mutating func remember(_ expected: [Bytes], _ got: [Bytes]) {
    let saved: [UInt8: [UInt64]] = [10: [2], 12: [2, 3], 81: [1], 83: [1, 2]]
    for (a, b) in zip(expected, got) where a.first == b.first {
      guard let code = a.first, let theirs = Self.fields(Bytes(a.dropFirst())),
        let ours = Self.fields(Bytes(b.dropFirst()))
      else { continue }
      for number in saved[code] ?? [] {
        let from = theirs.first { $0.number == number }?.value
        let to = ours.first { $0.number == number }?.value
        if let from, let to, from.count >= 6 { replacements[from] = to }
      }
    }
  }

  func agree(_ expected: [Bytes], _ got: [Bytes]) -> Bool {
    let (a, b) = (Self.merged(expected), Self.merged(got))
    guard a.count == b.count else { return false }
    return zip(a, b).allSatisfy { Self.shown($0) == Self.shown($1) }
  }

  /// The messages of a listing as one.
  private static func merged(_ frames: [Bytes]) -> [Bytes] {
    guard let code = frames.first?.first, [16, 18, 24, 26, 41].contains(code),
      frames.allSatisfy({ $0.first == code })
    else { return frames }
    return [[code] + frames.flatMap { $0.dropFirst() }]
  }

  /// What of a message is compared, as text.
  private static func shown(_ frame: Bytes) -> [String] {
    guard let code = frame.first, let fields = fields(Bytes(frame.dropFirst())) else {
      return ["\(frame)"]
    }
    let free: [UInt8: Set<UInt64>] = [
      4: [1], 8: [1, 2], 10: [2], 12: [2, 3], 26: [3], 41: [2], 81: [1], 83: [1, 2],
    ]
    let properties: Set<UInt64> = [1, 2, 3, 14, 15, 16, 17, 18, 19, 20, 21, 26, 27, 28, 29]
    let shown = fields.map { field -> String in
      if free[code]?.contains(field.number) == true { return "\(field.number): any" }
      if code == 20 { return nested(field) { properties.contains($0) } }
      if code == 10 || code == 12, field.number == 1 {
        return nested(field) { ![5, 7, 8].contains($0) }
      }
      if code == 34 { return nested(field) { $0 == 3 } }
      if code == 0, field.number == 1, field.value.starts(with: Bytes("Error processing".utf8)) {
        return "an error while processing"
      }
      return "\(field.number): \(field.value)"
    }
    return ["\(code)"] + ([10, 12, 16, 18, 26, 81, 83].contains(code) ? shown.sorted() : shown)
  }

  private static func nested(_ field: Field, keeping isKept: (UInt64) -> Bool) -> String {
    let inner = fields(field.value) ?? []
    let kept = inner.filter { isKept($0.number) }.map { "\($0.number)=\($0.value)" }
    return "\(field.number): \(kept.sorted())"
  }
}
