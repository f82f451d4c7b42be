import KVBase

/// Where the separated values of a segment lie, by key: what garbage collection goes through.
///
/// ```
/// varint number of values | (key bytes | varint offset | varint byte count)*
/// ```
/// **On disk**: Docs/Formats.md, "Journal".
struct SegmentIndex {
  struct Value {
    var key: Bytes
    var offset: Int
    var byteCount: Int
  }

  var values: [Value] = []
  /// How many values there are, also when only some were kept.
  private(set) var valueCount = 0

  init() {}

  /// Nil when the payload does not follow the format; of more values than `limit` only some are kept.
  init?(decoding payload: RawBytes, limit: Int = .max) {
    var reader = RawReader(payload)
    guard let count = reader.count(atMost: payload.count / 3) else { return nil }
    valueCount = count
    values.reserveCapacity(min(count, limit))
    let stride = max(1, count / limit)
    for index in 0..<count {
      guard let keyCount = reader.count(atMost: StoreLimits.keyByteCount),
        let key = reader.raw(keyCount), let offset = reader.count(atMost: 1 << 40),
        let byteCount = reader.count(atMost: StoreLimits.valueByteCount)
      else { return nil }
      guard index % stride == 0 else { continue }
      values.append(Value(key: Bytes(key), offset: offset, byteCount: byteCount))
    }
    guard reader.remaining == 0 else { return nil }
  }

  /// The index of a segment: from its index record if it was sealed, else by reading it through.
  ///
  /// Of more values than `limit` only some, spread evenly, may be kept.
  init(of segment: Segment, limit: Int = .max) throws(StorageError) {
    let reader = SegmentReader(segment)
    if let index = try reader.storedIndex(limit: limit) {
      self = index
      return
    }
    var values: [Value] = []
    try reader.forEachRecord { (record) throws(StorageError) in
      guard record.header.type != .index else { return }
      try record.forEachOperation { (entry, offset) throws(StorageError) in
        guard entry.kind == .put else { return }
        values.append(
          Value(key: Bytes(entry.key), offset: offset, byteCount: entry.value.count))
      }
    }
    self.values = values
    valueCount = values.count
  }
}

/// Collects the index of the segment being written, in its encoding.
struct SegmentIndexBuilder: ~Copyable {
  private var entries = RawBuffer(capacity: 16)
  private(set) var valueCount = 0
  private(set) var valueByteCount = 0

  mutating func append(_ key: RawBytes, offset: Int, byteCount: Int) {
    entries.append(varint: UInt64(key.count))
    entries.append(key)
    entries.append(varint: UInt64(offset))
    entries.append(varint: UInt64(byteCount))
    valueCount += 1
    valueByteCount += byteCount
  }

  /// Appends the payload of the index record and frees the entries.
  mutating func finish(into buffer: inout RawBuffer) {
    buffer.append(varint: UInt64(valueCount))
    buffer.append(entries.bytes)
    entries.removeAll()
    entries.shrink(to: 16)
  }
}
