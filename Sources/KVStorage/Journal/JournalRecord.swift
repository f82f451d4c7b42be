import KVBase

/// One record of a segment in memory, its checksum verified.
struct JournalRecord {
  let header: JournalFormat.RecordHeader
  /// The offset of the record in its file.
  let offset: Int
  let payload: RawBytes
  let path: String

  /// The record at an offset; throws when the bytes there are none, or damaged.
  init(_ raw: RawBytes, at offset: Int, seed: UInt32, path: String) throws(StorageError) {
    guard let header = JournalFormat.RecordHeader(raw, at: offset) else {
      throw StorageError(.malformed, "damaged record header", path: path, offset: offset)
    }
    let found = JournalFormat.checksum(raw.slice(offset, header.byteCount), seed: seed)
    guard found == header.checksum else {
      throw StorageError(
        .checksumMismatch, "damaged record", path: path, offset: offset, expected: header.checksum,
        found: found)
    }
    self.header = header
    self.offset = offset
    self.path = path
    payload = raw.slice(offset + JournalFormat.recordHeaderByteCount, header.payloadByteCount)
  }

  var end: Int { offset + header.byteCount }

  /// Calls `body` for each operation of a batch with the offset of its value in the file; returns how
  /// many there were.
  @discardableResult
  func forEachOperation(
    _ body: (EntryView, Int) throws(StorageError) -> Void
  ) throws(StorageError) -> Int {
    let malformed = StorageError(.malformed, "damaged batch", path: path, offset: offset)
    var reader = RawReader(payload)
    // An operation takes at least two bytes.
    guard let count = reader.count(atMost: payload.count / 2), count > 0 else { throw malformed }
    let start = offset + JournalFormat.recordHeaderByteCount + reader.position
    let operations = RawBytes(rebasing: payload[reader.position...])
    var batch = BatchReader(operations)
    for index in 0..<count {
      guard let entry = batch.next(sequence: header.firstSequence + UInt64(index)) else {
        throw malformed
      }
      try body(entry, start + entry.value.offset(in: operations))
    }
    guard batch.isAtEnd else { throw malformed }
    return count
  }
}

extension UnsafeRawBufferPointer {
  /// How far into `whole`, of which it is a part, this memory begins.
  @inline(__always)
  func offset(in whole: RawBytes) -> Int {
    guard let base = baseAddress, let start = whole.baseAddress else { return 0 }
    return base - start
  }
}
