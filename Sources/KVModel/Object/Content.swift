public import KVBase

/// A link to another object, kept for clients that use it.
public struct Link: Hashable, Sendable {
  /// The linked bucket.
  public var bucket: Bytes?
  /// The linked key.
  public var key: Bytes?
  /// The kind of link.
  public var tag: Bytes?

  /// A link to `key` in `bucket`.
  public init(bucket: Bytes?, key: Bytes?, tag: Bytes?) {
    self.bucket = bucket
    self.key = key
    self.tag = tag
  }
}

/// One secondary index entry or user metadata pair.
///
/// A missing value and an empty one differ.
public struct Pair: Hashable, Comparable, Sendable {
  /// The index or metadata name.
  public var key: Bytes
  /// The term or metadata value.
  public var value: Bytes?

  /// The pair of `key` and `value`.
  public init(key: Bytes, value: Bytes?) {
    self.key = key
    self.value = value
  }

  /// The order of the values.
  public static func < (a: Pair, b: Pair) -> Bool {
    a.key == b.key
      ? (a.value ?? []).lexicographicallyPrecedes(b.value ?? [])
      : a.key.lexicographicallyPrecedes(b.key)
  }
}

/// What one write stored: a value and everything said about it, without its place in causal history.
public struct Content: Hashable, Sendable {
  /// The value; empty for a tombstone.
  public var value: Bytes
  /// The MIME type.
  public var contentType: Bytes?
  /// The character set.
  public var charset: Bytes?
  /// The content encoding.
  public var contentEncoding: Bytes?
  /// Links to other objects.
  public var links: [Link]
  /// User metadata, in the client's order.
  public var userMetadata: [Pair]
  /// Secondary index entries.
  public var indexes: [Pair]
  /// True for a tombstone: the record that the key was deleted.
  public var isTombstone: Bool
  /// An opaque tag that differs between writes; set by the coordinator.
  public var vtag: Bytes
  /// When the coordinator accepted the write, by its wall clock.
  public var lastModified: WallClock

  /// A content with the given value and, unless said otherwise, nothing else.
  public init(
    value: Bytes, contentType: Bytes? = nil, charset: Bytes? = nil, contentEncoding: Bytes? = nil,
    links: [Link] = [], userMetadata: [Pair] = [], indexes: [Pair] = [],
    isTombstone: Bool = false, vtag: Bytes = [],
    lastModified: WallClock = WallClock(microseconds: 0)
  ) {
    self.value = value
    self.contentType = contentType
    self.charset = charset
    self.contentEncoding = contentEncoding
    self.links = links
    self.userMetadata = userMetadata
    self.indexes = indexes
    self.isTombstone = isTombstone
    self.vtag = vtag
    self.lastModified = lastModified
  }

  /// A tombstone accepted at `time`.
  public static func tombstone(at time: WallClock) -> Content {
    Content(value: [], isTombstone: true, lastModified: time)
  }
}

/// One of possibly several concurrent contents of an object, with the event that wrote it.
public struct Sibling: Hashable, Sendable {
  /// The write's event.
  public var dot: Dot
  /// What it stored.
  public var content: Content

  /// The content that the event `dot` wrote.
  public init(dot: Dot, content: Content) {
    self.dot = dot
    self.content = content
  }
}
