import Foundation
import KVBase
import KVModel

extension RpbContent {
  /// The message for a content.
  ///
  /// - Parameters:
  ///   - sibling: the content and the event that wrote it; a missing tag is derived from the event.
  ///   - headOnly: true to leave the value empty.
  init(_ sibling: Sibling, headOnly: Bool) {
    self.init(sibling.content, headOnly: headOnly)
    let vtag = sibling.content.vtag
    self.vtag = Data(vtag.isEmpty ? Self.tag(of: sibling.dot) : vtag)
    let microseconds = sibling.content.lastModified.microseconds
    lastMod = UInt32(truncatingIfNeeded: microseconds / 1_000_000)
    lastModUsecs = UInt32(microseconds % 1_000_000)
  }

  /// The message for what a client wants stored: no tag and no time, which servers set.
  init(_ content: Content, headOnly: Bool = false) {
    value = headOnly ? Data() : Data(content.value)
    if let type = content.contentType { contentType = Data(type) }
    if let charset = content.charset { self.charset = Data(charset) }
    if let encoding = content.contentEncoding { contentEncoding = Data(encoding) }
    links = content.links.map(RpbLink.init)
    usermeta = content.userMetadata.map(RpbPair.init)
    indexes = content.indexes.map(RpbPair.init)
    if content.isTombstone { deleted = true }
  }

  static func tag(of dot: Dot) -> Bytes {
    var writer = ByteWriter(capacity: 16)
    dot.encode(into: &writer)
    let high = StableHash.hash(writer.bytes, seed: 1)
    let low = StableHash.hash(writer.bytes, seed: 2)
    writer = ByteWriter(capacity: 16)
    writer.write(fixed: high)
    writer.write(fixed: low)
    return Base62.text(writer.bytes)
  }
}

extension Content {
  /// What the message says, with indexes as they came.
  init(_ message: RpbContent) {
    self.init(
      value: Bytes(message.value),
      contentType: message.hasContentType ? Bytes(message.contentType) : nil,
      charset: message.hasCharset ? Bytes(message.charset) : nil,
      contentEncoding: message.hasContentEncoding ? Bytes(message.contentEncoding) : nil,
      links: message.links.map(Link.init), userMetadata: message.usermeta.map(Pair.init),
      indexes: message.indexes.map(Pair.init), isTombstone: message.deleted,
      vtag: Bytes(message.vtag),
      lastModified: WallClock(
        microseconds: UInt64(message.lastMod) * 1_000_000 + UInt64(message.lastModUsecs)))
  }
}

extension RpbLink {
  init(_ link: Link) {
    if let bucket = link.bucket { self.bucket = Data(bucket) }
    if let key = link.key { self.key = Data(key) }
    if let tag = link.tag { self.tag = Data(tag) }
  }
}

extension Link {
  init(_ message: RpbLink) {
    self.init(
      bucket: message.hasBucket ? Bytes(message.bucket) : nil,
      key: message.hasKey ? Bytes(message.key) : nil,
      tag: message.hasTag ? Bytes(message.tag) : nil)
  }
}

extension RpbPair {
  init(_ pair: Pair) {
    key = Data(pair.key)
    if let value = pair.value { self.value = Data(value) }
  }
}

extension Pair {
  init(_ message: RpbPair) {
    self.init(key: Bytes(message.key), value: message.hasValue ? Bytes(message.value) : nil)
  }
}
