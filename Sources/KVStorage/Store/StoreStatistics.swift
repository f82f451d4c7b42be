import Synchronization

/// What a store holds and has done since it was opened.
public struct StoreStatistics: Hashable, Sendable {
  /// The SSTables of each level.
  public var filesPerLevel: [Int] = []
  /// The bytes of the SSTables of each level.
  public var bytesPerLevel: [Int] = []
  /// Bytes in the active memtable.
  public var activeMemtableByteCount = 0
  /// Memtables that wait for their flush.
  public var immutableMemtableCount = 0
  /// Bytes in the memtables that wait.
  public var immutableMemtableByteCount = 0
  /// Puts and deletes applied.
  public var operationCount = 0
  /// Bytes of keys and values given to ``Store/append(_:)``, with their batch encoding.
  public var appendedByteCount = 0
  /// Bytes written to the journal.
  public var journalWrittenByteCount = 0
  /// Syncs of the journal, each one `fdatasync`.
  public var journalSyncCount = 0
  /// Bytes of SSTables written by flushes.
  public var flushWrittenByteCount = 0
  /// Flushes of a memtable.
  public var flushCount = 0
  /// Bytes of SSTables read by compactions.
  public var compactionReadByteCount = 0
  /// Bytes of SSTables written by compactions.
  public var compactionWrittenByteCount = 0
  /// Compactions, moves of a table to the next level included.
  public var compactionCount = 0
  /// Bytes of segments written by garbage collection.
  public var collectionWrittenByteCount = 0
  /// Runs of garbage collection.
  public var collectionCount = 0
  /// Segments of the journal that hold values.
  public var segmentCount = 0
  /// Bytes of those segments.
  public var segmentByteCount = 0
  /// Bytes of live values in them, estimated.
  public var liveValueByteCount = 0
  /// How often an append had to wait for background work.
  public var stallCount = 0
  /// Block lookups answered by the cache.
  public var cacheHitCount = 0
  /// Block lookups that had to read the file.
  public var cacheMissCount = 0
  /// Bytes of blocks in the cache.
  public var cacheByteCount = 0
  /// SSTables no longer part of the store that a snapshot still holds.
  public var obsoleteFileCount = 0

  /// All zero.
  public init() {}
}

/// What opening a store found.
public struct OpenReport: Hashable, Sendable {
  /// There was no store in the directory, and one was made.
  public var wasCreated = false
  /// The store had been closed in order; true for a new one.
  public var wasCleanShutdown = false
  /// Journal segments that held writes not yet in SSTables.
  public var segmentsReplayed = 0
  /// Journal records, one per batch, that were applied again.
  public var recordsReplayed = 0
  /// Puts and deletes in those records.
  public var operationsReplayed = 0
  /// Bytes of the journal's torn tail, given up: writes that were never reported durable.
  public var tornJournalByteCount = 0
  /// Bytes of the manifest's torn tail, given up.
  public var tornManifestByteCount = 0
  /// SSTables in the store.
  public var tableCount = 0
  /// The last write recovered.
  public var lastSequence = SequenceNumber.zero
  /// Leftover files removed.
  public var removedFileCount = 0
  /// The store comes from a backup and its owner has not called ``Store/acknowledgeRestore()`` yet.
  public var wasRestored = false

  /// Nothing found.
  public init() {}
}

/// The counters behind ``StoreStatistics``, safe to bump from any thread.
final class Counters: Sendable {
  let operations = Atomic<Int>(0)
  let appendedBytes = Atomic<Int>(0)
  let journalBytes = Atomic<Int>(0)
  let journalSyncs = Atomic<Int>(0)
  let flushBytes = Atomic<Int>(0)
  let flushes = Atomic<Int>(0)
  let compactionReadBytes = Atomic<Int>(0)
  let compactionBytes = Atomic<Int>(0)
  let compactions = Atomic<Int>(0)
  let stalls = Atomic<Int>(0)
  let collectedBytes = Atomic<Int>(0)
  let collections = Atomic<Int>(0)
  let obsoleteFiles = Atomic<Int>(0)

  func fill(_ statistics: inout StoreStatistics) {
    statistics.operationCount = operations.load(ordering: .relaxed)
    statistics.appendedByteCount = appendedBytes.load(ordering: .relaxed)
    statistics.journalWrittenByteCount = journalBytes.load(ordering: .relaxed)
    statistics.journalSyncCount = journalSyncs.load(ordering: .relaxed)
    statistics.flushWrittenByteCount = flushBytes.load(ordering: .relaxed)
    statistics.flushCount = flushes.load(ordering: .relaxed)
    statistics.compactionReadByteCount = compactionReadBytes.load(ordering: .relaxed)
    statistics.compactionWrittenByteCount = compactionBytes.load(ordering: .relaxed)
    statistics.compactionCount = compactions.load(ordering: .relaxed)
    statistics.collectionCount = collections.load(ordering: .relaxed)
    statistics.collectionWrittenByteCount = collectedBytes.load(ordering: .relaxed)
    statistics.stallCount = stalls.load(ordering: .relaxed)
    statistics.obsoleteFileCount = obsoleteFiles.load(ordering: .relaxed)
  }
}
