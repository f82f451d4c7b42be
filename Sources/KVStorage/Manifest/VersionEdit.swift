import KVBase

/// What the manifest records of one SSTable.
struct TableMetadata: Hashable {
  var number: FileNumber
  var byteCount: Int
  /// The CRC32C of the whole file.
  var checksum: UInt32
  var properties: TableFormat.Properties
}

/// One change of the set of live files, or, as the first record of a manifest, all of it.
///
/// **On disk**: Docs/Formats.md, "Manifest". The tags are persisted.
struct VersionEdit: Hashable {
  var nextFileNumber: UInt64?
  /// Every operation up to this one is in an SSTable.
  var flushedSequence: SequenceNumber?
  /// Journal segments with a smaller number are not needed any more.
  var journalNumber: FileNumber?
  var added: [AddedTable] = []
  var removed: [RemovedTable] = []
  var addedSegments: [SegmentMetadata] = []
  var removedSegments: [FileNumber] = []
  var addedRanges: [RangeMark] = []
  var removedRanges: [RangeMark.ID] = []
  /// The store was closed in order after this edit.
  var isCleanShutdown = false

  struct AddedTable: Hashable {
    var level: Int
    var table: TableMetadata
  }

  struct RemovedTable: Hashable {
    var level: Int
    var number: FileNumber
  }

  private enum Tag: UInt8 {
    case nextFileNumber = 1
    case flushedSequence = 2
    case journalNumber = 3
    case addTable = 4
    case removeTable = 5
    case cleanShutdown = 6
    case addSegment = 7
    case removeSegment = 8
    case addRange = 9
    case removeRange = 10
  }

  init() {}

  func encode() -> Bytes {
    var writer = ByteWriter(capacity: 64 + added.count * 128)
    func write(_ tag: Tag, _ value: UInt64?) {
      guard let value else { return }
      writer.write(tag.rawValue)
      writer.write(varint: value)
    }
    write(.nextFileNumber, nextFileNumber)
    write(.flushedSequence, flushedSequence?.rawValue)
    write(.journalNumber, journalNumber?.rawValue)
    for entry in removed {
      writer.write(Tag.removeTable.rawValue)
      writer.write(UInt8(entry.level))
      writer.write(varint: entry.number.rawValue)
    }
    for entry in added {
      writer.write(Tag.addTable.rawValue)
      writer.write(UInt8(entry.level))
      writer.write(varint: entry.table.number.rawValue)
      writer.write(count: entry.table.byteCount)
      writer.write(fixed: entry.table.checksum)
      entry.table.properties.encode(into: &writer)
    }
    encodeSegmentsAndRanges(into: &writer)
    if isCleanShutdown { writer.write(Tag.cleanShutdown.rawValue) }
    return writer.bytes
  }

  private func encodeSegmentsAndRanges(into writer: inout ByteWriter) {
    for number in removedSegments {
      writer.write(Tag.removeSegment.rawValue)
      writer.write(varint: number.rawValue)
    }
    for segment in addedSegments {
      writer.write(Tag.addSegment.rawValue)
      writer.write(segment.kind.rawValue)
      writer.write(varint: segment.number.rawValue)
      writer.write(count: segment.byteCount)
      writer.write(count: segment.valueCount)
      writer.write(count: segment.valueByteCount)
    }
    for id in removedRanges {
      writer.write(Tag.removeRange.rawValue)
      writer.write(varint: id.rawValue)
    }
    for range in addedRanges {
      writer.write(Tag.addRange.rawValue)
      range.encode(into: &writer)
    }
  }

  init(decoding bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    while !reader.isAtEnd {
      switch Tag(rawValue: try reader.readByte()) {
      case .nextFileNumber: nextFileNumber = try reader.readVarint()
      case .flushedSequence: flushedSequence = SequenceNumber(try reader.readVarint())
      case .journalNumber: journalNumber = FileNumber(try reader.readVarint())
      case .removeTable:
        let level = try VersionEdit.readLevel(&reader)
        removed.append(RemovedTable(level: level, number: FileNumber(try reader.readVarint())))
      case .addTable: added.append(try VersionEdit.readTable(&reader))
      case .cleanShutdown: isCleanShutdown = true
      case .addSegment: addedSegments.append(try VersionEdit.readSegment(&reader))
      case .removeSegment: removedSegments.append(FileNumber(try reader.readVarint()))
      case .addRange: addedRanges.append(try RangeMark(decoding: &reader))
      case .removeRange: removedRanges.append(RangeMark.ID(rawValue: try reader.readVarint()))
      case nil: throw reader.failure(expected: "a tag of version 2")
      }
    }
  }

  private static func readSegment(
    _ reader: inout ByteReader
  ) throws(DecodingFailure) -> SegmentMetadata {
    guard let kind = Segment.Kind(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a kind of segment")
    }
    return SegmentMetadata(
      number: FileNumber(try reader.readVarint()), kind: kind,
      byteCount: Int(clamping: try reader.readVarint()),
      valueCount: Int(clamping: try reader.readVarint()),
      valueByteCount: Int(clamping: try reader.readVarint()))
  }

  private static func readTable(
    _ reader: inout ByteReader
  ) throws(DecodingFailure) -> AddedTable {
    let level = try readLevel(&reader)
    let number = FileNumber(try reader.readVarint())
    let byteCount = Int(clamping: try reader.readVarint())
    let checksum = try reader.readFixed(UInt32.self)
    let properties = try TableFormat.Properties(decoding: &reader)
    return AddedTable(
      level: level,
      table: TableMetadata(
        number: number, byteCount: byteCount, checksum: checksum, properties: properties))
  }

  private static func readLevel(_ reader: inout ByteReader) throws(DecodingFailure) -> Int {
    let level = Int(try reader.readByte())
    guard level < Version.levelCount else {
      throw reader.failure(expected: "a level below \(Version.levelCount), not \(level)")
    }
    return level
  }
}
