import KVBase

/// The bytes that the N-th write of a run stores: its number and a pattern that follows from it, so
/// that every value is unique and a damaged one is known by looking at it.
enum WrittenValue {
  /// The least bytes of a value.
  static let minimumByteCount = 8

  /// The value of write `number`, of the given length.
  static func bytes(_ number: Int, byteCount: Int) -> Bytes {
    precondition(byteCount >= minimumByteCount, "a value of \(byteCount) bytes")
    var writer = ByteWriter(capacity: byteCount + 8)
    writer.write(fixed: UInt64(number))
    var word = UInt64(number)
    while writer.count < byteCount {
      word = StableHash.mix(word)
      writer.write(fixed: word)
    }
    return Bytes(writer.bytes.prefix(byteCount))
  }

  /// The number of the write that made these bytes; nil when no write did.
  static func number(of value: Bytes) -> Int? {
    guard let number = identifier(in: value) else { return nil }
    return bytes(number, byteCount: value.count) == value ? number : nil
  }

  /// The number at the start of the bytes, whatever follows.
  static func identifier(in value: Bytes) -> Int? {
    guard value.count >= minimumByteCount else { return nil }
    let number = value.prefix(minimumByteCount).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return number < 1 << 32 ? Int(number) : nil
  }
}
