import KVBase

/// The state that a manifest describes.
struct RecoveredManifest {
  var version = Version()
  var segments = SegmentSet()
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
    guard let recovered = try readManifestAlone()?.state else {
      try requireNoData()
      return nil
    }
    try requireTables(recovered.version)
    for segment in recovered.segments.segments {
      try require(
        segment.path, byteCount: segment.metadata.byteCount, isExact: false,
        "a segment that the manifest names is missing")
    }
    return recovered
  }

  /// The same, and the manifest's path, without a look at the files that the manifest names.
  func readManifestAlone() throws(StorageError) -> (state: RecoveredManifest, path: String)? {
    let current = StorePaths.current(ledger)
    guard try fileSystem.exists(current) else { return nil }
    let name = try ManifestFormat.manifestName(
      current: try fileSystem.readAll(current), path: current)
    let path = ledger + "/" + name
    guard try fileSystem.exists(path) else {
      throw StorageError(.missingFile, "the manifest that CURRENT names is missing", path: path)
    }
    let (edits, torn) = try ManifestFormat.read(try fileSystem.readAll(path), path: path)
    var recovered = try replay(edits, path: path)
    recovered.tornByteCount = torn
    return (recovered, path)
  }

  /// A store without CURRENT is a new one, unless there is data that CURRENT once led to.
  private func requireNoData() throws(StorageError) {
    let tables = try tableNumbers()
    let segments = try segmentNumbers(.journal) + segmentNumbers(.values)
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
    var segments: [UInt64: SegmentMetadata] = [:]
    var ranges: [RangeMark] = []
    for edit in edits {
      for removal in edit.removed {
        guard tables.removeValue(forKey: removal.number.rawValue)?.level == removal.level else {
          throw StorageError(.malformed, "an edit removes what is not there", path: path)
        }
      }
      for addition in edit.added { tables[addition.table.number.rawValue] = addition }
      for number in edit.removedSegments {
        guard segments.removeValue(forKey: number.rawValue) != nil else {
          throw StorageError(.malformed, "an edit removes what is not there", path: path)
        }
      }
      for segment in edit.addedSegments { segments[segment.number.rawValue] = segment }
      ranges.removeAll { edit.removedRanges.contains($0.id) }
      ranges += edit.addedRanges
      recovered.flushedSequence = edit.flushedSequence ?? recovered.flushedSequence
      recovered.journalNumber = edit.journalNumber ?? recovered.journalNumber
      recovered.nextFileNumber = max(recovered.nextFileNumber, edit.nextFileNumber ?? 0)
      recovered.wasCleanShutdown = edit.isCleanShutdown
    }
    var whole = VersionEdit()
    whole.added = tables.keys.sorted().compactMap { tables[$0] }
    whole.addedRanges = ranges
    guard let version = Version().applying(whole, ledger: ledger) else {
      throw StorageError(.malformed, "the tables of a level overlap", path: path)
    }
    recovered.version = version
    for number in segments.keys.sorted() {
      guard let metadata = segments[number] else { continue }
      recovered.segments.insert(
        Segment(metadata, directory: journal, fileSystem: fileSystem))
    }
    return recovered
  }

  private func requireTables(_ version: Version) throws(StorageError) {
    for table in version.levels.joined() {
      try require(
        table.path, byteCount: table.metadata.byteCount, isExact: true,
        "an SSTable that the manifest names is missing")
    }
  }

  /// A segment that was not sealed may be longer than its good part.
  private func require(
    _ path: String, byteCount: Int, isExact: Bool, _ message: String
  ) throws(StorageError) {
    guard try fileSystem.exists(path) else {
      throw StorageError(.missingFile, message, path: path)
    }
    let size = try fileSystem.size(path)
    guard isExact ? size == byteCount : size >= byteCount else {
      throw StorageError(
        .missingFile, "\(size) bytes instead of \(byteCount)", path: path,
        offset: min(size, byteCount))
    }
  }

  func segmentNumbers(_ kind: Segment.Kind) throws(StorageError) -> [FileNumber] {
    let suffix = kind == .journal ? StorePaths.journalSuffix : StorePaths.valuesSuffix
    return try fileSystem.list(journal).compactMap { StorePaths.number($0, suffix: suffix) }
      .sorted()
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
    let segments = try segmentNumbers(.journal) + segmentNumbers(.values)
    let used = try segments + tableNumbers() + manifests
    return max(recovered.nextFileNumber, (used.map(\.rawValue).max() ?? 0) + 1)
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
    for kind in [Segment.Kind.journal, .values] {
      leftovers += try segmentNumbers(kind)
        .filter { $0 < ledger.journalNumber && ledger.segments[$0] == nil }
        .map { StorePaths.segment(journal, $0, kind) }
    }
    for path in leftovers { try fileSystem.remove(path) }
    return leftovers.count
  }
}
