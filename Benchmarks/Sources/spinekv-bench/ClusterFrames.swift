/// Frames of the client protocol, made and read by hand: the generator must cost less than what it
/// measures.
///
/// **Source**: Docs of the protocol-buffers interface; message codes 1, 9 to 12.
enum ClusterFrames {
  static let ping: [UInt8] = [0, 0, 0, 1, 1]

  /// RpbGetReq of a key.
  static func get(_ bucket: [UInt8], _ key: [UInt8]) -> [UInt8] {
    var body: [UInt8] = []
    append(&body, field: 1, bucket)
    append(&body, field: 2, key)
    return frame(9, body)
  }

  /// RpbPutReq of a value, with the context of a read if there was one.
  static func put(
    _ bucket: [UInt8], _ key: [UInt8], _ value: [UInt8], context: ArraySlice<UInt8>? = nil
  ) -> [UInt8] {
    var content: [UInt8] = []
    content.reserveCapacity(value.count + 8)
    append(&content, field: 1, value)
    var body: [UInt8] = []
    body.reserveCapacity(value.count + 128)
    append(&body, field: 1, bucket)
    append(&body, field: 2, key)
    if let context { append(&body, field: 3, context) }
    append(&body, field: 4, content)
    return frame(11, body)
  }

  /// The context in an RpbGetResp: its field 2.
  static func context(of body: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    var position = body.startIndex
    while position < body.endIndex {
      let tag = body[position]
      position += 1
      guard tag & 7 == 2, let count = varint(body, &position),
        count <= body.endIndex - position
      else { return nil }
      if tag >> 3 == 2 { return body[position..<position + count] }
      position += count
    }
    return nil
  }

  private static func frame(_ code: UInt8, _ body: [UInt8]) -> [UInt8] {
    let length = UInt32(body.count + 1)
    var frame: [UInt8] = []
    frame.reserveCapacity(body.count + 5)
    withUnsafeBytes(of: length.bigEndian) { frame.append(contentsOf: $0) }
    frame.append(code)
    frame.append(contentsOf: body)
    return frame
  }

  private static func append(
    _ bytes: inout [UInt8], field: UInt8, _ value: some Collection<UInt8>
  ) {
    bytes.append(field << 3 | 2)
    var rest = value.count
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
    bytes.append(contentsOf: value)
  }

  private static func varint(_ bytes: ArraySlice<UInt8>, _ position: inout Int) -> Int? {
    var value = 0
    var shift = 0
    while position < bytes.endIndex, shift < 35 {
      let byte = bytes[position]
      position += 1
      value |= Int(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}
