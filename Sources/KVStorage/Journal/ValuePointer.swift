import KVBase

/// Where a separated value lies in the journal, and the checksum it is verified with when read.
///
/// ```
/// varint segment number | varint offset | varint byte count | u32 CRC32C | [varint original byte count]
/// ```
/// Count and checksum are those of the value as it is stored; the last is there if it is compressed.
///
/// **On disk**: Docs/Formats.md, "Value pointer".
struct ValuePointer: Hashable {
  var segment: FileNumber
  var offset: Int
  var byteCount: Int
  var checksum: UInt32
  /// The length that the value had before it was compressed, 0 when it is not.
  var originalByteCount = 0

  static let maximumByteCount = 44

  /// The length of the value that a reader gets.
  var valueByteCount: Int { originalByteCount == 0 ? byteCount : originalByteCount }

  @inline(__always)
  func encode(into buffer: inout RawBuffer) {
    buffer.append(varint: segment.rawValue)
    buffer.append(varint: UInt64(offset))
    buffer.append(varint: UInt64(byteCount))
    buffer.append(fixed: checksum)
    if originalByteCount != 0 { buffer.append(varint: UInt64(originalByteCount)) }
  }

  init(
    segment: FileNumber, offset: Int, byteCount: Int, checksum: UInt32, originalByteCount: Int = 0
  ) {
    self.segment = segment
    self.offset = offset
    self.byteCount = byteCount
    self.checksum = checksum
    self.originalByteCount = originalByteCount
  }

  /// Nil when the bytes are not exactly one pointer.
  @inline(__always)
  init?(decoding bytes: RawBytes) {
    var reader = RawReader(bytes)
    guard let segment = reader.varint(), let offset = reader.count(atMost: 1 << 40),
      let count = reader.count(atMost: StoreLimits.valueByteCount),
      let checksum = reader.fixed(UInt32.self)
    else { return nil }
    self.init(
      segment: FileNumber(segment), offset: offset, byteCount: count, checksum: checksum)
    guard reader.remaining > 0 else { return }
    let largest = CompressedValue.largestByteCount(stored: count, head: 0)
    guard let original = reader.count(atMost: largest), original > 0, reader.remaining == 0
    else { return nil }
    originalByteCount = original
  }

  /// Throws unless the bytes, read from the segment at `path`, are the value as it is stored.
  @inline(__always)
  func verify(_ value: Bytes, _ path: String) throws(StorageError) {
    try value.withRaw { (value) throws(StorageError) in try verify(value, path) }
  }

  /// Throws unless the bytes, read from the segment at `path`, are the value as it is stored.
  @inline(__always)
  func verify(_ stored: RawBytes, _ path: String) throws(StorageError) {
    let found = CRC32C.checksum(stored)
    guard found == checksum else {
      throw StorageError(
        .checksumMismatch, "damaged value", path: path, offset: offset, expected: checksum,
        found: found)
    }
  }
}

extension EntryView {
  /// The entry that refers to this one's value, which lies at `offset` of the segment; its memory is
  /// the buffer's.
  @inline(__always)
  func separated(
    in segment: FileNumber, at offset: Int, _ buffer: inout RawBuffer
  ) -> EntryView {
    buffer.removeAll()
    buffer.append(value.slice(0, headByteCount))
    ValuePointer(
      segment: segment, offset: offset, byteCount: value.count,
      checksum: CRC32C.checksum(value), originalByteCount: originalByteCount
    ).encode(into: &buffer)
    var reference = self
    reference.kind = .reference
    reference.value = buffer.bytes
    return reference
  }

  /// The pointer of a reference; nil when the bytes after the head are none.
  @inline(__always)
  var pointer: ValuePointer? {
    guard kind == .reference, headByteCount <= value.count else { return nil }
    return ValuePointer(decoding: value.slice(headByteCount, value.count &- headByteCount))
  }
}
