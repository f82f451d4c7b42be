import KVBase

/// Replays the journal into SSTables of level 0 after a crash.
///
/// Nothing durable refers to the tables yet: a crash in here leaves the store as it was.
struct JournalReplay {
  /// What the replay adds to the ledger.
  struct Result {
    var tables: [TableMetadata] = []
    var segments: [Segment] = []
    var ranges: [RangeMark] = []
    var last: SequenceNumber
  }

  /// A segment of which values stay in use.
  private struct Adopted {
    var segment: Segment
    var header: JournalFormat.Header
    var isHeaderGood: Bool
    var isSealed: Bool
    var last: UInt64
  }

  private let ledger: Ledger
  private let order: JournalOrder
  private var result: Result
  private var adopted: [Adopted] = []
  /// The last operation that is known to be durable.
  private var durable: UInt64
  private var memtable = Memtable()

  init(_ recovery: Recovery, _ ledger: Ledger) throws(StorageError) {
    self.ledger = ledger
    order = JournalOrder(
      directory: ledger.journalDirectory, fileSystem: ledger.fileSystem,
      numbers: try recovery.segmentNumbers(.journal).filter { !($0 < ledger.journalNumber) })
    result = Result(last: ledger.flushedSequence)
    durable = ledger.flushedSequence.rawValue
  }

  /// Replays all segments and says what they held.
  ///
  /// What follows the first torn record was never promised, so it is given up; see
  /// ``JournalOrder``.
  mutating func run(_ report: inout OpenReport) throws(StorageError) -> Result {
    for (index, number) in order.numbers.enumerated() {
      let path = order.path(index)
      let bytes = try ledger.fileSystem.readAll(path)
      let torn = try replay(bytes, number, index, path, &report)
      guard let torn else { continue }
      report.tornJournalByteCount += torn
      for later in (index + 1)..<order.numbers.count {
        report.tornJournalByteCount += try ledger.fileSystem.size(order.path(later))
      }
      break
    }
    try flush()
    try makeDurable()
    return result
  }

  /// Makes the segments durable that may not be, before the manifest names them.
  ///
  /// A process that ended may have left its last writes to the kernel: a sync will do, where the file
  /// system can open a file for it. Records that say what was durable do not speak of index and footer,
  /// which the manifest counts too. And a header may be lost although records after it are not: then
  /// the good part is written anew.
  private func makeDurable() throws(StorageError) {
    let files = ledger.fileSystem
    for adopted in adopted
    where adopted.isSealed || adopted.last > durable || !adopted.isHeaderGood {
      let segment = adopted.segment
      if adopted.isHeaderGood, let updatable = files as? any UpdatableFileSystem {
        try updatable.openForUpdate(segment.path).sync()
        continue
      }
      let bytes = try files.readAll(segment.path)
      let records = bytes[JournalFormat.headerByteCount..<segment.metadata.byteCount]
      try files.replaceFile(segment.path, contents: adopted.header.encode() + records)
    }
    if !adopted.isEmpty { try files.syncDirectory(order.directory) }
  }

  /// Replays one segment; returns how many of its bytes are torn, nil when it is whole.
  private mutating func replay(
    _ bytes: Bytes, _ number: FileNumber, _ index: Int, _ path: String, _ report: inout OpenReport
  ) throws(StorageError) -> Int? {
    let reader = JournalReader(path: path)
    guard
      let (header, seed) = try reader.header(
        bytes, expecting: order.expectedHeader(index, after: result.last))
    else {
      let error = StorageError(.malformed, "the segment's header is cut", path: path, offset: 0)
      try requireTorn(error, index, bytes, seed: 0, from: 0)
      return bytes.count
    }
    guard try follows(header, number, index, bytes, seed, path) else { return bytes.count }
    var values = (count: 0, byteCount: 0)
    let contents = try reader.read(bytes, header, seed: seed) {
      (entry, offset) throws(StorageError) in
      try apply(entry, number, offset, &values)
    }
    result.last = contents.lastSequence
    durable = max(durable, contents.durableSequence)
    report.segmentsReplayed += contents.recordCount > 0 ? 1 : 0
    report.recordsReplayed += contents.recordCount
    report.operationsReplayed += contents.operationCount
    if values.count > 0 {
      let isSealed = contents.damage == nil
      let metadata = SegmentMetadata(
        number: number, kind: .journal, byteCount: isSealed ? bytes.count : contents.endOffset,
        valueCount: values.count, valueByteCount: values.byteCount)
      let segment = Segment(metadata, directory: order.directory, fileSystem: ledger.fileSystem)
      result.segments.append(segment)
      adopted.append(
        Adopted(
          segment: segment, header: header,
          isHeaderGood: bytes.starts(with: header.encode()), isSealed: isSealed,
          last: contents.lastSequence.rawValue))
    }
    guard let damage = contents.damage, try !order.isFollowed(index, after: result.last) else {
      return nil
    }
    try requireTorn(damage, index, bytes, seed: seed, from: contents.endOffset)
    return bytes.count - contents.endOffset
  }

  /// False when the end of the segment before is lost, and may be: it was not synced.
  private func follows(
    _ header: JournalFormat.Header, _ number: FileNumber, _ index: Int, _ bytes: Bytes,
    _ seed: UInt32, _ path: String
  ) throws(StorageError) -> Bool {
    guard header.number == number else {
      throw StorageError(
        .malformed, "the segment says it is number \(header.number.rawValue)", path: path,
        offset: 0)
    }
    if header.firstSequence == result.last.advanced(by: 1) { return true }
    let gap = StorageError(
      .sequenceGap,
      "the segment begins with \(header.firstSequence), the store ends with \(result.last)",
      path: path, offset: 0)
    guard index > 0, header.firstSequence > result.last else { throw gap }
    try requireTorn(gap, index, bytes, seed: seed, from: 0)
    return false
  }

  /// Throws the error unless it can be a torn write.
  private func requireTorn(
    _ error: StorageError, _ index: Int, _ bytes: Bytes, seed: UInt32, from offset: Int
  ) throws(StorageError) {
    let isVouched = try order.isVouched(
      index, bytes, seed: seed, from: offset, after: result.last)
    if isVouched { throw error }
  }

  // MARK: Applying

  private mutating func apply(
    _ entry: EntryView, _ segment: FileNumber, _ offset: Int,
    _ values: inout (count: Int, byteCount: Int)
  ) throws(StorageError) {
    switch entry.kind {
    case .deleteRange:
      result.ranges.append(
        RangeMark(deleting: Bytes(entry.key), Bytes(entry.value), sequence: entry.sequence))
    case .put where entry.isSeparated(from: ledger.options.separationByteCount):
      values.count += 1
      values.byteCount += entry.value.count
      var scratch = RawBuffer(capacity: entry.headByteCount + ValuePointer.maximumByteCount)
      memtable.insert(entry.separated(in: segment, at: offset, &scratch))
    case .put, .delete, .reference: memtable.insert(entry)
    }
    if memtable.byteCount >= ledger.options.memtableByteLimit { try flush() }
  }

  private mutating func flush() throws(StorageError) {
    guard !memtable.isEmpty else { return }
    result.tables.append(try ledger.writeTable(memtable))
    memtable = Memtable()
  }
}
