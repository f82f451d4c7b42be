import KVBase

/// What the journal holds that is not in the tables yet, read without changing anything.
///
/// It follows the rules of ``JournalReplay``.
final class JournalScan {
  private(set) var memtable = Memtable()
  private(set) var ranges: [RangeMark] = []
  /// The segments, those after a torn one included.
  private(set) var segments: [Segment] = []
  private(set) var last: SequenceNumber
  private let recovery: Recovery
  private let log: VerificationLog
  private var scratch = RawBuffer()

  /// Values from this size on are kept out of memory.
  private static let separationByteCount = 1 << 10

  /// Reads the journal of a store in this state; problems go to the log.
  static func run(
    _ recovery: Recovery, _ state: RecoveredManifest, _ log: VerificationLog
  ) throws(StorageError) -> JournalScan {
    let scan = JournalScan(recovery, state, log)
    try scan.open(state)
    for index in scan.segments.indices {
      do throws(StorageError) {
        guard try scan.read(index) else { break }
      } catch {
        log.add(error)
        log.noteAllUnread()
        break
      }
    }
    return scan
  }

  private init(_ recovery: Recovery, _ state: RecoveredManifest, _ log: VerificationLog) {
    self.recovery = recovery
    self.log = log
    last = state.flushedSequence
  }

  private func open(_ state: RecoveredManifest) throws(StorageError) {
    let directory = StorePaths.journalDirectory(recovery.root)
    for number in try recovery.segmentNumbers(.journal)
    where !(number < state.journalNumber) && state.segments[number] == nil {
      let path = StorePaths.segment(directory, number, .journal)
      let metadata = SegmentMetadata(
        number: number, kind: .journal, byteCount: try recovery.fileSystem.size(path),
        valueCount: 0, valueByteCount: 0)
      segments.append(
        Segment(metadata, directory: directory, fileSystem: recovery.fileSystem))
    }
  }

  /// Reads one segment; false when the journal ends there.
  private func read(_ index: Int) throws(StorageError) -> Bool {
    let path = segments[index].path
    let bytes = try recovery.fileSystem.readAll(path)
    let reader = JournalReader(path: path)
    guard
      let (header, seed) = try reader.header(
        bytes, expecting: order.expectedHeader(index, after: last))
    else {
      let error = StorageError(.malformed, "the segment's header is cut", path: path, offset: 0)
      return try end(error, index, bytes, seed: 0, from: 0)
    }
    guard header.number == segments[index].number else {
      throw StorageError(.malformed, "the segment has another's header", path: path, offset: 0)
    }
    guard header.firstSequence == last.advanced(by: 1) else {
      let gap = StorageError(
        .sequenceGap,
        "the segment begins with \(header.firstSequence), what is before it ends with \(last)",
        path: path, offset: 0)
      guard index > 0, header.firstSequence > last else { throw gap }
      return try end(gap, index, bytes, seed: seed, from: 0)
    }
    let number = header.number
    let contents = try reader.read(bytes, header, seed: seed) {
      (entry, offset) throws(StorageError) in
      insert(entry, number, offset)
    }
    // A header may be lost like any write that was not synced; its records decide.
    let isTorn = try !isVouched(index, bytes, seed: seed, from: 0)
    last = contents.lastSequence
    let end = contents.damage == nil ? bytes.count : contents.endOffset
    SegmentVerifier(path: path, number: number, kind: .journal, log: log)
      .run(Bytes(bytes[..<end]), seed: seed, badHeader: isTorn ? .torn : .damage)
    guard let damage = contents.damage else { return true }
    if try order.isFollowed(index, after: last) {
      let isDamage = try isVouched(index, bytes, seed: seed, from: contents.endOffset)
      log.add(damage, isDamage ? .damage : .torn)
      return true
    }
    return try self.end(damage, index, bytes, seed: seed, from: contents.endOffset)
  }

  private func insert(_ entry: EntryView, _ segment: FileNumber, _ offset: Int) {
    switch entry.kind {
    case .deleteRange:
      ranges.append(
        RangeMark(deleting: Bytes(entry.key), Bytes(entry.value), sequence: entry.sequence))
    case .put where entry.isSeparated(from: JournalScan.separationByteCount):
      memtable.insert(entry.separated(in: segment, at: offset, &scratch))
    case .put, .delete, .reference: memtable.insert(entry)
    }
  }

  /// Logs why the journal ends in this segment: a torn write, unless what follows vouches for the next
  /// operation.
  private func end(
    _ error: StorageError, _ index: Int, _ bytes: Bytes, seed: UInt32, from offset: Int
  ) throws(StorageError) -> Bool {
    let isDamage = try isVouched(index, bytes, seed: seed, from: offset)
    if isDamage { log.noteAllUnread() }
    log.add(error, isDamage ? .damage : .torn)
    return false
  }

  private func isVouched(
    _ index: Int, _ bytes: Bytes, seed: UInt32, from offset: Int
  ) throws(StorageError) -> Bool {
    try order.isVouched(index, bytes, seed: seed, from: offset, after: last)
  }

  private var order: JournalOrder {
    JournalOrder(
      directory: StorePaths.journalDirectory(recovery.root), fileSystem: recovery.fileSystem,
      numbers: segments.map(\.number))
  }
}
