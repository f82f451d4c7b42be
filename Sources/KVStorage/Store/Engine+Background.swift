import KVBase
import Synchronization

/// Flushes, compactions and closing.
extension Engine {
  func performBackgroundWork() throws(StorageError) -> Bool {
    try performBackgroundWork(credit: GarbageCollector.stepByteCount)
  }

  /// Does one piece of work that is due; `credit` bytes are earned for garbage collection.
  func performBackgroundWork(credit: Int) throws(StorageError) -> Bool {
    backgroundLock.lock()
    defer { backgroundLock.unlock() }
    try requireOpen()
    removeObsoleteFiles()
    collector.earn(appended: counters.appendedBytes.load(ordering: .relaxed))
    collector.earn(credit)
    defer { isCollectionWaiting.store(collector.isWaiting, ordering: .relaxed) }
    // Writers that keep flushes coming must not starve the collection, or the disk fills.
    isCollectionNext.toggle()
    let collectsFirst = isCollectionNext
    if collectsFirst, try collector.turn(self) { return true }
    if try flushOldest() { return true }
    if try rewriteSuspect() { return true }
    if try compact() { return true }
    if collectsFirst { return false }
    return try collector.turn(self)
  }

  private func compact() throws(StorageError) -> Bool {
    guard
      let compaction = CompactionPicker.pick(
        ledger.version, options, ledger.compactionPointers, now: fileSystem.secondsSinceEpoch)
    else { return false }
    try CompactionJob(ledger, compaction).run { () throws(StorageError) in
      // A flush that waits for a long compaction would stall the writers.
      while try flushOldest() {}
      return !isStopping
    }
    install()
    return true
  }

  private var isStopping: Bool { writeLock.withLock { writer.isStopping } }

  /// Flushes the oldest sealed memtable to level 0; false when there is none.
  ///
  /// Of the journal only segments with separated values need a sync: all else is in the table.
  func flushOldest() throws(StorageError) -> Bool {
    guard let sealed = readState.immutables.last else { return false }
    let kept = sealed.segments.filter { $0.metadata.valueCount > 0 }
    try sync(kept)
    var edit = VersionEdit()
    if sealed.memtable.first != nil {
      edit.added = [.init(level: 0, table: try ledger.writeTable(sealed.memtable))]
    }
    edit.addedRanges = sealed.memtable.ranges.marks
    edit.flushedSequence = sealed.lastSequence
    edit.journalNumber = FileNumber(sealed.lastSegment.rawValue + 1)
    try ledger.apply(edit, adding: kept)
    let emptied = sealed.segments.filter { $0.metadata.valueCount == 0 }
    noteFlushed(through: sealed.lastSequence, emptied)
    install(flushed: sealed, retired: emptied)
    return true
  }

  /// Lets reads see the ledger's version, and lets stalled writers look again.
  ///
  /// No read that begins now looks into the segments retired, which the manifest does not name.
  func install(flushed: SealedMemtable? = nil, retired: [Segment] = []) {
    let version = ledger.version
    state.withLock { state in
      var segments = state.segments
      for segment in retired { segments.remove(segment.number) }
      let immutables = state.immutables.filter { $0.lastSegment != flushed?.lastSegment }
      state = state.replacing(
        immutables: immutables, version: version, segments: segments,
        flushCount: state.flushCount + (flushed == nil ? 0 : 1))
    }
    obsoleteSegments += retired
    removeObsoleteFiles()
    journalByteCount.store(ledger.segments.byteCount, ordering: .relaxed)
    writeLock.withLock { writeLock.broadcast(.progress) }
  }

  /// Lets reads find values in a segment that the manifest names.
  func install(segment: Segment) {
    state.withLock { state in
      var segments = state.segments
      segments.insert(segment)
      state = state.replacing(segments: segments)
    }
  }

