/// Bytes that do not follow the encoding they should: what was expected, and where.
public struct DecodingFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// What the reader expected, in words.
  public var expected: String
  /// The offset in the buffer at which reading stopped.
  public var offset: Int

  /// A failure to find `expected` at `offset`.
  public init(expected: String, offset: Int) {
    self.expected = expected
    self.offset = offset
  }

  /// What was expected and where, for a log line.
  public var description: String { "expected \(expected) at offset \(offset)" }
}

/// Reads the encodings of ``ByteWriter`` from bytes that may be damaged or hostile.
///
/// Every read is checked against the end of the buffer, and no length found in the bytes is trusted
/// before it is compared with what is left: a bad buffer costs an error, never memory.
public struct ByteReader: Sendable {
  private let bytes: ArraySlice<UInt8>
  private let start: Int
  private var position: Int

  /// Reads from the beginning of `bytes`.
  public init(_ bytes: Bytes) { self.init(bytes[...]) }

  /// Reads from the beginning of the slice.
  public init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    start = bytes.startIndex
    position = bytes.startIndex
  }

  /// The number of bytes read so far.
  public var offset: Int { position - start }

  /// The number of bytes not read yet.
  public var remaining: Int { bytes.endIndex - position }

  /// True when every byte has been read.
  public var isAtEnd: Bool { position == bytes.endIndex }

  /// The error for something missing or wrong at the present offset.
  public func failure(expected: String) -> DecodingFailure {
    DecodingFailure(expected: expected, offset: offset)
  }

  /// Reads one byte.
  public mutating func readByte() throws(DecodingFailure) -> UInt8 {
    guard position < bytes.endIndex else { throw failure(expected: "a byte") }
    defer { position += 1 }
    return bytes[position]
  }

  /// Reads a fixed-width big-endian integer.
  public mutating func readFixed<T: FixedWidthInteger>(
    _ type: T.Type = T.self
  ) throws(DecodingFailure) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { throw failure(expected: "\(size) bytes of \(T.self)") }
    precondition(size <= 8, "\(T.self) has \(size) bytes")
    // In a concrete type: callers in other modules get this function unspecialised.
    var value: UInt64 = 0
    for index in position..<position + size { value = value << 8 | UInt64(bytes[index]) }
    position += size
    return T(truncatingIfNeeded: value)
  }

  /// Reads an unsigned LEB128 varint; more than 64 bits are an error.
  public mutating func readVarint() throws(DecodingFailure) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard position < bytes.endIndex else { throw failure(expected: "the rest of a varint") }
      let byte = bytes[position]
      guard shift < 63 || (shift == 63 && byte <= 1) else {
        throw failure(expected: "a varint of at most 64 bits")
      }
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  /// Reads a count that each of at least `minimumBytes` following bytes must justify.
  ///
  /// A list of `n` elements needs at least `n * minimumBytes` more bytes, so a forged count fails
  /// here and not in an allocation.
  public mutating func readCount(minimumBytes: Int = 1) throws(DecodingFailure) -> Int {
    let value = try readVarint()
    guard value <= UInt64(remaining / max(1, minimumBytes)) else {
      throw failure(expected: "a count within the \(remaining) bytes left, not \(value)")
    }
    return Int(value)
  }

  /// Reads a Boolean: exactly 0 or 1.
  public mutating func readBool() throws(DecodingFailure) -> Bool {
    let byte = try readByte()
    guard byte <= 1 else { throw failure(expected: "0 or 1, not \(byte)") }
    return byte == 1
  }

  /// Reads exactly `count` bytes.
  public mutating func readRaw(_ count: Int) throws(DecodingFailure) -> Bytes {
    guard count >= 0, count <= remaining else { throw failure(expected: "\(count) bytes") }
    defer { position += count }
    return Bytes(bytes[position..<position + count])
  }

  /// Passes over exactly `count` bytes.
  public mutating func skip(_ count: Int) throws(DecodingFailure) {
    guard count >= 0, count <= remaining else { throw failure(expected: "\(count) bytes") }
    position += count
  }

  /// Reads a varint length and that many bytes.
  public mutating func readBytes() throws(DecodingFailure) -> Bytes {
    let count = try readCount()
    return try readRaw(count)
  }

  /// Reads a length-prefixed string; bytes that are not UTF-8 are an error.
  public mutating func readString() throws(DecodingFailure) -> String {
    let at = offset
    let raw = try readBytes()
    guard let text = String(validating: raw, as: UTF8.self) else {
      throw DecodingFailure(expected: "UTF-8 text", offset: at)
    }
    return text
  }

  /// Reads a presence byte and, when it is set, the value.
  public mutating func readOptional<T>(
    _ body: (inout ByteReader) throws(DecodingFailure) -> T
  ) throws(DecodingFailure) -> T? {
    guard try readBool() else { return nil }
    return try body(&self)
  }

  /// Reads a counted list, each element at least `minimumBytes` long.
  public mutating func readList<T>(
    minimumBytes: Int = 1, _ body: (inout ByteReader) throws(DecodingFailure) -> T
  ) throws(DecodingFailure) -> [T] {
    let count = try readCount(minimumBytes: minimumBytes)
    var values: [T] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try body(&self)) }
    return values
  }

  /// Demands that nothing is left.
  public func expectEnd() throws(DecodingFailure) {
    guard isAtEnd else { throw failure(expected: "the end, not \(remaining) more bytes") }
  }
}
