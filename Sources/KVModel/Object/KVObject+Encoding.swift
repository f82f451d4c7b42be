public import KVBase

/// The one encoding of objects: on disk, between nodes and in the ledger.
///
/// ```
/// u8      format version (1)
/// u32     head length: the bytes from the start to the end of the metadata
/// clock   version vector
/// varint  sibling count; for each: dot, u8 flags (bit 0 tombstone), u64 last modified, vtag,
///         content type, charset, content encoding, links, user metadata, indexes, varint value length
/// ------- end of the head
/// bytes   the values, in the siblings' order
/// ```
///
/// The head alone tells everything but the values, so a replica can answer for an object without
/// reading it whole.
extension KVObject {
  /// The version written; readers refuse any other.
  public static let formatVersion: UInt8 = 1
  private static let headLengthOffset = 1

  /// The encoded object and the length of its head.
  public func encoded() -> (bytes: Bytes, headByteCount: Int) {
    let valueBytes = siblings.reduce(0) { $0 + $1.content.value.count }
    var writer = ByteWriter(capacity: 128 + valueBytes)
    clock.encode(into: &writer)
    writer.write(list: siblings) { writer, sibling in sibling.encodeHead(into: &writer) }
    var whole = ByteWriter(capacity: writer.count + valueBytes + 5)
    whole.write(Self.formatVersion)
    whole.write(fixed: UInt32(writer.count + 5))
    whole.write(raw: writer.bytes)
    let headByteCount = whole.count
    for sibling in siblings { whole.write(raw: sibling.content.value) }
    return (whole.bytes, headByteCount)
  }

  /// Decodes a whole object.
  public init(encoded bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let (head, lengths) = try Self.readHead(&reader)
    var siblings = head.siblings
    for index in siblings.indices {
      siblings[index].content.value = try reader.readRaw(lengths[index])
    }
    try reader.expectEnd()
    self.init(clock: head.clock, siblings: siblings)
  }

  /// Decodes a head; the values are empty.
  public init(encodedHead bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    self = try Self.readHead(&reader).object
  }

  /// Decodes a head and tells the length of the whole encoded object.
  public static func measure(
    encodedHead bytes: Bytes
  ) throws(DecodingFailure) -> (object: KVObject, byteCount: Int) {
    var reader = ByteReader(bytes)
    let (object, lengths) = try readHead(&reader)
    return (object, lengths.reduce(reader.offset, +))
  }

  /// The length of the head at the beginning of an encoded object.
  public static func headByteCount(of bytes: Bytes) throws(DecodingFailure) -> Int {
    var reader = ByteReader(bytes)
    return try readHeadLength(&reader)
  }

  private static func readHeadLength(_ reader: inout ByteReader) throws(DecodingFailure) -> Int {
    let version = try reader.readByte()
    guard version == formatVersion else {
      throw DecodingFailure(expected: "object format \(formatVersion), not \(version)", offset: 0)
    }
    let length = Int(try reader.readFixed(UInt32.self))
    guard length >= 5, length - 5 <= reader.remaining else {
      throw reader.failure(expected: "an object head of \(length) bytes")
    }
    return length
  }

  private static func readHead(
    _ reader: inout ByteReader
  ) throws(DecodingFailure) -> (object: KVObject, lengths: [Int]) {
    let headLength = try readHeadLength(&reader)
    let clock = try VersionVector(decoding: &reader)
    var lengths: [Int] = []
    let siblings = try reader.readList(minimumBytes: 30) { (r) throws(DecodingFailure) in
      let sibling = try Sibling(decodingHead: &r)
      let length = try r.readVarint()
      guard length <= UInt64(UInt32.max) else { throw r.failure(expected: "a value length") }
      lengths.append(Int(length))
      return sibling
    }
    guard reader.offset == headLength else {
      throw reader.failure(expected: "the end of the head at \(headLength)")
    }
    for (a, b) in zip(siblings, siblings.dropFirst()) where a.dot >= b.dot {
      throw reader.failure(expected: "siblings sorted by dot")
    }
    guard siblings.allSatisfy({ clock.contains($0.dot) }) else {
      throw reader.failure(expected: "a clock that contains every sibling's dot")
    }
    return (KVObject(clock: clock, siblings: siblings), lengths)
  }
}

extension Sibling {
  fileprivate func encodeHead(into writer: inout ByteWriter) {
    dot.encode(into: &writer)
    content.encodeMetadata(into: &writer)
    writer.write(count: content.value.count)
  }

  fileprivate init(decodingHead reader: inout ByteReader) throws(DecodingFailure) {
    let dot = try Dot(decoding: &reader)
    self.init(dot: dot, content: try Content(decodingMetadata: &reader))
  }
}

extension Content {
  fileprivate func encodeMetadata(into writer: inout ByteWriter) {
    writer.write(UInt8(isTombstone ? 1 : 0))
    writer.write(fixed: lastModified.microseconds)
    writer.write(vtag)
    for field in [contentType, charset, contentEncoding] {
      writer.write(optional: field) { $0.write($1) }
    }
    writer.write(list: links) { writer, link in
      for field in [link.bucket, link.key, link.tag] {
        writer.write(optional: field) { $0.write($1) }
      }
    }
    for pairs in [userMetadata, indexes] {
      writer.write(list: pairs) { writer, pair in
        writer.write(pair.key)
        writer.write(optional: pair.value) { $0.write($1) }
      }
    }
  }

  fileprivate init(decodingMetadata reader: inout ByteReader) throws(DecodingFailure) {
    let flags = try reader.readByte()
    guard flags <= 1 else { throw reader.failure(expected: "content flags 0 or 1") }
    let lastModified = WallClock(microseconds: try reader.readFixed())
    let vtag = try reader.readBytes()
    let contentType = try reader.readOptionalBytes()
    let charset = try reader.readOptionalBytes()
    let contentEncoding = try reader.readOptionalBytes()
    let links = try reader.readList(minimumBytes: 3) { (r) throws(DecodingFailure) in
      Link(
        bucket: try r.readOptionalBytes(), key: try r.readOptionalBytes(),
        tag: try r.readOptionalBytes())
    }
    let userMetadata = try reader.readPairs()
    self.init(
      value: [], contentType: contentType, charset: charset, contentEncoding: contentEncoding,
      links: links, userMetadata: userMetadata, indexes: try reader.readPairs(),
      isTombstone: flags == 1, vtag: vtag, lastModified: lastModified)
  }

  /// Appends metadata and value, as one unit of a message.
  public func encode(into writer: inout ByteWriter) {
    encodeMetadata(into: &writer)
    writer.write(value)
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    self = try Content(decodingMetadata: &reader)
    value = try reader.readBytes()
  }
}

extension ByteReader {
  fileprivate mutating func readOptionalBytes() throws(DecodingFailure) -> Bytes? {
    try readOptional { (r) throws(DecodingFailure) in try r.readBytes() }
  }

  fileprivate mutating func readPairs() throws(DecodingFailure) -> [Pair] {
    try readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      Pair(key: try r.readBytes(), value: try r.readOptionalBytes())
    }
  }
}
