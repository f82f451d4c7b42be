import KVBase

/// Reads one journal segment back after a crash.
///
/// A record that is cut or does not match its checksum ends the segment. What that means depends on
/// where it is: in the last segment, with nothing after it that was synced later, it is the torn
/// tail of writes nobody was promised; anywhere else it is damage to durable bytes, and an error.
struct JournalReader {
  /// What a segment held.
  struct Contents {
    var recordCount = 0
    var operationCount = 0
    /// Bytes after the last good record that are given up.
    var tornByteCount = 0
    var lastSequence: SequenceNumber
  }

  let path: String
  let isLast: Bool

  /// The header, or nil when the last segment was torn before its header was durable.
  func header(_ bytes: Bytes) throws(StorageError) -> JournalFormat.Header? {
    guard bytes.count >= JournalFormat.headerByteCount else {
      if isLast { return nil }
      throw StorageError(.malformed, "the segment's header is cut", path: path, offset: 0)
    }
    let headerBytes = bytes[..<JournalFormat.headerByteCount]
    let found = CRC32C.checksum(headerBytes.dropLast(4))
    var reader = ByteReader(headerBytes)
    do {
      let magic = try reader.readRaw(8)
      let version = try reader.readFixed(UInt32.self)
      let number = try reader.readFixed(UInt64.self)
      let first = try reader.readFixed(UInt64.self)
      let expected = try reader.readFixed(UInt32.self)
      guard expected == found else {
        // The header is durable before the first record is written.
        if isLast, bytes.count == JournalFormat.headerByteCount { return nil }
        throw StorageError(
          .checksumMismatch, "damaged segment header", path: path, offset: 0, expected: expected,
          found: found)
      }
      guard magic == JournalFormat.magic else {
        throw StorageError(.malformed, "not a journal segment", path: path, offset: 0)
      }
      guard version == JournalFormat.version else {
        throw StorageError(.unsupportedVersion, "journal version \(version)", path: path)
      }
      return JournalFormat.Header(
        number: FileNumber(number), firstSequence: SequenceNumber(first))
    } catch let error as StorageError { throw error } catch {
      throw StorageError(.malformed, "\(error)", path: path, offset: 0)
    }
  }

  /// Calls `body` for each operation, in order, and checks that no sequence number is missing.
  func read(
    _ bytes: Bytes, _ header: JournalFormat.Header,
    _ body: (EntryView) throws(StorageError) -> Void
  ) throws(StorageError) -> Contents {
    let seed = CRC32C.checksum(bytes[..<(JournalFormat.headerByteCount - 4)])
    return try bytes.withRaw { (raw) throws(StorageError) in
      var contents = Contents(
        lastSequence: SequenceNumber(max(1, header.firstSequence.rawValue) - 1))
      var offset = JournalFormat.headerByteCount
      while offset < raw.count {
        guard let record = JournalFormat.RecordHeader(raw, at: offset) else {
          let error = StorageError(
            .malformed, "damaged record header", path: path, offset: offset)
          contents.tornByteCount = try tornByteCount(raw, offset, seed, error)
          break
        }
        let found = JournalFormat.checksum(raw.slice(offset, record.byteCount), seed: seed)
        guard found == record.checksum else {
          let error = StorageError(
            .checksumMismatch, "damaged record", path: path, offset: offset,
            expected: record.checksum, found: found)
          contents.tornByteCount = try tornByteCount(raw, offset, seed, error)
          break
        }
        try replay(record, raw, offset, &contents, body)
        offset += record.byteCount
      }
      return contents
    }
  }

  private func replay(
    _ record: JournalFormat.RecordHeader, _ raw: RawBytes, _ offset: Int,
    _ contents: inout Contents, _ body: (EntryView) throws(StorageError) -> Void
  ) throws(StorageError) {
    guard record.firstSequence == contents.lastSequence.rawValue + 1 else {
      throw StorageError(
        .sequenceGap,
        "a record begins with \(record.firstSequence) after \(contents.lastSequence)",
        path: path, offset: offset)
    }
    let malformed = StorageError(.malformed, "damaged batch", path: path, offset: offset)
    let payloadOffset = offset + JournalFormat.recordHeaderByteCount
    var reader = RawReader(raw.slice(payloadOffset, record.payloadByteCount))
    // An operation takes at least two bytes.
    guard let count = reader.count(atMost: record.payloadByteCount / 2) else { throw malformed }
    var batch = BatchReader(RawBytes(rebasing: reader.bytes[reader.position...]))
    for index in 0..<count {
      guard let entry = batch.next(sequence: record.firstSequence + UInt64(index)) else {
        throw malformed
      }
      try body(entry)
    }
    guard batch.isAtEnd, count > 0 else { throw malformed }
    contents.recordCount += 1
    contents.operationCount += count
    contents.lastSequence = contents.lastSequence.advanced(by: count)
  }

  /// The length of a torn tail that begins at `offset`, or `error` when it cannot be one.
  private func tornByteCount(
    _ raw: RawBytes, _ offset: Int, _ seed: UInt32, _ error: StorageError
  ) throws(StorageError) -> Int {
    guard isLast, !laterRecordVouches(raw, offset, seed) else { throw error }
    return raw.count - offset
  }

  /// True when a good record after `offset` was appended when `offset` was already durable.
  ///
  /// Every position is tried, since the damage may be to a length. The work is bounded: bytes that
  /// look like headers by accident are rare, and a forged flood of them exhausts the budget.
  private func laterRecordVouches(_ raw: RawBytes, _ offset: Int, _ seed: UInt32) -> Bool {
    var budget = 8 * raw.count
    var position = offset + 1
    while position + JournalFormat.recordHeaderByteCount < raw.count, budget > 0 {
      if let record = JournalFormat.RecordHeader(raw, at: position),
        record.durableOffset > offset
      {
        budget -= record.byteCount
        let bytes = raw.slice(position, record.byteCount)
        if JournalFormat.checksum(bytes, seed: seed) == record.checksum { return true }
      }
      position += 1
    }
    return false
  }
}
