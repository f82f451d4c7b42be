import KVBase

/// Reads one journal segment back after a crash.
///
/// A record that is cut or does not match its checksum ends the segment. What that means is for
/// ``Recovery`` to say: writes that were never promised, or damage to durable bytes.
struct JournalReader {
  /// What a segment held.
  struct Contents {
    var recordCount = 0
    var operationCount = 0
    var lastSequence: SequenceNumber
    /// The largest durable sequence that a record vouches for.
    var durableSequence: UInt64 = 0
    /// Where the good part of the segment ends.
    var endOffset = 0
    /// Why it ends there; nil when the segment was sealed, or ends with a whole record.
    var damage: StorageError?
  }

  let path: String

  /// A segment's header and the checksum that its records' continue from; nil when it is cut.
  ///
  /// A header that does not match its checksum is torn, or damaged. It says nothing that is not known
  /// from the segment before, so `expected` stands in for it: the records decide.
  func header(
    _ bytes: Bytes, expecting expected: JournalFormat.Header
  ) throws(StorageError) -> (header: JournalFormat.Header, seed: UInt32)? {
    guard bytes.count >= JournalFormat.headerByteCount else { return nil }
    do throws(StorageError) {
      return (try header(bytes), JournalFormat.seed(bytes[...]))
    } catch  where error.code == .checksumMismatch {
      return (expected, JournalFormat.seed(expected.encode()[...]))
    }
  }

  /// The header of a complete segment.
  func header(_ bytes: Bytes) throws(StorageError) -> JournalFormat.Header {
    guard bytes.count >= JournalFormat.headerByteCount else {
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

  /// Calls `body` for each operation with the offset of its value, in order, up to the end of the good
  /// part, and checks that no sequence number is missing.
  func read(
    _ bytes: Bytes, _ header: JournalFormat.Header, seed: UInt32,
    _ body: (EntryView, Int) throws(StorageError) -> Void
  ) throws(StorageError) -> Contents {
    var contents = Contents(
      lastSequence: SequenceNumber(max(1, header.firstSequence.rawValue) - 1))
    contents.endOffset = JournalFormat.headerByteCount
    try bytes.withRaw { (raw) throws(StorageError) in
      while contents.endOffset < raw.count {
        let record: JournalRecord
        do throws(StorageError) {
          record = try JournalRecord(raw, at: contents.endOffset, seed: seed, path: path)
        } catch {
          let rest = RawBytes(rebasing: raw[contents.endOffset...])
          if !JournalFormat.isEnd(rest, seed: seed) { contents.damage = error }
          return
        }
        contents.durableSequence = max(contents.durableSequence, record.header.durableSequence)
        if record.header.type == .batch { try replay(record, &contents, body) }
        contents.endOffset = record.end
      }
    }
    return contents
  }

  private func replay(
    _ record: JournalRecord, _ contents: inout Contents,
    _ body: (EntryView, Int) throws(StorageError) -> Void
  ) throws(StorageError) {
    guard record.header.firstSequence == contents.lastSequence.rawValue + 1 else {
      throw StorageError(
        .sequenceGap,
        "a record begins with \(record.header.firstSequence) after \(contents.lastSequence)",
        path: path, offset: record.offset)
    }
    let count = try record.forEachOperation(body)
    contents.recordCount += 1
    contents.operationCount += count
    contents.lastSequence = contents.lastSequence.advanced(by: count)
  }

  /// The largest durable sequence that any good record of the segment after `offset` vouches for.
  ///
  /// Every position is tried, since the damage may be to a length. The work is bounded: bytes that
  /// look like headers by accident are rare, and a forged flood of them exhausts the budget.
  func durableSequence(_ bytes: Bytes, seed: UInt32, from offset: Int) -> UInt64 {
    bytes.withRaw { raw in
      var budget = 8 * raw.count
      var position = max(offset, JournalFormat.headerByteCount)
      var durable: UInt64 = 0
      while position + JournalFormat.recordHeaderByteCount <= raw.count, budget > 0 {
        if let record = JournalFormat.RecordHeader(raw, at: position) {
          budget -= record.byteCount
          let bytes = raw.slice(position, record.byteCount)
          if JournalFormat.checksum(bytes, seed: seed) == record.checksum {
            durable = max(durable, record.durableSequence)
            position += record.byteCount
            continue
          }
        }
        position += 1
      }
      return durable
    }
  }
}

extension UnsafeRawBufferPointer {
  /// True when every byte is zero.
  var isAllZero: Bool {
    var offset = 0
    while offset + 8 <= count {
      guard loadUnaligned(fromByteOffset: offset, as: UInt64.self) == 0 else { return false }
      offset += 8
    }
    while offset < count {
      guard self[offset] == 0 else { return false }
      offset += 1
    }
    return true
  }
}
