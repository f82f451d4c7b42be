import KVBase
import Synchronization

/// Appending, group commit and write stalls.
extension Engine {
  func append(_ batch: WriteBatch) throws(StorageError) -> SequenceNumber {
    if let oversize = batch.oversize { throw oversize }
    guard options.compression == .lz4, batch.largestValueByteCount >= options.separationByteCount
    else { return try appendEncoded(batch) }
    var compressed = batches.take()
    var isDense = areValuesDense.load(ordering: .relaxed)
    compressed.compress(batch, from: options.separationByteCount, isDense: &isDense)
    areValuesDense.store(isDense, ordering: .relaxed)
    defer { batches.give(&compressed) }
    return try appendEncoded(compressed)
  }

  private func appendEncoded(_ batch: WriteBatch) throws(StorageError) -> SequenceNumber {
    writeLock.lock()
    defer { writeLock.unlock() }
    try makeRoom()
    guard !batch.isEmpty else { return writer.last }
    apply(batch)
    return writer.last
  }

  /// Appends the batch to the journal and the memtable; there is room.
  private func apply(_ batch: WriteBatch) {
    let first = writer.last.advanced(by: 1)
    let start = writer.journal.append(batch, firstSequence: first, durable: writer.synced)
    batch.operations.withRaw { operations in
      var reader = BatchReader(operations)
      var sequence = first.rawValue
      while !reader.isAtEnd {
        guard let entry = reader.next(sequence: sequence) else {
          preconditionFailure("a write batch does not follow its own encoding")
        }
        insert(entry, valueOffset: start &+ entry.value.offset(in: operations))
        sequence &+= 1
      }
    }
    writer.last = writer.last.advanced(by: batch.count)
    visible.store(writer.last.rawValue, ordering: .releasing)
    counters.operations.wrappingAdd(batch.count, ordering: .relaxed)
    counters.appendedBytes.wrappingAdd(batch.byteCount, ordering: .relaxed)
  }

  private func insert(_ entry: EntryView, valueOffset: Int) {
    switch entry.kind {
    case .put where entry.isSeparated(from: options.separationByteCount):
      writer.journal.noteValue(entry.key, offset: valueOffset, byteCount: entry.value.count)
      writer.active.insert(
        entry.separated(in: writer.journal.header.number, at: valueOffset, &scratch))
    case .put, .delete, .reference: writer.active.insert(entry)
    case .deleteRange:
      writer.active.ranges.insert(
        RangeMark(
          deleting: Bytes(entry.key), Bytes(entry.value), sequence: entry.sequence))
    }
  }

  /// Appends those of the moved values' references whose keys have not changed since they were read.
  func append(_ moves: [CollectionRun.Move]) throws(StorageError) {
    writeLock.lock()
    defer { writeLock.unlock() }
    try makeRoom(stalling: false)
    var batch = WriteBatch()
    let state = readState
    for move in moves where try move.isCurrent(state, last: writer.last.rawValue, self) {
      batch.append(move)
    }
    if !batch.isEmpty { apply(batch) }
  }

  func sync(through sequence: SequenceNumber) throws(StorageError) {
    writeLock.lock()
    defer { writeLock.unlock() }
    precondition(
      sequence <= writer.last, "sync through \(sequence), but only \(writer.last) is appended")
    while writer.synced < sequence {
      do throws(StorageError) { try requireWritable() } catch {
        // Whoever was woken to write for the others cannot.
        wakeGroups()
        throw error
      }
      if writer.isWriting {
        let isInGroup = sequence <= writer.journal.groupLastSequence
        writeLock.wait(for: .group(writer.groupNumber + (isInGroup ? 0 : 1)))
      } else {
        try writeGroup(sync: true, releasingLock: true)
      }
    }
  }

  /// Lets all who wait for durability look again.
  func wakeGroups() {
    writeLock.broadcast(.evenGroup)
    writeLock.broadcast(.oddGroup)
  }

  var sequences: (appended: SequenceNumber, synced: SequenceNumber) {
    writeLock.withLock { (writer.last, writer.synced) }
  }

  // MARK: With the write lock held

  func requireWritable() throws(StorageError) {
    try requireOpen()
    if let poison = writer.poison { throw poison }
  }

