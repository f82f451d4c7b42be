import KVBase
import Synchronization

/// Hands out file numbers, never the same twice.
final class FileNumbers: Sendable {
  private let next: Atomic<UInt64>

  init(next: UInt64) { self.next = Atomic(next) }

  var peek: UInt64 { next.load(ordering: .relaxed) }

  func take() -> FileNumber {
    FileNumber(next.wrappingAdd(1, ordering: .relaxed).oldValue)
  }
}

/// The durable set of SSTables: the current version and the manifest that records how it came about.
///
/// A failed write of the manifest leaves open whether the edit will be found after a crash. So from
/// then on the edit's files are kept, and the next edit goes to a new manifest, which holds the whole
/// version and takes effect by the switch of CURRENT.
///
/// **Concurrency**: only the holder of the store's background lock may touch it.
final class Ledger {
  let directory: String
  let journalDirectory: String
  let options: StoreOptions
  let environment: TableEnvironment
  let fileNumbers: FileNumbers
  let counters: Counters
  private(set) var version: Version
  /// The segments that entries of the tables may refer to.
  private(set) var segments: SegmentSet
  private(set) var flushedSequence: SequenceNumber
  private(set) var journalNumber: FileNumber
  /// Where the next compaction of each level begins.
  var compactionPointers = [Bytes](repeating: [], count: Version.levelCount)
  private var manifest: ManifestWriter?
  private var isManifestDoubtful = false
  private var obsoleteTables: [TableFile] = []
  private var obsoleteManifests: [FileNumber] = []

  init(
    directory: String, journalDirectory: String, options: StoreOptions,
    environment: TableEnvironment,
    fileNumbers: FileNumbers, counters: Counters, recovered: RecoveredManifest
  ) {
    self.directory = directory
    self.journalDirectory = journalDirectory
    self.options = options
    self.environment = environment
    self.fileNumbers = fileNumbers
    self.counters = counters
    version = recovered.version
    segments = recovered.segments
    flushedSequence = recovered.flushedSequence
    journalNumber = recovered.journalNumber
  }

  var fileSystem: any FileSystem { environment.fileSystem }

  var manifestName: String? { manifest.map { StorePaths.manifestName($0.number) } }

  /// Records an edit durably and makes its version the current one.
  ///
  /// The files it adds are synced; `adding` are the segments among them. On an error the version is
  /// unchanged, and the files must be kept until the store is opened again, since the edit may have
  /// reached the disk.
  func apply(_ edit: VersionEdit, adding: [Segment] = []) throws(StorageError) {
    var edit = edit
    edit.nextFileNumber = fileNumbers.peek
    edit.addedSegments = adding.map(\.metadata)
    let next = try next(&edit)
    var segments = segments
    for number in edit.removedSegments { segments.remove(number) }
    for segment in adding { segments.insert(segment) }
    let flushed = edit.flushedSequence ?? flushedSequence
    let journal = edit.journalNumber ?? journalNumber
    if let manifest, !isManifestDoubtful, manifest.byteCount < options.manifestByteLimit {
      do throws(StorageError) { try manifest.append(edit) } catch {
        isManifestDoubtful = true
        throw error
      }
    } else {
      try startManifest(next, segments, flushed, journal, isClean: edit.isCleanShutdown)
    }
    let kept = Set(next.levels.joined().map(ObjectIdentifier.init))
    obsoleteTables += version.levels.joined().filter { !kept.contains(ObjectIdentifier($0)) }
    version = next
    self.segments = segments
    flushedSequence = flushed
    journalNumber = journal
  }

  /// The version after the edit, to which the range deletes that are thereby served are added.
  private func next(_ edit: inout VersionEdit) throws(StorageError) -> Version {
    func applied(_ edit: VersionEdit) -> Version {
      guard let next = version.applying(edit, ledger: directory) else {
        preconditionFailure("an edit does not fit the version: \(edit)")
      }
      return next
    }
    let next = applied(edit)
    let served = next.ranges.isEmpty ? [] : next.servedRanges
    guard !served.isEmpty else { return next }
    edit.addedRanges.removeAll { served.contains($0.id) }
    edit.removedRanges += served.filter { id in version.ranges.marks.contains { $0.id == id } }
    return applied(edit)
  }

