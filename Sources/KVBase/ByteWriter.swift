/// A byte string: keys, values and encoded messages.
public typealias Bytes = [UInt8]

/// Appends the project's binary encodings to a growing buffer.
///
/// All fixed-width integers are big-endian, so that encoded keys sort like the values they encode.
public struct ByteWriter: Sendable {
  /// Everything written so far.
  public private(set) var bytes: Bytes

  /// Starts an empty buffer with room for `capacity` bytes.
  public init(capacity: Int = 0) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// The number of bytes written so far.
  public var count: Int { bytes.count }

  /// Appends one byte.
  public mutating func write(_ value: UInt8) { bytes.append(value) }

  /// Appends a fixed-width integer, big-endian.
  public mutating func write<T: FixedWidthInteger>(fixed value: T) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }

  /// Appends an unsigned LEB128 varint of 1 to 10 bytes.
  public mutating func write(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// Appends a non-negative count as a varint.
  public mutating func write(count: Int) {
    precondition(count >= 0, "a count of \(count) cannot be encoded")
    write(varint: UInt64(count))
  }

  /// Appends `true` as 1 and `false` as 0.
  public mutating func write(_ value: Bool) { bytes.append(value ? 1 : 0) }

  /// Appends bytes without a length.
  public mutating func write(raw value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

  /// Appends a varint length and the bytes.
  public mutating func write(_ value: Bytes) {
    write(count: value.count)
    bytes.append(contentsOf: value)
  }

  /// Appends a string as its UTF-8 bytes with a varint length.
  public mutating func write(_ value: String) {
    write(count: value.utf8.count)
    bytes.append(contentsOf: value.utf8)
  }

  /// Appends a presence byte and, when there is a value, what `body` writes for it.
  public mutating func write<T>(optional value: T?, _ body: (inout ByteWriter, T) -> Void) {
    write(value != nil)
    if let value { body(&self, value) }
  }

  /// Appends a varint count and what `body` writes for each element.
  public mutating func write<C: Collection>(
    list values: C, _ body: (inout ByteWriter, C.Element) -> Void
  ) {
    write(count: values.count)
    for value in values { body(&self, value) }
  }
}
