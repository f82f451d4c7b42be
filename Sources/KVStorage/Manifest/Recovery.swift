import KVBase

/// The state that a manifest describes.
struct RecoveredManifest {
  var version = Version()
  var flushedSequence = SequenceNumber.zero
  var journalNumber = FileNumber(0)
  var nextFileNumber: UInt64 = 1
  var wasCleanShutdown = false
  var tornByteCount = 0
}

/// Finds out what a directory holds, before anything in it is changed.
struct Recovery {
  let root: String
  let fileSystem: any FileSystem

  private var ledger: String { StorePaths.ledgerDirectory(root) }
  private var journal: String { StorePaths.journalDirectory(root) }

  /// The state of the manifest that CURRENT names; nil when there is no store yet.
  func readManifest() throws(StorageError) -> RecoveredManifest? {
    let current = StorePaths.current(ledger)
    guard try fileSystem.exists(current) else {
      try requireNoData()
      return nil
    }
    let name = try ManifestFormat.manifestName(
      current: try fileSystem.readAll(current), path: current)
    let path = ledger + "/" + name
    guard try fileSystem.exists(path) else {
      throw StorageError(.missingFile, "the manifest that CURRENT names is missing", path: path)
    }
    let (edits, torn) = try ManifestFormat.read(try fileSystem.readAll(path), path: path)
    var recovered = try replay(edits, path: path)
    recovered.tornByteCount = torn
    try requireTables(recovered.version)
    return recovered
  }

  /// A store without CURRENT is a new one, unless there is data that CURRENT once led to.
  private func requireNoData() throws(StorageError) {
    let tables = try tableNumbers()
    let segments = try segmentNumbers()
    guard tables.isEmpty, segments.isEmpty else {
      throw StorageError(
        .missingFile, "there is data, but CURRENT is missing", path: StorePaths.current(ledger))
    }
  }

  private func replay(
    _ edits: [VersionEdit], path: String
  ) throws(StorageError) -> RecoveredManifest {
    var recovered = RecoveredManifest()
    var tables: [UInt64: VersionEdit.AddedTable] = [:]
    for edit in edits {
      for removal in edit.removed {
        guard tables.removeValue(forKey: removal.number.rawValue)?.level == removal.level else {
          throw StorageError(.malformed, "an edit removes what is not there", path: path)
        }
      }
      for addition in edit.added { tables[addition.table.number.rawValue] = addition }
      recovered.flushedSequence = edit.flushedSequence ?? recovered.flushedSequence
      recovered.journalNumber = edit.journalNumber ?? recovered.journalNumber
      recovered.nextFileNumber = max(recovered.nextFileNumber, edit.nextFileNumber ?? 0)
      recovered.wasCleanShutdown = edit.isCleanShutdown
    }
    var whole = VersionEdit()
    whole.added = tables.keys.sorted().compactMap { tables[$0] }
    guard let version = Version().applying(whole, ledger: ledger) else {
      throw StorageError(.malformed, "the tables of a level overlap", path: path)
    }
    recovered.version = version
    return recovered
  }

  private func requireTables(_ version: Version) throws(StorageError) {
    for table in version.levels.joined() {
      guard try fileSystem.exists(table.path) else {
        throw StorageError(
          .missingFile, "an SSTable that the manifest names is missing", path: table.path)
      }
      let size = try fileSystem.size(table.path)
      guard size == table.metadata.byteCount else {
        throw StorageError(
          .missingFile, "\(size) bytes instead of \(table.metadata.byteCount)", path: table.path,
          offset: min(size, table.metadata.byteCount))
      }
    }
  }

  func segmentNumbers() throws(StorageError) -> [FileNumber] {
    try fileSystem.list(journal).compactMap {
      StorePaths.number($0, suffix: StorePaths.journalSuffix)
    }.sorted()
  }

  func tableNumbers() throws(StorageError) -> [FileNumber] {
    try fileSystem.list(ledger).compactMap {
      StorePaths.number($0, suffix: StorePaths.tableSuffix)
    }.sorted()
  }

