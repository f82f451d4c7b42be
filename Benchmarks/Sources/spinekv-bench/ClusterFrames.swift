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

  /// RpbDelReq of a key.
  static func delete(_ bucket: [UInt8], _ key: [UInt8]) -> [UInt8] {
    var body: [UInt8] = []
    append(&body, field: 1, bucket)
    append(&body, field: 2, key)
    return frame(13, body)
  }

  /// RpbIndexReq for a range of terms, and perhaps only those that match a pattern.
  static func range(
    _ bucket: [UInt8], _ index: String, _ first: String, _ last: String, pattern: String? = nil
  ) -> [UInt8] {
    var body: [UInt8] = []
    append(&body, field: 1, bucket)
    append(&body, field: 2, index.utf8)
    body += [3 << 3, 1]
    append(&body, field: 5, first.utf8)
    append(&body, field: 6, last.utf8)
    if let pattern { append(&body, field: 13, pattern.utf8) }
    return frame(25, body)
  }

  /// RpbPutReq of a value, with the context of a read if there was one, and index entries.
  static func put(
    _ bucket: [UInt8], _ key: [UInt8], _ value: [UInt8], context: ArraySlice<UInt8>? = nil,
    indexes: [(name: String, term: String)] = []
  ) -> [UInt8] {
    var content: [UInt8] = []
    content.reserveCapacity(value.count + 8 + 64 * indexes.count)
    append(&content, field: 1, value)
    for index in indexes {
      var pair: [UInt8] = []
      append(&pair, field: 1, index.name.utf8)
      append(&pair, field: 2, index.term.utf8)
      append(&content, field: 10, pair)
    }
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
