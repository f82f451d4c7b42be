public import KVBase

/// A bucket, which is a name within a bucket type.
///
/// The type `default` holds the untyped buckets.
public struct BucketID: Hashable, Comparable, Sendable, ExpressibleByStringLiteral {
  /// The type of untyped buckets.
  public static let defaultType = Bytes("default".utf8)

  /// The bucket type's name.
  public var type: Bytes
  /// The bucket's name within its type.
  public var name: Bytes

  /// The bucket `name` of `type`.
  public init(type: Bytes = BucketID.defaultType, name: Bytes) {
    self.type = type
    self.name = name
  }

  /// The bucket `name` of `type`, both as UTF-8.
  public init(type: String = "default", _ name: String) {
    self.init(type: Bytes(type.utf8), name: Bytes(name.utf8))
  }

  /// The untyped bucket of this name.
  public init(stringLiteral name: String) { self.init(name) }

  /// True for a bucket of the type `default`.
  public var isUntyped: Bool { type == Self.defaultType }

  /// The order of the values.
  public static func < (a: BucketID, b: BucketID) -> Bool {
    a.type == b.type
      ? a.name.lexicographicallyPrecedes(b.name) : a.type.lexicographicallyPrecedes(b.type)
  }
}

/// The full name of an object: bucket type, bucket and key, all arbitrary non-empty bytes.
public struct ObjectKey: Hashable, Comparable, Sendable {
  /// The bucket.
  public var bucket: BucketID
  /// The key within the bucket.
  public var key: Bytes

  /// The object `key` of `bucket`.
  public init(bucket: BucketID, key: Bytes) {
    self.bucket = bucket
    self.key = key
  }

  /// The object `key` of the bucket `bucket` of `type`, all as UTF-8.
  public init(type: String = "default", bucket: String, key: String) {
    self.init(
      bucket: BucketID(type: Bytes(type.utf8), name: Bytes(bucket.utf8)), key: Bytes(key.utf8))
  }

  /// The object `key` of `bucket`, as UTF-8.
  public init(_ key: String, in bucket: BucketID) {
    self.init(bucket: bucket, key: Bytes(key.utf8))
  }

  /// The order of the values.
  public static func < (a: ObjectKey, b: ObjectKey) -> Bool {
    a.bucket == b.bucket ? a.key.lexicographicallyPrecedes(b.key) : a.bucket < b.bucket
  }

  /// Appends the three names, each with its length.
  public func encode(into writer: inout ByteWriter) {
    writer.write(bucket.type)
    writer.write(bucket.name)
    writer.write(key)
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let type = try reader.readBytes()
    let name = try reader.readBytes()
    self.init(bucket: BucketID(type: type, name: name), key: try reader.readBytes())
  }

  /// The names as an operator reads them in a log.
  public var text: String {
    [bucket.type, bucket.name, key].map { String(decoding: $0.prefix(100), as: UTF8.self) }
      .joined(separator: "/")
  }
}
