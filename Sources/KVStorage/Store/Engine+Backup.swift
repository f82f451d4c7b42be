import KVBase

/// What a backup and a full compaction need of the open store.
extension Engine {
  /// Makes everything appended so far durable in files that do not change any more, and says what a
  /// copy of the store needs of them.
  ///
  /// The files exist as long as the plan does.
  func prepareBackup() throws(StorageError) -> BackupPlan {
    backgroundLock.lock()
    defer { backgroundLock.unlock() }
    let (active, last) = try cutJournal()
    try sync(writeLock.withLock { writer.unsynced.filter { $0.number < active } })
    let manifest = fileNumbers.take()
    var edit = ledger.version.snapshotEdit()
    edit.flushedSequence = ledger.flushedSequence
    edit.journalNumber = ledger.journalNumber
    edit.nextFileNumber = fileNumbers.peek
    let unflushed = readState.segments.segments.filter {
      $0.kind == .journal && $0.number < active && !($0.number < ledger.journalNumber)
    }
    return BackupPlan(
      edit, version: ledger.version, segments: ledger.segments, unflushed: unflushed,
      manifest: manifest, last: last)
  }

  /// Ends the journal's segment if it holds anything; returns the number of the one that is written
  /// to from now on and the last operation before it.
  private func cutJournal() throws(StorageError) -> (active: FileNumber, last: SequenceNumber) {
    writeLock.lock()
    defer { writeLock.unlock() }
    try waitForGroup()
    let isEmpty =
      !writer.isSealed && writer.journal.byteCount == JournalFormat.headerByteCount
    if !isEmpty { try startSegment() }
    return (writer.journal.header.number, writer.last)
  }

  /// Flushes all memtables, the active one too.
  ///
  /// The background lock is held.
  func flushAll() throws(StorageError) {
    try sealActiveMemtable()
    while try flushOldest() {}
  }

  private func sealActiveMemtable() throws(StorageError) {
    writeLock.lock()
    defer { writeLock.unlock() }
    try waitForGroup()
    if !writer.active.isEmpty || !writer.sealedSegments.isEmpty { try sealMemtable() }
  }

  /// Waits until nobody writes a group of records; the write lock is held.
  private func waitForGroup() throws(StorageError) {
    try requireWritable()
    while writer.isWriting {
      writeLock.wait(for: .progress)
      try requireWritable()
    }
  }
}