  /// Waits or works until a batch may be appended.
  ///
  /// Without `stalling` it does not wait for background work, and the memtable may grow beyond its
  /// limit: for the background work itself.
  private func makeRoom(stalling: Bool = true) throws(StorageError) {
    while true {
      try requireWritable()
      let mustWrite =
        writer.mustRetryWrite || writer.journal.pendingByteCount >= options.journalBufferByteLimit
      let isFull = isMemtableFull
      let isLong = writer.isSealed || isSegmentFull
      guard mustWrite || isFull || isLong else { return }
      if writer.isWriting {
        writeLock.wait(for: .progress)
      } else if mustWrite {
        try writeGroup(sync: false, releasingLock: false)
      } else if !isFull {
        try startSegment()
      } else if isStalled(readState) {
        if stalling {
          try stall()
        } else if writer.isSealed {
          // An earlier attempt failed after the footer, which nothing may follow.
          try startSegment()
        } else {
          return
        }
      } else {
        try sealMemtable()
      }
    }
  }

  private var isMemtableFull: Bool {
    let journal = writer.journal
    return writer.active.byteCount >= options.memtableByteLimit
      || writer.sealedByteCount + journal.byteCount >= options.replayByteLimit
      || writer.sealedValueByteCount + journal.valueByteCount >= flushedValueByteLimit
      || writer.active.ranges.count >= Engine.rangeLimit
  }

  private var isSegmentFull: Bool {
    writer.journal.byteCount >= options.segmentByteLimit
      || writer.journal.valueByteCount >= segmentByteLimit
  }

  // A small store of large values has small segments and flushes early: garbage collection works on
  // whole segments, and only on flushed ones, so both bound the share of the disk that waits for it.

  var segmentByteLimit: Int {
    let share = journalByteCount.load(ordering: .relaxed) / 16
    return min(options.segmentByteLimit, max(Engine.smallestSegmentByteCount, share))
  }

  private var flushedValueByteLimit: Int {
    let share = journalByteCount.load(ordering: .relaxed) / 4
    return max(2 * Engine.smallestSegmentByteCount, share)
  }

  private static let smallestSegmentByteCount = 4 << 20

  /// Range deletes of one memtable: reads go through all of them.
  private static let rangeLimit = 64

  /// The stall rule: too many memtables wait for their flush, or level 0 has too many tables.
  private func isStalled(_ state: ReadState) -> Bool {
    state.immutables.count >= options.immutableMemtableLimit
      || state.version.levels[0].count >= options.level0StallFileCount
  }

  private func stall() throws(StorageError) {
    counters.stalls.wrappingAdd(1, ordering: .relaxed)
    switch options.background {
    case .manual:
      writeLock.unlock()
      defer { writeLock.lock() }
      _ = try performBackgroundWork()
    case .thread:
      writer.isWorkRequested = true
      writeLock.broadcast(.work)
      if let error = writer.backgroundError {
        writer.backgroundError = nil
        throw error
      }
      writeLock.wait(for: .progress)
    }
  }

  /// Writes the pending records as one group and, if asked, makes the journal durable up to them.
  ///
  /// A failed sync, or a failed write other than for want of space, poisons the store: what the file
  /// holds is not known any more, and a later success would not make it so.
  func writeGroup(sync: Bool, releasingLock: Bool) throws(StorageError) {
    let journal = writer.journal
    let unsynced = writer.unsynced
    journal.beginGroup(through: writer.last)
    writer.isWriting = true
    if releasingLock {
      writer.groupNumber += 1
      writeLock.unlock()
    }
    var failure: StorageError?
    var isPoisoned = false
    do throws(StorageError) {
      try journal.writeGroup(prefill: sync)
      if sync {
        isPoisoned = true
        for segment in unsynced { try segment.sync() }
        try journal.segment.sync()
        isPoisoned = false
        counters.journalSyncs.wrappingAdd(1, ordering: .relaxed)
      }
    } catch {
      failure = error
      if error.code != .diskFull { isPoisoned = true }
    }
    if releasingLock { writeLock.lock() }
    writer.isWriting = false
    writer.mustRetryWrite = failure != nil
    writeLock.broadcast(.progress)
    // Of those in the next group one is enough: it writes for all of them.
    writeLock.broadcast(.group(writer.groupNumber))
    if failure == nil { writeLock.signal(.group(writer.groupNumber + 1)) } else { wakeGroups() }
    if let failure {
      if isPoisoned { writer.poison = poisoned(failure, journal) }
      throw writer.poison ?? failure
    }
    counters.journalBytes.wrappingAdd(journal.endGroup(), ordering: .relaxed)
    guard sync else { return }
    forgetSynced(unsynced)
    writer.synced = max(writer.synced, journal.groupLastSequence)
  }

  func poisoned(_ cause: StorageError, _ journal: JournalWriter) -> StorageError {
    StorageError(
      .journalPoisoned, "the journal takes no more writes until a reopen, after: \(cause.message)",
      path: journal.path)
  }
}
