import CRocksDB
import Foundation
import Synchronization

/// RocksDB through its C API.
final class RocksEngine: BenchEngine {
  /// The database's handle; thread-safe by RocksDB's documentation.
  private struct Handle: @unchecked Sendable { var pointer: OpaquePointer }

  private let directory: String
  private let settings: EngineSettings
  private let handle: Mutex<Handle>

  init(_ directory: String, _ settings: EngineSettings) {
    self.directory = directory
    self.settings = settings
    handle = Mutex(Self.open(directory, settings))
  }

  var recoveredOperationCount: Int? { nil }

  func session() -> any BenchSession { RocksSession(handle.withLock { $0.pointer }) }

  func settle() {
    handle.withLock { handle in
      let flush = rocksdb_flushoptions_create()
      check { rocksdb_flush(handle.pointer, flush, $0) }
      rocksdb_flushoptions_destroy(flush)
      Self.waitForCompactions(handle.pointer)
      rocksdb_close(handle.pointer)
      handle = Self.open(directory, settings)
      Self.waitForCompactions(handle.pointer)
    }
  }

  func close() { handle.withLock { rocksdb_close($0.pointer) } }

  private static func waitForCompactions(_ database: OpaquePointer) {
    let properties = [
      "rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes",
      "rocksdb.compaction-pending", "rocksdb.num-running-compactions",
    ]
    while properties.contains(where: { property(database, $0) != 0 }) { usleep(2_000) }
  }

  private static func property(_ database: OpaquePointer, _ name: String) -> UInt64 {
    var value: UInt64 = 0
    rocksdb_property_int(database, name, &value)
    return value
  }

  // MARK: Opening

  private static func open(_ directory: String, _ settings: EngineSettings) -> Handle {
    let options = rocksdb_options_create()
    defer { rocksdb_options_destroy(options) }
    rocksdb_options_set_create_if_missing(options, 1)
    rocksdb_options_set_info_log_level(options, 3)
    rocksdb_options_set_stats_dump_period_sec(options, 0)
    rocksdb_options_set_stats_persist_period_sec(options, 0)
    // Its 4 MiB reserved for the manifest would count as space of the data.
    rocksdb_options_set_manifest_preallocation_size(options, 64 << 10)
    rocksdb_options_set_max_background_jobs(options, 1)
    rocksdb_options_set_compression(options, Int32(rocksdb_lz4_compression))
    rocksdb_options_set_write_buffer_size(options, settings.writeBufferByteCount)
    rocksdb_options_set_max_write_buffer_number(options, Int32(settings.writeBufferCount))
    rocksdb_options_set_target_file_size_base(options, UInt64(settings.tableByteCount))
    rocksdb_options_set_max_bytes_for_level_base(options, UInt64(settings.levelBaseByteCount))
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 0)
    rocksdb_options_set_level0_file_num_compaction_trigger(
      options, Int32(settings.level0CompactionFileCount))
    let stall = Int32(settings.level0StallFileCount)
    rocksdb_options_set_level0_slowdown_writes_trigger(options, stall)
    rocksdb_options_set_level0_stop_writes_trigger(options, stall)
    setTable(options, settings)
    return Handle(pointer: checked { rocksdb_open(options, directory, $0) })
  }

  private static func setTable(_ options: OpaquePointer?, _ settings: EngineSettings) {
    let table = rocksdb_block_based_options_create()
    let cache = rocksdb_cache_create_lru(settings.cacheByteCount)
    rocksdb_block_based_options_set_block_size(table, settings.blockByteCount)
    rocksdb_block_based_options_set_block_cache(table, cache)
    rocksdb_block_based_options_set_filter_policy(
      table, rocksdb_filterpolicy_create_bloom_full(Double(settings.filterBitsPerKey)))
    rocksdb_options_set_block_based_table_factory(options, table)
    rocksdb_cache_destroy(cache)
    rocksdb_block_based_options_destroy(table)
  }
}

private typealias ErrorSlot = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

private func check(_ body: (ErrorSlot) -> Void) {
  var error: UnsafeMutablePointer<CChar>?
  body(&error)
  if let error { stop("RocksDB: \(String(cString: error))") }
}

private func checked(_ body: (ErrorSlot) -> OpaquePointer?) -> OpaquePointer {
  var result: OpaquePointer?
  check { result = body($0) }
  guard let result else { stop("RocksDB gave no result") }
  return result
}

/// Uses the calls that copy least: pinned reads and the iterator's own memory.
private final class RocksSession: BenchSession {
  private let database: OpaquePointer
  private let plain = rocksdb_writeoptions_create()
  private let synced = rocksdb_writeoptions_create()
  private let read = rocksdb_readoptions_create()
  /// Makes reading the values count.
  private var checksum: CChar = 0

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
    let options = sync ? synced : plain
    withChars(key) { key in
      withChars(value) { value in
        check {
          rocksdb_put(
            database, options, key.baseAddress, key.count, value.baseAddress, value.count, $0)
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
      var slice: OpaquePointer?
      check { slice = rocksdb_get_pinned(database, read, key.baseAddress, key.count, $0) }
      guard let slice else { return -1 }
      var count = 0
      _ = rocksdb_pinnableslice_value(slice, &count)
      rocksdb_pinnableslice_destroy(slice)
      return count
    }
  }

  func head(_ key: [UInt8]) -> Int { get(key) }

  func scan(from key: [UInt8], limit: Int, heads: Bool) -> Int {
    let iterator = rocksdb_create_iterator(database, read)
    defer { rocksdb_iter_destroy(iterator) }
    withChars(key) { rocksdb_iter_seek(iterator, $0.baseAddress, $0.count) }
    var count = 0
    var sum: CChar = 0
    while count < limit, rocksdb_iter_valid(iterator) != 0 {
      var length = 0
      _ = rocksdb_iter_key(iterator, &length)
      if let value = rocksdb_iter_value(iterator, &length), length > 0 { sum &+= value[length - 1] }
      count += 1
      rocksdb_iter_next(iterator)
    }
    check { rocksdb_iter_get_error(iterator, $0) }
    checksum &+= sum
    return count
  }

  private func withChars<R>(_ bytes: [UInt8], _ body: (UnsafeBufferPointer<CChar>) -> R) -> R {
    bytes.withUnsafeBytes { body($0.bindMemory(to: CChar.self)) }
  }
}
