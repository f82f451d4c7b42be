import CRocksDB
import Foundation
import KVStorage

/// What both engines are set to.
struct EngineSettings {
  var writeBufferByteCount = 16 << 20
  var cacheByteCount = 64 << 20
  var blockByteCount = 4096
  var filterBitsPerKey = 10
  var tableByteCount = 16 << 20
  var levelBaseByteCount = 64 << 20
  var level0CompactionFileCount = 4
  var level0StallFileCount = 20
}

/// An engine under test.
///
/// Failures end the program: a benchmark with errors has no result.
protocol BenchEngine: AnyObject, Sendable {
  /// A session per thread, with the buffers that the thread reuses.
  func session() -> any BenchSession
  /// Returns when no flush or compaction is due.
  func settle()
  func close()
}

protocol BenchSession: AnyObject {
  func put(_ key: [UInt8], _ value: [UInt8], sync: Bool)
  func delete(_ key: [UInt8])
  /// The length of the value, -1 when there is none.
  func get(_ key: [UInt8]) -> Int
  /// The length of the value's head; an engine without heads reads the value.
  func head(_ key: [UInt8]) -> Int
  /// Reads entries in order from a key; returns how many there were.
  func scan(from key: [UInt8], limit: Int) -> Int
}

func orFail<T>(_ body: () throws -> T) -> T {
  do { return try body() } catch {
    print("benchmark failed: \(error)")
    exit(1)
  }
}

final class SpineEngine: BenchEngine {
  let store: Store

  init(_ directory: String, _ settings: EngineSettings) {
    var options = StoreOptions()
    options.background = .thread
    options.memtableByteLimit = settings.writeBufferByteCount
    options.immutableMemtableLimit = 2
    options.blockCacheByteLimit = settings.cacheByteCount
    options.blockByteCount = settings.blockByteCount
    options.filterBitsPerKey = settings.filterBitsPerKey
    options.tableByteLimit = settings.tableByteCount
    options.levelBaseByteLimit = settings.levelBaseByteCount
    options.level0CompactionFileCount = settings.level0CompactionFileCount
    options.level0StallFileCount = settings.level0StallFileCount
    let configured = options
    store = orFail {
      try Store.open(at: directory, fileSystem: PosixFileSystem(), options: configured)
    }
  }

  func session() -> any BenchSession { SpineSession(store) }

  func settle() { orFail { while try store.performBackgroundWork() {} } }

  func close() { orFail { try store.close() } }
}

private final class SpineSession: BenchSession {
  private let store: Store
  private var batch = WriteBatch()

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

  func get(_ key: [UInt8]) -> Int { orFail { try store.get(key)?.count ?? -1 } }

  func head(_ key: [UInt8]) -> Int { orFail { try store.head(key)?.count ?? -1 } }

  func scan(from key: [UInt8], limit: Int) -> Int {
    orFail {
      var count = 0
      var total = 0
      try store.forEach(from: key) { entry in
        count += 1
        total &+= entry.value.count
        return count < limit
      }
      return count
    }
  }
}

final class RocksEngine: BenchEngine, @unchecked Sendable {
  // The handle is thread-safe by RocksDB's documentation and not changed after the initialiser.
  let database: OpaquePointer
  private let options: OpaquePointer

