import KVBase
import Synchronization

/// Flushes, compactions and closing.
extension Engine {
  func performBackgroundWork() throws(StorageError) -> Bool {
    backgroundLock.lock()
    defer { backgroundLock.unlock() }
    try requireOpen()
    ledger.removeObsoleteTables()
    if try flushOldest() { return true }
    guard
      let compaction = CompactionPicker.pick(
        ledger.version, options, ledger.compactionPointers)
    else { return false }
    try CompactionJob(ledger, compaction).run { () throws(StorageError) in
      // A flush that waits for a long compaction would stall the writers.
      while try flushOldest() {}
      return !isStopping
    }
    installVersion(dropping: nil)
    return true
  }

  private var isStopping: Bool { writeLock.withLock { writer.isStopping } }

  /// Flushes the oldest sealed memtable to level 0; false when there is none.
  func flushOldest() throws(StorageError) -> Bool {
    guard let sealed = readState.immutables.last else { return false }
    let table = try ledger.writeTable(sealed.memtable)
    var edit = VersionEdit()
    edit.added = [.init(level: 0, table: table)]
    edit.flushedSequence = sealed.lastSequence
    edit.journalNumber = FileNumber(sealed.segment.rawValue + 1)
    try ledger.apply(edit)
    installVersion(dropping: sealed)
    removeSegment(sealed.segment)
    return true
  }

  /// The manifest no longer needs the segment; if it cannot be removed now, the next open does it.
  private func removeSegment(_ number: FileNumber) {
    try? fileSystem.remove(
      StorePaths.journalSegment(StorePaths.journalDirectory(root), number))
  }

  /// Lets reads see the ledger's version, and lets stalled writers look again.
  private func installVersion(dropping flushed: SealedMemtable?) {
    let version = ledger.version
    state.withLock { state in
      let immutables = state.immutables.filter { $0.segment != flushed?.segment }
      state = ReadState(active: state.active, immutables: immutables, version: version)
    }
    ledger.removeObsoleteTables()
    writeLock.withLock { writeLock.broadcast(.progress) }
  }

  /// The maintenance thread: works until there is nothing due, then waits to be asked.
  func runMaintenance() {
    while true {
      writeLock.lock()
      while !writer.isWorkRequested, !writer.isStopping { writeLock.wait(for: .work) }
      writer.isWorkRequested = false
      let isStopping = writer.isStopping
      writeLock.unlock()
      if isStopping { return }
      do throws(StorageError) {
        while try performBackgroundWork() { if self.isStopping { return } }
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
    do throws(StorageError) {
      if let poison = writer.poison { throw poison }
      // A group whose write failed goes first, what came after it second.
      repeat {
        try writeGroup(sync: true, releasingLock: false)
      } while writer.synced < writer.last
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
