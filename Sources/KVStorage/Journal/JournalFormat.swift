import KVBase

/// The layout of a journal segment.
///
/// ```
/// header (32):  magic 8 | version 4 | segment number 8 | first sequence 8 | CRC32C 4
/// record:       payload length 4 | type 1 | first sequence 8 | durable offset 8 | CRC32C 4 | payload
/// ```
/// The checksum of a record continues from the header's, so a record is good only in its own
/// segment. The durable offset is how much of the segment was synced when the record was appended:
/// damage before it cannot be a torn write.
///
/// **On disk**: Docs/Formats.md, "Journal".
enum JournalFormat {
  static let magic = Bytes("SPINEJNL".utf8)
  static let version: UInt32 = 1
  static let headerByteCount = 32
  static let recordHeaderByteCount = 25
  static let checksummedByteCount = 21
  /// The only record type so far; persisted.
  static let batchType: UInt8 = 1
  static let maximumPayloadByteCount = StoreLimits.batchByteCount + 16

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

  /// The header of one record.
  struct RecordHeader {
    var payloadByteCount: Int
    var firstSequence: UInt64
    var durableOffset: Int
    var checksum: UInt32

    /// Nil when the bytes at the offset cannot be a record that ends within `bytes`.
    init?(_ bytes: RawBytes, at offset: Int) {
      var reader = RawReader(bytes, at: offset)
      guard let count = reader.fixed(UInt32.self), let type = reader.byte(),
        let sequence = reader.fixed(UInt64.self), let durable = reader.fixed(UInt64.self),
        let checksum = reader.fixed(UInt32.self),
        type == batchType, Int(count) <= maximumPayloadByteCount,
        Int(count) <= reader.remaining, durable < 1 << 40, sequence > 0,
        sequence <= SequenceNumber.maximum.rawValue
      else { return nil }
      payloadByteCount = Int(count)
      firstSequence = sequence
      durableOffset = Int(durable)
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
}
