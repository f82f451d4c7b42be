import KVBase

extension ObjectKey {
  /// Where the object lies in the hash space: the highest 32 of the 160 bits of its hash.
  ///
  /// A ring of 2^k partitions places it by the highest k of them. Costs one SHA-1 of the names.
  ///
  /// **Source**: reference section 4.1; Riak places the same.
  public var placement: UInt32 {
    SHA1.digest(placementBytes).prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// The bytes that are hashed: Erlang's external form of `{Bucket, Key}`.
  private var placementBytes: Bytes {
    var writer = ByteWriter(capacity: 24 + bucket.name.count + key.count)
    func binary(_ bytes: Bytes) {
      writer.write(UInt8(109))
      writer.write(fixed: UInt32(bytes.count))
      writer.write(raw: bytes)
    }
    writer.write(raw: [131, 104, 2])
    if !bucket.isUntyped {
      writer.write(raw: [104, 2])
      binary(bucket.type)
    }
    binary(bucket.name)
    binary(key)
    return writer.bytes
  }
}
