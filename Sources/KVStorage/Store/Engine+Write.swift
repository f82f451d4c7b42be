import KVBase
import Synchronization

/// Appending, group commit and write stalls.
extension Engine {
  func append(_ batch: WriteBatch) throws(StorageError) -> SequenceNumber {
    if let oversize = batch.oversize { throw oversize }
    writeLock.lock()
    defer { writeLock.unlock() }
    try makeRoom()
    guard !batch.isEmpty else { return writer.last }
    let first = writer.last.advanced(by: 1)
    writer.journal.append(batch, firstSequence: first)
    let memtable = writer.active
    batch.operations.withRaw { operations in
      var reader = BatchReader(operations)
      var sequence = first.rawValue
      while !reader.isAtEnd {
        guard let entry = reader.next(sequence: sequence) else {
          preconditionFailure("a write batch does not follow its own encoding")
        }
        memtable.insert(entry)
        sequence &+= 1
      }
    }
    writer.last = writer.last.advanced(by: batch.count)
    visible.store(writer.last.rawValue, ordering: .releasing)
    counters.operations.wrappingAdd(batch.count, ordering: .relaxed)
    counters.appendedBytes.wrappingAdd(batch.byteCount, ordering: .relaxed)
    return writer.last
  }

  func sync(through sequence: SequenceNumber) throws(StorageError) {
    writeLock.lock()
    defer { writeLock.unlock() }
    precondition(
      sequence <= writer.last, "sync through \(sequence), but only \(writer.last) is appended")
    while writer.synced < sequence {
      try requireWritable()
      if writer.isWriting {
        writeLock.wait(for: .progress)
      } else {
        try writeGroup(sync: true, releasingLock: true)
      }
    }
  }

  var sequences: (appended: SequenceNumber, synced: SequenceNumber) {
    writeLock.withLock { (writer.last, writer.synced) }
  }

  // MARK: With the write lock held

  private func requireWritable() throws(StorageError) {
    try requireOpen()
    if let poison = writer.poison { throw poison }
  }

  /// Waits or works until a batch may be appended.
  private func makeRoom() throws(StorageError) {
    while true {
      try requireWritable()
      let mustWrite =
        writer.mustRetryWrite || writer.journal.pendingByteCount >= options.journalBufferByteLimit
      let isFull = writer.active.byteCount >= options.memtableByteLimit
      guard mustWrite || isFull else { return }
      if writer.isWriting {
        writeLock.wait(for: .progress)
      } else if mustWrite {
        try writeGroup(sync: false, releasingLock: false)
      } else if isStalled(readState) {
        try stall()
      } else {
        try sealMemtable()
      }
    }
  }

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
    journal.beginGroup(through: writer.last)
    writer.isWriting = true
    if releasingLock { writeLock.unlock() }
    var failure: StorageError?
    var isPoisoned = false
    do throws(StorageError) {
      try journal.writeGroup()
      if sync {
        isPoisoned = true
        try journal.sync()
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
    if let failure {
      if isPoisoned { writer.poison = poisoned(failure, journal) }
      throw writer.poison ?? failure
    }
    counters.journalBytes.wrappingAdd(journal.endGroup(), ordering: .relaxed)
    guard sync else { return }
    journal.durableOffset = journal.writtenOffset
    writer.synced = max(writer.synced, journal.groupLastSequence)
  }

  private func poisoned(_ cause: StorageError, _ journal: JournalWriter) -> StorageError {
    StorageError(
      .journalPoisoned, "the journal takes no more writes until a reopen, after: \(cause.message)",
      path: journal.path)
  }

  /// Makes the active memtable an immutable one and starts a memtable and a journal segment.
  ///
  /// The old segment is synced first: so only the last segment can have a torn tail.
  private func sealMemtable() throws(StorageError) {
    try writeGroup(sync: true, releasingLock: false)
    let number = writer.reservedSegment ?? fileNumbers.take()
    writer.reservedSegment = number
    let journal = try JournalWriter(
      directory: StorePaths.journalDirectory(root),
      header: .init(number: number, firstSequence: writer.last.advanced(by: 1)),
      fileSystem: fileSystem)
    writer.reservedSegment = nil
    installActive(Memtable(seed: number.rawValue))
    writer.journal = journal
    writer.isWorkRequested = true
    writeLock.broadcast(.work)
  }

  /// Seals the active memtable, whose segment is durable, in favour of a new one.
  func installActive(_ memtable: Memtable) {
    let sealed = SealedMemtable(
      memtable: writer.active, segment: writer.journal.header.number, lastSequence: writer.last)
    state.withLock {
      $0 = ReadState(
        active: memtable, immutables: [sealed] + $0.immutables, version: $0.version)
    }
    writer.active = memtable
  }
}
