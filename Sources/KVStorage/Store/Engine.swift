import KVBase
import Synchronization

/// The parts of an open store and the locks around them.
///
/// **Concurrency**: three locks, taken in this order.
/// 1. `backgroundLock`: held by whoever flushes, compacts or collects; guards `ledger`, `collector`.
/// 2. `writeLock`: held while a batch is applied; guards `writer`. Released during the write and sync
///    of a group of records (`isWriting` says so), so that the next group can collect meanwhile.
/// 3. `state`: held for the moment in which the read state is fetched or replaced.
///
/// A read takes the state first and the visible sequence number second: all sequence numbers in the
/// tables of that state were visible before, and a batch is never split between memtables, so what
/// it sees is the store after some whole batch.
final class Engine: @unchecked Sendable {
  // `ledger`, `collector`, `writer` and `scratch` are guarded as said above; the rest is immutable or thread-safe.
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
  let collector: GarbageCollector
  /// Guarded by the background lock, as is the next.
  var obsoleteSegments: [Segment] = []
  var isCollectionNext = false
  /// Bytes of the segments in the manifest.
  let journalByteCount = Atomic<Int>(0)
  let isCollectionWaiting = Atomic<Bool>(false)
  /// Ranges whose damaged tables are to be rewritten.
  let suspectRanges = Mutex<[KeyRange]>([])
  /// The number of the last file scrubbed.
  let scrubPosition = Atomic<UInt64>(0)
  let batches = BatchPool()
  /// Whether the last value compressed shrank to more than half its length.
  let areValuesDense = Atomic<Bool>(false)
  var writer: Writer
  /// For the entry being inserted; guarded by the write lock.
  var scratch = RawBuffer()
  private let lock = Mutex<(any FileLock)?>(nil)

  /// What the write lock guards.
  struct Writer {
    var journal: JournalWriter
    var active: Memtable
    /// The sealed segments of the active memtable, oldest first, and the bytes in them.
    var sealedSegments: [Segment] = []
    var sealedByteCount = 0
    /// The separated values in them.
    var sealedValueByteCount = 0
    /// The sealed segments that may not be durable yet, oldest first.
    var unsynced: [Segment] = []
    var last: SequenceNumber
    var synced: SequenceNumber
    /// The number for the next segment, kept when creating it failed so that no half segment stays.
    var reservedSegment: FileNumber?
    /// The journal has its footer: nothing may be appended before the next segment is there.
    var isSealed = false
    var isWriting = false
    /// The number of the group that is being written, or was last, with the lock released.
    var groupNumber = 0
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
    var segments = ledger.segments
    segments.insert(journal.segment)
    state = Mutex(
      ReadState(
        active: active, immutables: [], version: ledger.version, segments: segments,
        flushCount: 0))
    collector = GarbageCollector(ledger)
    journalByteCount.store(ledger.segments.byteCount, ordering: .relaxed)
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

  func approximateSize(
    from lower: Bytes, to upper: Bytes?
  ) throws(StorageError) -> ApproximateSize {
    try requireOpen()
    guard upper.map({ lower.lexicographicallyPrecedes($0) }) ?? true else {
      return ApproximateSize()
    }
    let state = readState
    return try lower.withRaw { (lower) throws(StorageError) in
      guard let upper else { return try state.approximateSize(from: lower, to: nil, environment) }
      return try upper.withRaw { (upper) throws(StorageError) in
        try state.approximateSize(from: lower, to: upper, environment)
      }
    }
  }

  /// A cursor over the state as it was at a sequence number, to be given back to the state's pool.
  func cursor(_ state: ReadState, at sequence: UInt64) throws(StorageError) -> MergingCursor {
    if let cursor = state.cursors.take() {
      cursor.rest(at: sequence)
      return cursor
    }
    var sources: [Cursor] = [MemtableCursor(state.active, at: sequence)]
    for sealed in state.immutables {
      sources.append(MemtableCursor(sealed.memtable, at: sequence))
    }
    sources += try state.version.cursors(environment)
    return MergingCursor(sources)
  }
}
