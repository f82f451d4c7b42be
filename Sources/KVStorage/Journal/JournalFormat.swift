import KVBase

/// The layout of a journal segment.
///
/// ```
/// header (32):  magic 8 | version 4 | segment number 8 | first sequence 8 | CRC32C 4
/// record:       payload length 4 | type 1 | first sequence 8 | durable sequence 8 | CRC32C 4 | payload
/// sealed:       header  record*  index record  footer
/// footer (24):  offset of the index record 8 | reserved 4 | CRC32C 4 | magic 8
/// ```
/// The checksums of records and footer continue from the header's, so they are good only in their own
/// segment. The durable sequence is the last operation known to be on disk when the record was
/// appended: damage to an operation up to it cannot be a torn write. An unsealed segment may end in
/// zeros that were written ahead.
///
/// **On disk**: Docs/Formats.md, "Journal".
enum JournalFormat {
  static let magic = Bytes("SPINEJNL".utf8)
  static let footerMagic = Bytes("SPINEJIX".utf8)
  static let version: UInt32 = 2
  static let headerByteCount = 32
  static let recordHeaderByteCount = 25
  static let checksummedByteCount = 21
  static let footerByteCount = 24
  static let maximumPayloadByteCount = StoreLimits.batchByteCount + 16

  /// What a record holds.
  ///
  /// The raw values are persisted.
  enum RecordType: UInt8 {
    /// A batch of operations, replayed after a crash.
    case batch = 1
    /// The keys and places of the segment's separated values; see ``SegmentIndex``.
    case index = 2
    /// Values that garbage collection moved here, as a batch of puts; never replayed.
    case values = 3
  }

  struct Header: Hashable {
    var number: FileNumber
    var firstSequence: SequenceNumber

    func encode() -> Bytes {
      var writer = ByteWriter(capacity: headerByteCount)
      writer.write(raw: magic)
      writer.write(fixed: version)
      writer.write(fixed: number.rawValue)
      writer.write(fixed: firstSequence.rawValue)
      writer.write(fixed: CRC32C.checksum(writer.bytes))
      return writer.bytes
    }
  }

  /// The checksum that those of a segment's records continue from.
  static func seed(_ header: ArraySlice<UInt8>) -> UInt32 {
    CRC32C.checksum(header.prefix(headerByteCount - 4))
  }

  /// The header of one record.
  struct RecordHeader {
    var payloadByteCount: Int
    var type: RecordType
    var firstSequence: UInt64
    var durableSequence: UInt64
    var checksum: UInt32

    /// Nil when the bytes at the offset cannot be a record that ends within `bytes`.
    init?(_ bytes: RawBytes, at offset: Int) {
      var reader = RawReader(bytes, at: offset)
      guard let count = reader.fixed(UInt32.self), let tag = reader.byte(),
        let type = RecordType(rawValue: tag),
        let sequence = reader.fixed(UInt64.self), let durable = reader.fixed(UInt64.self),
        let checksum = reader.fixed(UInt32.self),
        Int(count) <= maximumPayloadByteCount, Int(count) <= reader.remaining, durable < sequence,
        sequence <= SequenceNumber.maximum.rawValue
      else { return nil }
      payloadByteCount = Int(count)
      self.type = type
      firstSequence = sequence
      durableSequence = durable
      self.checksum = checksum
    }

    var byteCount: Int { recordHeaderByteCount + payloadByteCount }
  }

  /// The checksum of the record at an offset, given the checksum of the segment's header.
  @inline(__always)
  static func checksum(_ record: RawBytes, seed: UInt32) -> UInt32 {
    let head = CRC32C.checksum(record.slice(0, checksummedByteCount), continuing: seed)
    let payload = record.slice(
      recordHeaderByteCount, record.count &- recordHeaderByteCount)
    return CRC32C.checksum(payload, continuing: head)
  }

  static func footer(indexOffset: Int, seed: UInt32) -> Bytes {
    var writer = ByteWriter(capacity: footerByteCount)
    writer.write(fixed: UInt64(indexOffset))
    writer.write(fixed: UInt32(0))
    writer.write(fixed: CRC32C.checksum(writer.bytes, continuing: seed))
    writer.write(raw: footerMagic)
    return writer.bytes
  }

  /// True when the rest of a segment is no record by intention: a footer, or zeros written ahead.
  static func isEnd(_ rest: RawBytes, seed: UInt32) -> Bool {
    rest.isAllZero || indexOffset(footer: rest, seed: seed) != nil
  }

  /// The offset of the index record, if `bytes` are a good footer.
  static func indexOffset(footer bytes: RawBytes, seed: UInt32) -> Int? {
    guard bytes.count == footerByteCount else { return nil }
    var reader = RawReader(bytes)
    guard let offset = reader.fixed(UInt64.self), reader.fixed(UInt32.self) == 0,
      let expected = reader.fixed(UInt32.self),
      expected == CRC32C.checksum(bytes.slice(0, 12), continuing: seed),
      Bytes(bytes.suffix(8)) == footerMagic
    else { return nil }
    return Int(clamping: offset)
  }
}
