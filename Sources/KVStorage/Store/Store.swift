public import KVBase
import Synchronization

/// A durable, ordered map from keys to values in one directory.
///
/// Writes go to a journal and a memtable, and from there to sorted tables in levels (an LSM tree).
/// What ``sync(through:)`` or ``write(_:)`` has reported is found again after a crash at any instant.
///
/// **Concurrency**: every method may be called from any thread. Reads never wait for writes. Appends
/// run one after another; syncs that wait at the same time share one `fdatasync`. With the option
/// `background: .manual` the store starts no thread and the caller must call
/// ``performBackgroundWork()``; releasing a store without ``close()`` is like a crash of the process.
///
/// **On disk**: Docs/Formats.md. The directory is locked while the store is open.
public final class Store: Sendable {
  let engine: Engine
  private let thread = Mutex<PosixThread?>(nil)

  /// What opening found and did.
  public let openReport: OpenReport

  /// Opens the store in a directory, creating both if need be, and recovers from a crash.
  ///
  /// Throws `locked` when it is open elsewhere, and a corruption error, having changed nothing, when
  /// durable data is damaged or missing.
  public static func open(
    at directory: String, fileSystem: any FileSystem, options: StoreOptions = StoreOptions()
  ) throws(StorageError) -> Store {
    let (engine, report) = try Engine.open(at: directory, fileSystem: fileSystem, options: options)
    let store = Store(engine, report)
    if options.background == .thread {
      let thread = try PosixThread { engine.runMaintenance() }
      store.thread.withLock { $0 = thread }
    }
    return store
  }

  private init(_ engine: Engine, _ report: OpenReport) {
    self.engine = engine
    openReport = report
  }

  deinit { stopThread() }

  private func stopThread() {
    engine.requestStop()
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    thread?.join()
  }

  // MARK: Reading

  /// The value of a key; nil when it has none.
  public func get(_ key: Bytes) throws(StorageError) -> Bytes? {
    var value = Bytes()
    return try get(key, into: &value) ? value : nil
  }

  /// Replaces the buffer's contents by the value of a key; false when the key has none.
  ///
  /// Allocates nothing while the buffer's capacity suffices.
  public func get(_ key: Bytes, into buffer: inout Bytes) throws(StorageError) -> Bool {
    try engine.find(key, .values, into: &buffer)
  }

  /// Calls `body` with the value of a key where it lies in memory; nil when the key has none.
  ///
  /// Copies nothing that the cache or a table holds. The memory is valid until `body` returns.
  public func withValue<Result>(
    _ key: Bytes, _ body: (RawSpan) throws(StorageError) -> Result
  ) throws(StorageError) -> Result? {
    try engine.withValue(key, body)
  }

  /// The head of a key's value: the first bytes, as many as the put declared; nil without a value.
  ///
  /// It costs the same for a large value as for a small one.
  public func head(_ key: Bytes) throws(StorageError) -> Bytes? {
    var value = Bytes()
    return try head(key, into: &value) ? value : nil
  }

  /// Replaces the buffer's contents by the head of a key's value; false when the key has none.
  ///
  /// Allocates nothing while the buffer's capacity suffices.
  public func head(_ key: Bytes, into buffer: inout Bytes) throws(StorageError) -> Bool {
    try engine.find(key, .heads, into: &buffer)
  }

  /// True when the key has a value.
  public func contains(_ key: Bytes) throws(StorageError) -> Bool {
    var nothing = Bytes()
    return try engine.find(key, .keys, into: &nothing)
  }

  /// The store as it is now, for reads that must agree with each other.
  public func snapshot() throws(StorageError) -> Snapshot { try Snapshot(engine) }

  /// The entries with `lower <= key < upper` in ascending order, at most `limit` of them.
  ///
  /// Without `upper` the range has no end. For more than fits in memory use ``forEach(from:to:_:_:)``.
  public func scan(
    from lower: Bytes = [], to upper: Bytes? = nil, limit: Int = .max,
    _ projection: Projection = .values
  ) throws(StorageError) -> [Entry] {
    try snapshot().scan(from: lower, to: upper, limit: limit, projection)
  }

  /// The entries whose key begins with `prefix` in ascending order, at most `limit` of them.
  public func scan(
    prefix: Bytes, limit: Int = .max, _ projection: Projection = .values
  ) throws(StorageError) -> [Entry] {
    try snapshot().scan(prefix: prefix, limit: limit, projection)
  }

  /// Calls `body` for each entry with `lower <= key < upper`, ascending, until it returns false.
  ///
  /// The entries are those of one moment; memory use does not depend on their number.
  public func forEach(
    from lower: Bytes = [], to upper: Bytes? = nil, _ projection: Projection = .values,
    _ body: (Entry) throws(StorageError) -> Bool
  ) throws(StorageError) {
    try snapshot().forEach(from: lower, to: upper, projection, body)
  }

  /// About how many entries and bytes there are in `lower <= key < upper`, without reading them.
  ///
  /// Wrong by up to a block for each table at either end; entries that newer ones replace count until
  /// a compaction drops them.
  public func approximateSize(
    from lower: Bytes = [], to upper: Bytes? = nil
  ) throws(StorageError) -> ApproximateSize {
    try engine.approximateSize(from: lower, to: upper)
  }

  // MARK: Writing

  /// Applies a batch as a whole and returns the sequence number to sync through.
  ///
  /// Reads see it at once; it is not durable yet. On an error nothing of it was applied: `diskFull`
  /// may be tried again, `journalPoisoned` not before a reopen. It may take long when background
  /// work is behind (see ``StoreOptions``).
  public func append(_ batch: WriteBatch) throws(StorageError) -> SequenceNumber {
    try engine.append(batch)
  }

  /// Makes every write up to `sequence` durable; returns when it is.
  ///
  /// Blocks for about the time of one or two `fdatasync`. After `diskFull` the writes stay visible
  /// and a later sync tries again; after `journalPoisoned` they are lost unless a reopen finds them.
  /// - Precondition: `sequence` was returned by ``append(_:)``.
  public func sync(through sequence: SequenceNumber) throws(StorageError) {
    try engine.sync(through: sequence)
  }

  /// Applies a batch and makes it durable.
  public func write(_ batch: WriteBatch) throws(StorageError) {
    try engine.sync(through: try engine.append(batch))
  }

  /// The last write applied.
  public var appendedSequence: SequenceNumber { engine.sequences.appended }

  /// The last write known to be durable.
  public var syncedSequence: SequenceNumber { engine.sequences.synced }

  // MARK: Upkeep

  /// Does one flush or compaction, if one is due; false when there was nothing to do.
  ///
  /// Safe beside all other calls; a second thread calling it waits for the first.
  public func performBackgroundWork() throws(StorageError) -> Bool {
    try engine.performBackgroundWork()
  }

  /// Reads all tables and compares their checksums with those recorded when they were written.
  public func verify() throws(StorageError) { try engine.verify() }

  /// What the store holds and has done.
  public func statistics() -> StoreStatistics { engine.statistics() }

  /// Makes all writes durable, moves them to tables, and marks the store as closed in order.
  ///
  /// Every later call throws `closed`. When this throws, the store is closed all the same, and the
  /// next open recovers what was durable.
  public func close() throws(StorageError) {
    stopThread()
    try engine.close()
  }
}
