import KVBase

/// The fields of one protobuf message, in the order in which they came.
///
/// Reads the wire format alone: what the fields mean is for whoever asks. Of a field that may appear
/// once the last one counts, as protobuf has it.
struct ProtobufFields {
  enum Value: Hashable {
    case number(UInt64)
    /// A number of more than 64 bits; only read when asked for.
    case wideNumber(UInt128)
    case bytes(ArraySlice<UInt8>)
    /// Fixed-width fields, which no message here has.
    case skipped
  }

  private let fields: [(number: UInt64, value: Value)]
  private let isWide: Bool

  /// The fields of `body`.
  ///
  /// - Parameters:
  ///   - body: the message.
  ///   - isWide: true to take numbers of up to 128 bits, which counters have.
  /// - Throws: what is wrong with the bytes.
  init(_ body: ArraySlice<UInt8>, isWide: Bool = false) throws(ProtocolFailure) {
    var fields: [(number: UInt64, value: Value)] = []
    var position = body.startIndex
    while position < body.endIndex {
      let tag: UInt64 = try Self.varint(body, &position)
      guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw .undecodable("field number") }
      let value: Value
      switch tag & 7 {
      case 0 where isWide: value = Self.wide(try Self.varint(body, &position))
      case 0: value = .number(try Self.varint(body, &position))
      case 1: value = try Self.skip(8, body, &position)
      case 2:
        let count: UInt64 = try Self.varint(body, &position)
        guard count <= UInt64(body.endIndex - position) else { throw .undecodable("length") }
        value = .bytes(body[position..<position + Int(count)])
        position += Int(count)
      case 5: value = try Self.skip(4, body, &position)
      default: throw .undecodable("wire type \(tag & 7)")
      }
      fields.append((tag >> 3, value))
    }
    self.fields = fields
    self.isWide = isWide
  }

  private static func wide(_ value: UInt128) -> Value {
    UInt64(exactly: value).map { .number($0) } ?? .wideNumber(value)
  }

  private static func varint<Number: FixedWidthInteger>(
    _ body: ArraySlice<UInt8>, _ position: inout Int
  ) throws(ProtocolFailure) -> Number {
    var value: Number = 0
    var shift = 0
    while position < body.endIndex, shift < Number.bitWidth {
      let byte = body[position]
      position += 1
      value |= Number(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw .undecodable("varint")
  }

  private static func skip(
    _ count: Int, _ body: ArraySlice<UInt8>, _ position: inout Int
  ) throws(ProtocolFailure) -> Value {
    guard count <= body.endIndex - position else { throw .undecodable("fixed-width field") }
    position += count
    return .skipped
  }

  /// True when the field is there.
  func has(_ number: UInt64) -> Bool { fields.contains { $0.number == number } }

  /// A byte string, nil when it is not there.
  func bytes(_ number: UInt64) -> Bytes? { slice(number).map { Bytes($0) } }

  /// A byte string that must be there.
  func required(_ number: UInt64, _ name: String) throws(ProtocolFailure) -> Bytes {
    guard let value = bytes(number) else { throw .undecodable("\(name) is missing") }
    return value
  }

  /// All values of a repeated byte string.
  func repeated(_ number: UInt64) -> [Bytes] {
    fields.compactMap { field in
      if field.number == number, case .bytes(let value) = field.value { Bytes(value) } else { nil }
    }
  }

  /// An unsigned number, nil when it is not there.
  func number(_ number: UInt64) -> UInt64? {
    for field in fields.reversed() where field.number == number {
      if case .number(let value) = field.value { return value }
    }
    return nil
  }

  /// An unsigned number of 32 bits; higher bits are dropped, as protobuf has it.
  func uint32(_ number: UInt64) -> UInt32? {
    self.number(number).map { UInt32(truncatingIfNeeded: $0) }
  }

  /// A truth value, nil when it is not there.
  func flag(_ number: UInt64) -> Bool? { self.number(number).map { $0 != 0 } }

  /// A signed number in zigzag form.
  func signed(_ number: UInt64) -> Int64? {
    self.number(number).map { Int64(bitPattern: $0 >> 1) ^ -Int64(bitPattern: $0 & 1) }
  }

  /// A signed number in zigzag form of up to 128 bits.
  func wideSigned(_ number: UInt64) -> Int128? {
    for field in fields.reversed() where field.number == number {
      let value: UInt128
      switch field.value {
      case .number(let narrow): value = UInt128(narrow)
      case .wideNumber(let wide): value = wide
      case .bytes, .skipped: continue
      }
      return Int128(bitPattern: value >> 1) ^ -Int128(bitPattern: value & 1)
    }
    return nil
  }

  /// A message in the message.
  func message(_ number: UInt64) throws(ProtocolFailure) -> ProtobufFields? {
    guard let body = slice(number) else { return nil }
    return try ProtobufFields(body, isWide: isWide)
  }

  /// All messages of a repeated field.
  func messages(_ number: UInt64) throws(ProtocolFailure) -> [ProtobufFields] {
    var result: [ProtobufFields] = []
    for field in fields where field.number == number {
      guard case .bytes(let body) = field.value else { continue }
      result.append(try ProtobufFields(body, isWide: isWide))
    }
    return result
  }

  private func slice(_ number: UInt64) -> ArraySlice<UInt8>? {
    for field in fields.reversed() where field.number == number {
      if case .bytes(let value) = field.value { return value }
    }
    return nil
  }
}

/// Appends fields of a protobuf message.
struct ProtobufWriter {
  private(set) var bytes: Bytes = []

  /// Starts with the message code of a frame.
  init(_ code: ClientMessageCode) { bytes = [code.rawValue] }

  init() {}

  mutating func write(_ number: UInt8, _ value: Bytes) {
    writeTag(number, 2)
    writeVarint(UInt128(value.count))
    bytes.append(contentsOf: value)
  }

  mutating func write(_ number: UInt8, _ value: UInt64) {
    writeTag(number, 0)
    writeVarint(UInt128(value))
  }

  mutating func write(_ number: UInt8, _ value: Bool) { write(number, UInt64(value ? 1 : 0)) }

  /// A signed number in zigzag form; beyond 64 bits the varint grows, as the reference's does.
  mutating func write(signed value: Int128, _ number: UInt8) {
    writeTag(number, 0)
    writeVarint(UInt128(bitPattern: value << 1 ^ value >> 127))
  }

  mutating func write(_ number: UInt8, _ body: (inout ProtobufWriter) -> Void) {
    var writer = ProtobufWriter()
    body(&writer)
    write(number, writer.bytes)
  }

  private mutating func writeTag(_ number: UInt8, _ wireType: UInt8) {
    writeVarint(UInt128(number) << 3 | UInt128(wireType))
  }

  private mutating func writeVarint(_ value: UInt128) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