  /// Removes the files that neither the manifest nor any reader refers to.
  ///
  /// What cannot be removed now is removed by the next open.
  private func removeObsoleteFiles() {
    ledger.removeObsoleteTables()
    var kept: [Segment] = []
    while var segment = obsoleteSegments.popLast() {
      if isKnownUniquelyReferenced(&segment) {
        try? fileSystem.remove(segment.path)
      } else {
        kept.append(segment)
      }
    }
    obsoleteSegments = kept
  }

  /// The maintenance thread: works until there is nothing due, then waits to be asked.
  func runMaintenance() {
    while true {
      var credit = 0
      writeLock.lock()
      while !writer.isWorkRequested, !writer.isStopping {
        guard isCollectionWaiting.load(ordering: .relaxed) else {
          writeLock.wait(for: .work)
          continue
        }
        writeLock.wait(for: .work, milliseconds: 50)
        credit = options.collectionByteRate / 20
        break
      }
      writer.isWorkRequested = false
      let isStopping = writer.isStopping
      writeLock.unlock()
      if isStopping { return }
      do throws(StorageError) {
        while try performBackgroundWork(credit: credit) {
          credit = 0
          if self.isStopping { return }
        }
      } catch {
        writeLock.withLock {
          writer.backgroundError = error
          writeLock.broadcast(.progress)
        }
      }
    }
  }

  func requestStop() {
    writeLock.withLock {
      writer.isStopping = true
      writeLock.broadcast(.work)
    }
  }

  /// Syncs, flushes and records that the store was closed in order.
  ///
  /// The maintenance thread is gone.
  func close() throws(StorageError) {
    backgroundLock.lock()
    defer { backgroundLock.unlock() }
    try stopWriting()
    defer { releaseLock() }
    while try flushOldest() {}
    var edit = VersionEdit()
    edit.isCleanShutdown = true
    try ledger.apply(edit)
  }

  /// Makes all writes durable, refuses further calls, and seals what is in memory.
  private func stopWriting() throws(StorageError) {
    writeLock.lock()
    defer { writeLock.unlock() }
    try requireOpen()
    while writer.isWriting { writeLock.wait(for: .progress) }
    isClosed.store(true, ordering: .sequentiallyConsistent)
    writeLock.broadcast(.progress)
    wakeGroups()
    do throws(StorageError) {
      if let poison = writer.poison { throw poison }
      // A group whose write failed goes first, what came after it second.
      repeat {
        try writeGroup(sync: true, releasingLock: false)
      } while writer.synced < writer.last
      try sealJournal()
    } catch {
      releaseLock()
      throw error
    }
    if !writer.active.isEmpty { installActive(Memtable()) }
  }

  func statistics() -> StoreStatistics {
    var statistics = StoreStatistics()
    counters.fill(&statistics)
    let state = readState
    statistics.filesPerLevel = state.version.levels.map(\.count)
    statistics.bytesPerLevel = state.version.levels.indices.map(state.version.byteCount)
    statistics.activeMemtableByteCount = state.active.byteCount
    statistics.immutableMemtableCount = state.immutables.count
    statistics.immutableMemtableByteCount = state.immutables.reduce(0) {
      $0 + $1.memtable.byteCount
    }
    let segments = state.segments.segments.map(\.metadata).filter { $0.byteCount > 0 }
    statistics.segmentCount = segments.count
    statistics.segmentByteCount = segments.reduce(0) { $0 + $1.byteCount }
    statistics.liveValueByteCount = state.segments.segments.reduce(0) { $0 + $1.liveByteCount }
    statistics.cacheHitCount = environment.cache.hitCount
    statistics.cacheMissCount = environment.cache.missCount
    statistics.cacheByteCount = environment.cache.byteCount
    return statistics
  }

  /// Reads every live table and compares its checksum with the manifest's.
  func verify() throws(StorageError) {
    try requireOpen()
    for file in readState.version.levels.joined() {
      try file.table(environment).verify(
        byteCount: file.metadata.byteCount, checksum: file.metadata.checksum)
    }
  }
}