  /// The first number that no file has, whether or not the manifest knows of it.
  func nextFileNumber(_ recovered: RecoveredManifest) throws(StorageError) -> UInt64 {
    let manifests = try fileSystem.list(ledger).compactMap {
      StorePaths.number($0, prefix: StorePaths.manifestPrefix)
    }
    let used = try segmentNumbers() + tableNumbers() + manifests
    return max(recovered.nextFileNumber, (used.map(\.rawValue).max() ?? 0) + 1)
  }

  /// Replays the journal into SSTables of level 0 and says where it ended.
  ///
  /// Nothing durable refers to the tables yet: a crash in here leaves the store as it was.
  func replayJournal(
    into ledger: Ledger, _ report: inout OpenReport
  ) throws(StorageError) -> (tables: [TableMetadata], last: SequenceNumber) {
    var replay = JournalReplay(ledger: ledger, last: ledger.flushedSequence)
    let numbers = try segmentNumbers().filter { !($0 < ledger.journalNumber) }
    for number in numbers {
      let path = StorePaths.journalSegment(journal, number)
      let reader = JournalReader(path: path, isLast: number == numbers.last)
      let bytes = try fileSystem.readAll(path)
      guard let header = try reader.header(bytes) else {
        report.tornJournalByteCount += bytes.count
        continue
      }
      try check(header, number, after: replay.last, path)
      let contents = try reader.read(bytes, header) { (entry) throws(StorageError) in
        try replay.apply(entry)
      }
      replay.last = contents.lastSequence
      report.segmentsReplayed += contents.recordCount > 0 ? 1 : 0
      report.recordsReplayed += contents.recordCount
      report.operationsReplayed += contents.operationCount
      report.tornJournalByteCount += contents.tornByteCount
    }
    try replay.flush()
    return (replay.tables, replay.last)
  }

  private func check(
    _ header: JournalFormat.Header, _ number: FileNumber, after last: SequenceNumber,
    _ path: String
  ) throws(StorageError) {
    guard header.number == number else {
      throw StorageError(
        .malformed, "the segment says it is number \(header.number.rawValue)", path: path,
        offset: 0)
    }
    guard header.firstSequence == last.advanced(by: 1) else {
      throw StorageError(
        .sequenceGap,
        "the segment begins with \(header.firstSequence), the store ends with \(last)",
        path: path, offset: 0)
    }
  }

  /// Removes files that the store does not refer to; returns how many.
  func removeLeftovers(_ ledger: Ledger) throws(StorageError) -> Int {
    let live = Set(ledger.version.levels.joined().map(\.path))
    var leftovers = try tableNumbers().map { StorePaths.table(self.ledger, $0) }
      .filter { !live.contains($0) }
    for name in try fileSystem.list(self.ledger) {
      let isOldManifest =
        name.hasPrefix(StorePaths.manifestPrefix) && name != ledger.manifestName
      if isOldManifest || name.hasSuffix(StorePaths.temporarySuffix) {
        leftovers.append(self.ledger + "/" + name)
      }
    }
    leftovers += try segmentNumbers().filter { $0 < ledger.journalNumber }
      .map { StorePaths.journalSegment(journal, $0) }
    for path in leftovers { try fileSystem.remove(path) }
    return leftovers.count
  }
}

/// Collects replayed operations in a memtable, and the full memtables as tables.
private struct JournalReplay {
  let ledger: Ledger
  var last: SequenceNumber
  var tables: [TableMetadata] = []
  private var memtable = Memtable()

  init(ledger: Ledger, last: SequenceNumber) {
    self.ledger = ledger
    self.last = last
  }

  mutating func apply(_ entry: EntryView) throws(StorageError) {
    memtable.insert(entry)
    if memtable.byteCount >= ledger.options.memtableByteLimit { try flush() }
  }

  mutating func flush() throws(StorageError) {
    guard !memtable.isEmpty else { return }
    tables.append(try ledger.writeTable(memtable))
    memtable = Memtable()
  }
}