  /// Writes a new manifest with the whole version and switches CURRENT to it.
  private func startManifest(
    _ version: Version, _ segments: SegmentSet, _ flushed: SequenceNumber, _ journal: FileNumber,
    isClean: Bool
  ) throws(StorageError) {
    isManifestDoubtful = true
    let number = fileNumbers.take()
    obsoleteManifests.append(number)
    var snapshot = version.snapshotEdit()
    snapshot.addedSegments = segments.segments.map(\.metadata)
    snapshot.nextFileNumber = fileNumbers.peek
    snapshot.flushedSequence = flushed
    snapshot.journalNumber = journal
    snapshot.isCleanShutdown = isClean
    let started = try ManifestWriter(
      ledger: directory, number: number, snapshot: snapshot, fileSystem: fileSystem)
    let name = StorePaths.manifestName(number)
    try fileSystem.replaceFile(
      StorePaths.current(directory), contents: ManifestFormat.current(name))
    obsoleteManifests.removeLast()
    for old in obsoleteManifests { removeManifest(old) }
    obsoleteManifests = []
    if let manifest { removeManifest(manifest.number) }
    manifest = started
    isManifestDoubtful = false
  }

  /// A file that cannot be removed now is removed by the next open.
  private func removeManifest(_ number: FileNumber) {
    try? fileSystem.remove(directory + "/" + StorePaths.manifestName(number))
  }

  /// Removes the files of tables that neither the version nor any snapshot refers to.
  func removeObsoleteTables() {
    var kept: [TableFile] = []
    while var table = obsoleteTables.popLast() {
      if isKnownUniquelyReferenced(&table) {
        try? fileSystem.remove(table.path)
      } else {
        kept.append(table)
      }
    }
    obsoleteTables = kept
    counters.obsoleteFiles.store(kept.count, ordering: .relaxed)
  }

  /// Writes the entries of a memtable, the newest of each key, as a table that is not live yet.
  func writeTable(_ memtable: Memtable) throws(StorageError) -> TableMetadata {
    let output = TableOutput(self)
    do throws(StorageError) {
      let builder = try output.builder()
      var previous: RawBytes?
      var node = memtable.first
      while let current = node {
        let entry = Memtable.entry(current)
        // The arena keeps every entry in place, so the last key can be compared where it lies.
        if previous.map({ compareKeys($0, entry.key) != 0 }) ?? true { try builder.append(entry) }
        previous = entry.key
        node = Memtable.next(current)
      }
      let tables = try output.finish()
      counters.flushBytes.wrappingAdd(tables[0].byteCount, ordering: .relaxed)
      counters.flushes.wrappingAdd(1, ordering: .relaxed)
      return tables[0]
    } catch {
      output.discard()
      throw error
    }
  }
}

/// The tables that a flush or compaction is writing.
final class TableOutput {
  private let ledger: Ledger
  private(set) var tables: [TableMetadata] = []
  private var open: (number: FileNumber, builder: TableBuilder)?
  private var numbers: [FileNumber] = []

  init(_ ledger: Ledger) { self.ledger = ledger }

  /// The builder of the present table, begun if there is none.
  func builder() throws(StorageError) -> TableBuilder {
    if let open { return open.builder }
    let number = ledger.fileNumbers.take()
    numbers.append(number)
    let file = try ledger.fileSystem.create(StorePaths.table(ledger.directory, number))
    let builder = TableBuilder(file: file, options: ledger.options)
    open = (number, builder)
    return builder
  }

  /// Completes the present table, if there is one.
  func finishTable() throws(StorageError) {
    guard let (number, builder) = open else { return }
    let result = try builder.finish()
    tables.append(
      TableMetadata(
        number: number, byteCount: result.byteCount, checksum: result.checksum,
        properties: result.properties))
    open = nil
  }

  /// Completes all tables and makes their names durable.
  func finish() throws(StorageError) -> [TableMetadata] {
    try finishTable()
    if !tables.isEmpty { try ledger.fileSystem.syncDirectory(ledger.directory) }
    return tables
  }

  /// Removes what was written, before any edit that names it was tried.
  func discard() {
    open = nil
    for number in numbers {
      try? ledger.fileSystem.remove(StorePaths.table(ledger.directory, number))
    }
  }
}
