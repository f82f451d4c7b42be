import KVBase

/// Goes through the fields of a protobuf message without copying it.
///
/// It stops, once and for all, at whatever is broken or seldom seen; whoever asked then leaves the
/// message to the generated code.
struct WireCursor {
  private let bytes: UnsafeRawBufferPointer
  private var position: Int
  private let end: Int

  /// What a field holds.
  enum Value {
    case number(UInt64)
    case bytes(Range<Int>)
  }

  init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { position == end }

  /// The next field; nil when there is none that could be read.
  mutating func next() -> (number: UInt64, value: Value)? {
    guard let tag = varint(), tag < 1 << 32 else { return nil }
    switch tag & 7 {
    case 0: return varint().map { (tag >> 3, .number($0)) }
    case 2:
      guard let count = varint(), count <= UInt64(end - position) else { return nil }
      let range = position..<position + Int(count)
      position = range.upperBound
      return (tag >> 3, .bytes(range))
    default: return nil
    }
  }

  private mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end, shift < 63 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }

  /// A copy of a part of the message.
  func copy(_ range: Range<Int>) -> Bytes { Bytes(UnsafeRawBufferPointer(rebasing: bytes[range])) }
}

extension WireCursor.Value {
  /// The number as the 32 bits that protobuf keeps of it; nil for bytes.
  var uint32: UInt32? {
    if case .number(let value) = self { UInt32(truncatingIfNeeded: value) } else { nil }
  }

  var bool: Bool? { if case .number(let value) = self { value != 0 } else { nil } }

  var range: Range<Int>? { if case .bytes(let range) = self { range } else { nil } }
}