  init(_ directory: String, _ settings: EngineSettings) {
    options = rocksdb_options_create()
    rocksdb_options_set_create_if_missing(options, 1)
    rocksdb_options_set_write_buffer_size(options, settings.writeBufferByteCount)
    rocksdb_options_set_max_write_buffer_number(options, 3)
    rocksdb_options_set_compression(options, Int32(rocksdb_lz4_compression))
    rocksdb_options_set_target_file_size_base(options, UInt64(settings.tableByteCount))
    rocksdb_options_set_max_bytes_for_level_base(options, UInt64(settings.levelBaseByteCount))
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 0)
    rocksdb_options_set_level0_file_num_compaction_trigger(
      options, Int32(settings.level0CompactionFileCount))
    rocksdb_options_set_level0_slowdown_writes_trigger(
      options, Int32(settings.level0StallFileCount))
    rocksdb_options_set_level0_stop_writes_trigger(options, Int32(settings.level0StallFileCount))
    rocksdb_options_set_max_background_jobs(options, 1)
    let table = rocksdb_block_based_options_create()
    rocksdb_block_based_options_set_block_size(table, settings.blockByteCount)
    rocksdb_block_based_options_set_block_cache(
      table, rocksdb_cache_create_lru(settings.cacheByteCount))
    rocksdb_block_based_options_set_filter_policy(
      table, rocksdb_filterpolicy_create_bloom_full(Double(settings.filterBitsPerKey)))
    rocksdb_options_set_block_based_table_factory(options, table)
    let options = options
    database = checked { rocksdb_open(options, directory, $0) }
  }

  func session() -> any BenchSession { RocksSession(database) }

  func settle() {
    let flush = rocksdb_flushoptions_create()
    check { rocksdb_flush(database, flush, $0) }
    rocksdb_flushoptions_destroy(flush)
    while property("rocksdb.compaction-pending") != 0
      || property("rocksdb.num-running-compactions") != 0
    {
      usleep(10_000)
    }
  }

  private func property(_ name: String) -> UInt64 {
    var value: UInt64 = 0
    rocksdb_property_int(database, name, &value)
    return value
  }

  func close() { rocksdb_close(database) }
}

private typealias ErrorSlot = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

private func check(_ body: (ErrorSlot) -> Void) {
  var error: UnsafeMutablePointer<CChar>?
  body(&error)
  guard let error else { return }
  print("benchmark failed: \(String(cString: error))")
  exit(1)
}

private func checked(_ body: (ErrorSlot) -> OpaquePointer?) -> OpaquePointer {
  var result: OpaquePointer?
  check { result = body($0) }
  guard let result else {
    print("benchmark failed: no result")
    exit(1)
  }
  return result
}

private final class RocksSession: BenchSession {
  private let database: OpaquePointer
  private let plain = rocksdb_writeoptions_create()
  private let synced = rocksdb_writeoptions_create()
  private let read = rocksdb_readoptions_create()

  init(_ database: OpaquePointer) {
    self.database = database
    rocksdb_writeoptions_set_sync(synced, 1)
  }

  deinit {
    rocksdb_writeoptions_destroy(plain)
    rocksdb_writeoptions_destroy(synced)
    rocksdb_readoptions_destroy(read)
  }

  func put(_ key: [UInt8], _ value: [UInt8], sync: Bool) {
    withChars(key) { key in
      withChars(value) { value in
        check {
          rocksdb_put(
            database, sync ? synced : plain, key.baseAddress, key.count, value.baseAddress,
            value.count, $0)
        }
      }
    }
  }

  func delete(_ key: [UInt8]) {
    withChars(key) { key in
      check { rocksdb_delete(database, plain, key.baseAddress, key.count, $0) }
    }
  }

  func get(_ key: [UInt8]) -> Int {
    withChars(key) { key in
      var count = 0
      var value: UnsafeMutablePointer<CChar>?
      check { value = rocksdb_get(database, read, key.baseAddress, key.count, &count, $0) }
      guard let value else { return -1 }
      rocksdb_free(value)
      return count
    }
  }

  func head(_ key: [UInt8]) -> Int { get(key) }

  func scan(from key: [UInt8], limit: Int) -> Int {
    let iterator = rocksdb_create_iterator(database, read)
    defer { rocksdb_iter_destroy(iterator) }
    withChars(key) { rocksdb_iter_seek(iterator, $0.baseAddress, $0.count) }
    var count = 0
    var total = 0
    while count < limit, rocksdb_iter_valid(iterator) != 0 {
      var length = 0
      _ = rocksdb_iter_key(iterator, &length)
      _ = rocksdb_iter_value(iterator, &length)
      total &+= length
      count += 1
      rocksdb_iter_next(iterator)
    }
    return count
  }

  private func withChars<R>(_ bytes: [UInt8], _ body: (UnsafeBufferPointer<CChar>) -> R) -> R {
    bytes.withUnsafeBytes { body($0.bindMemory(to: CChar.self)) }
  }
}
