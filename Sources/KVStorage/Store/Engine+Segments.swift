import KVBase
import Synchronization

/// Segments of the journal: ending one, beginning the next, and making them durable.
extension Engine {
  func forgetSynced(_ segments: [Segment]) {
    for segment in segments { segment.closeForWriting() }
    writer.unsynced.removeAll { segment in segments.contains { $0 === segment } }
  }

  /// Makes the active memtable an immutable one and starts a memtable and a journal segment.
  func sealMemtable() throws(StorageError) {
    try startSegment()
    installActive(Memtable(seed: writer.journal.header.number.rawValue))
  }

  /// Ends the journal's segment and starts the next.
  ///
  /// The old one need not be durable yet: a sync goes through all segments in order, so that what is
  /// durable is always a beginning of the journal.
  func startSegment() throws(StorageError) {
    try sealJournal()
    let number = writer.reservedSegment ?? fileNumbers.take()
    writer.reservedSegment = number
    let journal = try JournalWriter(
      directory: StorePaths.journalDirectory(root),
      header: .init(number: number, firstSequence: writer.last.advanced(by: 1)),
      byteLimit: options.segmentByteLimit, fileSystem: fileSystem)
    journal.takeMemory(of: writer.journal)
    writer.reservedSegment = nil
    writer.isSealed = false
    writer.journal = journal
    writer.isWorkRequested = true
    writeLock.broadcast(.work)
    state.withLock { state in
      var segments = state.segments
      segments.insert(journal.segment)
      state = state.replacing(segments: segments)
    }
  }

  /// Writes the footer of the journal's segment, which then belongs to the active memtable.
  ///
  /// After a failure it may be called again.
  func sealJournal() throws(StorageError) {
    let journal = writer.journal
    if !writer.isSealed {
      journal.seal(nextSequence: writer.last.advanced(by: 1), durable: writer.synced)
      writer.isSealed = true
    }
    while journal.byteCount > journal.writtenOffset {
      try writeGroup(sync: false, releasingLock: false)
    }
    try journal.finish()
    guard writer.sealedSegments.last !== journal.segment else { return }
    writer.unsynced.append(journal.segment)
    writer.sealedSegments.append(journal.segment)
    writer.sealedByteCount += journal.byteCount
    writer.sealedValueByteCount += journal.valueByteCount
  }

  /// Seals the active memtable, all of whose segments are sealed, in favour of a new one.
  func installActive(_ memtable: Memtable) {
    let sealed = SealedMemtable(
      memtable: writer.active, segments: writer.sealedSegments, lastSequence: writer.last)
    writer.sealedSegments = []
    writer.sealedByteCount = 0
    writer.sealedValueByteCount = 0
    state.withLock {
      $0 = $0.replacing(active: memtable, immutables: [sealed] + $0.immutables)
    }
    writer.active = memtable
  }

  /// Makes sealed segments durable, beside all writing.
  func sync(_ segments: [Segment]) throws(StorageError) {
    do throws(StorageError) {
      for segment in segments { try segment.sync() }
    } catch {
      throw writeLock.withLock {
        let poison = writer.poison ?? poisoned(error, writer.journal)
        writer.poison = poison
        return poison
      }
    }
    writeLock.withLock { forgetSynced(segments) }
  }

  /// Notes that a flush has made all writes up to a sequence durable, and with them what segments held
  /// that were never synced.
  func noteFlushed(through sequence: SequenceNumber, _ segments: [Segment]) {
    writeLock.withLock {
      forgetSynced(segments)
      writer.synced = max(writer.synced, sequence)
    }
  }
}
