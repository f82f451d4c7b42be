import KVStorage
import Synchronization

/// This project's engine.
final class SpineEngine: BenchEngine {
  private let directory: String
  private let options: StoreOptions
  private let store: Mutex<Store>
  let recoveredOperationCount: Int?

  init(_ directory: String, _ settings: EngineSettings) {
    var options = StoreOptions()
    options.background = .thread
    options.compactionThreadCount = 1
    options.memtableByteLimit = settings.writeBufferByteCount
    options.immutableMemtableLimit = settings.writeBufferCount - 1
    options.blockCacheByteLimit = settings.cacheByteCount
    options.blockByteCount = settings.blockByteCount
    options.filterBitsPerKey = settings.filterBitsPerKey
    options.tableByteLimit = settings.tableByteCount
    options.levelBaseByteLimit = settings.levelBaseByteCount
    options.level0CompactionFileCount = settings.level0CompactionFileCount
    options.level0StallFileCount = settings.level0StallFileCount
    self.directory = directory
    self.options = options
    let opened = Self.open(directory, options)
    recoveredOperationCount = opened.openReport.operationsReplayed
    store = Mutex(opened)
  }

  private static func open(_ directory: String, _ options: StoreOptions) -> Store {
    orFail { try Store.open(at: directory, fileSystem: PosixFileSystem(), options: options) }
  }

  func session() -> any BenchSession { SpineSession(store.withLock { $0 }) }

  func settle() {
    store.withLock { store in
      compact(store)
      orFail { try store.close() }
      store = Self.open(directory, options)
      compact(store)
    }
  }

  private func compact(_ store: Store) {
    orFail { while try store.performBackgroundWork() {} }
  }

  func close() { store.withLock { store in orFail { try store.close() } } }
}

/// Calls the store the way its hot path is meant to be used; what changes in its API ends here.
private final class SpineSession: BenchSession {
  private let store: Store
  private var batch = WriteBatch()
  private var buffer: [UInt8] = []
  /// Makes reading the values count.
  private var checksum: UInt8 = 0

  init(_ store: Store) { self.store = store }

  func put(_ key: [UInt8], _ value: [UInt8], sync: Bool) {
    batch.removeAll()
    batch.put(key, value, headByteCount: min(64, value.count))
    orFail {
      let sequence = try store.append(batch)
      if sync { try store.sync(through: sequence) }
    }
  }

  func delete(_ key: [UInt8]) {
    batch.removeAll()
    batch.delete(key)
    orFail { _ = try store.append(batch) }
  }

  func get(_ key: [UInt8]) -> Int {
    orFail { try store.withValue(key) { value in value.byteCount } ?? -1 }
  }

  func head(_ key: [UInt8]) -> Int {
    orFail { try store.head(key, into: &buffer) ? buffer.count : -1 }
  }

  func scan(from key: [UInt8], limit: Int, heads: Bool) -> Int {
    var count = 0
    var sum: UInt8 = 0
    orFail {
      try store.snapshot().forEachSpan(from: key, heads ? .heads : .values) { _, value in
        count += 1
        if !value.isEmpty { sum &+= value.unsafeLoad(fromByteOffset: value.byteCount - 1, as: UInt8.self) }
        return count < limit
      }
    }
    checksum &+= sum
    return count
  }
}
