import KVBase

/// Opening: recover, then start a manifest and a journal segment of our own.
extension Engine {
  static func open(
    at root: String, fileSystem: any FileSystem, options: StoreOptions
  ) throws(StorageError) -> (Engine, OpenReport) {
    try options.validate()
    let journalDirectory = StorePaths.journalDirectory(root)
    let ledgerDirectory = StorePaths.ledgerDirectory(root)
    try fileSystem.createDirectory(journalDirectory)
    try fileSystem.createDirectory(ledgerDirectory)
    let lock = try fileSystem.lock(StorePaths.lock(root))
    var report = OpenReport()
    report.wasRestored = try RestoreMark(root: root, fileSystem: fileSystem).begin()
    let recovery = Recovery(root: root, fileSystem: fileSystem)
    let found = try recovery.readManifest()
    let recovered = found ?? RecoveredManifest()
    let environment = TableEnvironment(
      fileSystem: fileSystem, cache: BlockCache(byteLimit: options.blockCacheByteLimit))
    let ledger = Ledger(
      directory: ledgerDirectory, journalDirectory: journalDirectory, options: options,
      environment: environment,
      fileNumbers: FileNumbers(next: try recovery.nextFileNumber(recovered)),
      counters: Counters(), recovered: recovered)
    var replay = try JournalReplay(recovery, ledger)
    let replayed = try replay.run(&report)

    // From here on the store changes. Until CURRENT is switched a crash leaves the old state, after
    // it the new one, which needs no journal; so this may be cut short at any point and repeated.
    var edit = VersionEdit()
    edit.added = replayed.tables.map { .init(level: 0, table: $0) }
    edit.addedRanges = replayed.ranges
    edit.flushedSequence = replayed.last
    let segment = ledger.fileNumbers.take()
    edit.journalNumber = segment
    try ledger.apply(edit, adding: replayed.segments)
    let journal = try JournalWriter(
      directory: journalDirectory,
      header: .init(number: segment, firstSequence: replayed.last.advanced(by: 1)),
      byteLimit: options.segmentByteLimit, fileSystem: fileSystem)
    report.removedFileCount = try recovery.removeLeftovers(ledger)

    report.wasCreated = found == nil
    report.wasCleanShutdown = found?.wasCleanShutdown ?? true
    report.tornManifestByteCount = recovered.tornByteCount
    report.tableCount = ledger.version.levels.joined().count
    report.lastSequence = replayed.last
    let engine = Engine(
      root: root, options: options, ledger: ledger, journal: journal, last: replayed.last,
      lock: lock)
    return (engine, report)
  }
}
