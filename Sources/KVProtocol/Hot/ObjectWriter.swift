import KVBase
import KVModel

/// Writes the messages that carry objects, in one buffer of the right size.
///
/// **Invariants**: the bytes are those of the generated code: every field in the order of its number.
struct ObjectWriter {
  private(set) var bytes: Bytes

  /// The frame of an `RpbGetResp` or `RpbPutResp` with the object, and for the latter perhaps a key.
  init(
    _ code: ClientMessageCode, _ object: KVObject, headOnly: Bool, key: Bytes? = nil
  ) {
    let clock = object.clock.clientBytes
    let tags = object.siblings.map {
      $0.content.vtag.isEmpty ? RpbContent.tag(of: $0.dot) : $0.content.vtag
    }
    let sizes = zip(object.siblings, tags).map {
      Self.size(of: $0.content, tag: $1, headOnly: headOnly)
    }
    var total = 1 + Self.size(of: clock) + (key.map(Self.size(of:)) ?? 0)
    for size in sizes { total += Self.size(ofPart: size) }
    bytes = []
    bytes.reserveCapacity(total)
    bytes.append(code.rawValue)
    for (index, sibling) in object.siblings.enumerated() {
      begin(1, sizes[index])
      write(sibling.content, tag: tags[index], headOnly: headOnly)
    }
    write(2, clock)
    if let key { write(3, key) }
  }

  private mutating func write(_ content: Content, tag: Bytes, headOnly: Bool) {
    write(1, headOnly ? [] : content.value)
    if let type = content.contentType { write(2, type) }
    if let charset = content.charset { write(3, charset) }
    if let encoding = content.contentEncoding { write(4, encoding) }
    write(5, tag)
    for link in content.links {
      begin(6, Self.size(of: link))
      if let bucket = link.bucket { write(1, bucket) }
      if let key = link.key { write(2, key) }
      if let tag = link.tag { write(3, tag) }
    }
    let (seconds, microseconds) = Self.time(of: content)
    write(7, number: seconds)
    write(8, number: microseconds)
    for pair in content.userMetadata { write(9, pair) }
    for pair in content.indexes { write(10, pair) }
    if content.isTombstone { write(11, number: 1) }
  }

  private mutating func write(_ field: UInt8, _ pair: Pair) {
    begin(field, Self.size(of: pair))
    write(1, pair.key)
    if let value = pair.value { write(2, value) }
  }

  private mutating func write(_ field: UInt8, _ value: Bytes) {
    begin(field, value.count)
    bytes.append(contentsOf: value)
  }

  private mutating func write(_ field: UInt8, number: UInt64) {
    bytes.append(field << 3)
    varint(number)
  }

  /// Field numbers up to 15 take one byte.
  private mutating func begin(_ field: UInt8, _ count: Int) {
    bytes.append(field << 3 | 2)
    varint(UInt64(count))
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  // MARK: Sizes

  private static func size(of content: Content, tag: Bytes, headOnly: Bool) -> Int {
    let (seconds, microseconds) = time(of: content)
    var size = headOnly ? 2 : Self.size(of: content.value)
    for part in [content.contentType, content.charset, content.contentEncoding, tag] {
      if let part { size += Self.size(of: part) }
    }
    size += 2 + varintSize(seconds) + varintSize(microseconds)
    for link in content.links { size += Self.size(ofPart: Self.size(of: link)) }
    for pair in content.userMetadata { size += Self.size(ofPart: Self.size(of: pair)) }
    for pair in content.indexes { size += Self.size(ofPart: Self.size(of: pair)) }
    return size + (content.isTombstone ? 2 : 0)
  }

  private static func size(of link: Link) -> Int {
    (link.bucket.map(size(of:)) ?? 0) + (link.key.map(size(of:)) ?? 0)
      + (link.tag.map(size(of:)) ?? 0)
  }

  private static func size(of pair: Pair) -> Int {
    size(of: pair.key) + (pair.value.map(size(of:)) ?? 0)
  }

  private static func size(of bytes: Bytes) -> Int { size(ofPart: bytes.count) }

  private static func size(ofPart count: Int) -> Int { 1 + varintSize(UInt64(count)) + count }

  private static func varintSize(_ value: UInt64) -> Int {
    value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7
  }

  private static func time(of content: Content) -> (seconds: UInt64, microseconds: UInt64) {
    let time = content.lastModified.microseconds
    return (UInt64(UInt32(truncatingIfNeeded: time / 1_000_000)), time % 1_000_000)
  }
}
