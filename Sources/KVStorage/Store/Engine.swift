import KVBase
import Synchronization

/// Where reads look: replaced as a whole when a memtable is sealed or flushed or tables change.
final class ReadState: Sendable {
  let active: Memtable
  /// Sealed memtables, newest first.
  let immutables: [SealedMemtable]
  let version: Version

  init(active: Memtable, immutables: [SealedMemtable], version: Version) {
    self.active = active
    self.immutables = immutables
    self.version = version
  }
}

/// A memtable that gets no more entries, and the journal segment that holds the same.
struct SealedMemtable: Sendable {
  var memtable: Memtable
  var segment: FileNumber
  var lastSequence: SequenceNumber
}

/// The parts of an open store and the locks around them.
///
/// **Concurrency**: three locks, taken in this order.
/// 1. `backgroundLock`: held by whoever flushes or compacts; guards `ledger`.
/// 2. `writeLock`: held while a batch is applied; guards `writer`. Released during the write and sync
///    of a group of records (`isWriting` says so), so that the next group can collect meanwhile.
/// 3. `state`: held for the moment in which the read state is fetched or replaced.
///
/// A read takes the state first and the visible sequence number second: all sequence numbers in the
/// tables of that state were visible before, and a batch is never split between memtables, so what
/// it sees is the store after some whole batch.
final class Engine: @unchecked Sendable {
  // `ledger` and `writer` are guarded as said above; the rest is immutable or thread-safe.
  let root: String
  let options: StoreOptions
  let environment: TableEnvironment
  let counters: Counters
  let fileNumbers: FileNumbers
  let state: Mutex<ReadState>
  let visible: Atomic<UInt64>
  let isClosed = Atomic<Bool>(false)
  let backgroundLock = Monitor()
  let writeLock = Monitor()
  let ledger: Ledger
  var writer: Writer
  private let lock = Mutex<(any FileLock)?>(nil)

  /// What the write lock guards.
  struct Writer {
    var journal: JournalWriter
    var active: Memtable
    var last: SequenceNumber
    var synced: SequenceNumber
    /// The number for the next segment, kept when creating it failed so that no half segment stays.
    var reservedSegment: FileNumber?
    var isWriting = false
    /// The last write of a group failed and must be repeated before anything is appended.
    var mustRetryWrite = false
    var poison: StorageError?
    var isWorkRequested = true
    var isStopping = false
    var backgroundError: StorageError?
  }

  init(
    root: String, options: StoreOptions, ledger: Ledger, journal: JournalWriter,
    last: SequenceNumber, lock: any FileLock
  ) {
    self.root = root
    self.options = options
    self.ledger = ledger
    environment = ledger.environment
    counters = ledger.counters
    fileNumbers = ledger.fileNumbers
    let active = Memtable(seed: journal.header.number.rawValue)
    state = Mutex(ReadState(active: active, immutables: [], version: ledger.version))
    visible = Atomic(last.rawValue)
    writer = Writer(journal: journal, active: active, last: last, synced: last)
    self.lock.withLock { $0 = lock }
  }

  var fileSystem: any FileSystem { environment.fileSystem }

  @inline(__always)
  var readState: ReadState { state.withLock { $0 } }

  func releaseLock() { lock.withLock { $0 = nil } }

  @inline(__always)
  func requireOpen() throws(StorageError) {
    if isClosed.load(ordering: .relaxed) {
      throw StorageError(.closed, "the store is closed", path: root)
    }
  }

  // MARK: Reading

  func find(_ key: Bytes, _ projection: Projection) throws(StorageError) -> Bytes? {
    try requireOpen()
    let state = readState
    return try find(key, projection, state, at: visible.load(ordering: .acquiring))
  }

  func find(
    _ key: Bytes, _ projection: Projection, _ state: ReadState, at sequence: UInt64
  ) throws(StorageError) -> Bytes? {
    // The memtables' memory is only safe while the state lives.
    defer { withExtendedLifetime(state) {} }
    return try key.withRaw { (key) throws(StorageError) in
      var entry = state.active.find(key, at: sequence)
      if entry == nil {
        for sealed in state.immutables {
          entry = sealed.memtable.find(key, at: sequence)
          if entry != nil { break }
        }
      }
      if let entry { return entry.kind == .delete ? nil : entry.projected(projection) }
      switch try state.version.find(key, projection, environment) {
      case .value(let value): return value
      case .deleted, .absent: return nil
      }
    }
  }

  func cursor(_ state: ReadState, at sequence: UInt64) throws(StorageError) -> Cursor {
    var sources: [Cursor] = [MemtableCursor(state.active, at: sequence)]
    for sealed in state.immutables {
      sources.append(MemtableCursor(sealed.memtable, at: sequence))
    }
    sources += try state.version.cursors(environment)
    return MergingCursor(sources)
  }
}
