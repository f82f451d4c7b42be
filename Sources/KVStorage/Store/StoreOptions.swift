/// How a store uses memory, disk and threads.
///
/// The defaults suit one shard of a small node.
public struct StoreOptions: Hashable, Sendable {
  /// Bytes of keys and values after which the active memtable is sealed and a new one begun.
  public var memtableByteLimit = 16 << 20
  /// Sealed memtables that may wait for their flush before appending stalls.
  public var immutableMemtableLimit = 2
  /// Values of at least this many bytes stay in the journal, and the ledger refers to them.
  ///
  /// Smaller ones are in both. `Int.max` keeps all values in the ledger.
  public var separationByteCount = 4 << 10
  /// Bytes after which the journal begins a new segment.
  public var segmentByteLimit = 64 << 20
  /// Bytes of the journal, per memtable, that opening after a crash may have to read; the memtable is
  /// flushed when they are exceeded.
  public var replayByteLimit = 512 << 20
  /// How much garbage the journal's segments may hold, before garbage collection moves live values out
  /// of the emptiest: with 1.25 a quarter of the live values, counted as they were before compression.
  public var spaceAmplificationLimit = 1.25
  /// Bytes a second that garbage collection may move although nobody appends, on a store with a thread
  /// of its own; while others append it may move twice as much as they do.
  public var collectionByteRate = 32 << 20
  /// Bytes of the journal held in memory before they are written (not synced).
  public var journalBufferByteLimit = 256 << 10
  /// Uncompressed bytes after which a block of an SSTable is closed.
  public var blockByteCount = 4096
  /// Entries between two keys of a block that are stored whole.
  public var restartInterval = 16
  /// Bytes after which a table begins the next part of its index, and twice as many of its filter.
  ///
  /// The parts of a table go through the block cache; a table with a single one keeps it in memory.
  public var indexPartByteCount = 16 << 10
  /// Bits of Bloom filter per key; 0 for no filter.
  public var filterBitsPerKey = 10
  /// How blocks and separated values are compressed.
  public var compression = Compression.lz4
  /// Bytes of uncompressed blocks kept in memory; 0 for no cache.
  public var blockCacheByteLimit = 64 << 20
  /// Bytes after which compaction begins the next SSTable.
  public var tableByteLimit = 16 << 20
  /// Bytes that level 1 may hold before it is compacted.
  public var levelBaseByteLimit = 64 << 20
  /// By how much each level may be larger than the one above it.
  public var levelMultiplier = 10
  /// Files in level 0 that start a compaction.
  public var level0CompactionFileCount = 4
  /// Files in level 0 at which appending stalls until a compaction has run.
  public var level0StallFileCount = 16
  /// Threads among which a large compaction is divided, with `background: .thread`.
  public var compactionThreadCount = 2
  /// Bytes after which the manifest is rewritten as a new file.
  public var manifestByteLimit = 1 << 20
  /// Who runs flushes and compactions.
  public var background = Background.manual

  /// How blocks of SSTables and separated values are compressed.
  public enum Compression: Hashable, Sendable {
    /// Not at all.
    case none
    /// With LZ4, where that saves at least an eighth.
    case lz4
  }

  /// Who runs flushes and compactions.
  public enum Background: Hashable, Sendable {
    /// The caller, with ``Store/performBackgroundWork()``; appending does it when a limit is hit.
    case manual
    /// A thread that the store owns.
    case thread
  }

  /// The defaults.
  public init() {}

  func validate() throws(StorageError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(StorageError) {
      guard condition else { throw StorageError(.invalidOptions, message()) }
    }
    try require(memtableByteLimit > 0, "memtableByteLimit is \(memtableByteLimit)")
    try require(immutableMemtableLimit > 0, "immutableMemtableLimit is \(immutableMemtableLimit)")
    try require(separationByteCount > 0, "separationByteCount is \(separationByteCount)")
    try require(
      segmentByteLimit > 0 && segmentByteLimit < 1 << 38, "segmentByteLimit is \(segmentByteLimit)")
    try require(replayByteLimit > 0, "replayByteLimit is \(replayByteLimit)")
    try require(collectionByteRate > 0, "collectionByteRate is \(collectionByteRate)")
    try require(
      spaceAmplificationLimit > 1, "spaceAmplificationLimit is \(spaceAmplificationLimit)")
    try require(journalBufferByteLimit > 0, "journalBufferByteLimit is \(journalBufferByteLimit)")
    try require(
      blockByteCount > 0 && blockByteCount <= 16 << 20, "blockByteCount is \(blockByteCount)")
    try require(restartInterval > 0, "restartInterval is \(restartInterval)")
    try require(
      indexPartByteCount > 0 && indexPartByteCount <= 16 << 20,
      "indexPartByteCount is \(indexPartByteCount)")
    try require((0...32).contains(filterBitsPerKey), "filterBitsPerKey is \(filterBitsPerKey)")
    try require(blockCacheByteLimit >= 0, "blockCacheByteLimit is \(blockCacheByteLimit)")
    try require(tableByteLimit > 0, "tableByteLimit is \(tableByteLimit)")
    try require(levelBaseByteLimit > 0, "levelBaseByteLimit is \(levelBaseByteLimit)")
    try require(levelMultiplier > 1, "levelMultiplier is \(levelMultiplier)")
    try require(
      level0CompactionFileCount > 0 && level0StallFileCount >= level0CompactionFileCount,
      "level 0 compacts at \(level0CompactionFileCount) files, stalls at \(level0StallFileCount)")
    try require(
      (1...64).contains(compactionThreadCount), "compactionThreadCount is \(compactionThreadCount)")
    try require(manifestByteLimit > 0, "manifestByteLimit is \(manifestByteLimit)")
  }
}

/// The sizes that a store accepts.
public enum StoreLimits {
  /// The longest key: room for object names of 100,000 bytes, escaped.
  public static let keyByteCount = 256 << 10
  /// The longest value.
  public static let valueByteCount = 128 << 20
  /// The most bytes one batch may take in its encoding.
  public static let batchByteCount = 256 << 20
}
