import ArgumentParser

/// What both engines are set to.
struct EngineSettings: Sendable {
  var writeBufferByteCount = 16 << 20
  /// Memtables in all: the active one and those that wait for their flush.
  var writeBufferCount = 3
  var cacheByteCount = 64 << 20
  var blockByteCount = 4096
  var filterBitsPerKey = 10
  var tableByteCount = 16 << 20
  var levelBaseByteCount = 64 << 20
  var level0CompactionFileCount = 4
  var level0StallFileCount = 20

  /// What memtables and cache may take together.
  var memoryByteLimit: Int { writeBufferCount * writeBufferByteCount + cacheByteCount }

  /// Caches that hold all of the data.
  static let roomy = EngineSettings()

  /// Caches several times smaller than the data.
  static let tight = EngineSettings(
    writeBufferByteCount: 4 << 20, cacheByteCount: 16 << 20, tableByteCount: 4 << 20,
    levelBaseByteCount: 16 << 20)

  /// A write buffer that holds all that the crash test writes, so that nothing is flushed before.
  static let unflushed = EngineSettings(writeBufferByteCount: 64 << 20, cacheByteCount: 16 << 20)

  /// The settings in one line.
  var summary: String {
    """
    write buffers \(writeBufferCount) x \(mebibytes(writeBufferByteCount)), block cache \
    \(mebibytes(cacheByteCount)), tables of \(mebibytes(tableByteCount)), level 1 of \
    \(mebibytes(levelBaseByteCount))
    """
  }

  /// What is the same in all settings, in one line.
  var commonSummary: String {
    """
    blocks of \(blockByteCount) B, LZ4, Bloom filter of \(filterBitsPerKey) bits a key, level 0 \
    compacts at \(level0CompactionFileCount) tables and stops writes at \(level0StallFileCount), \
    one background thread (RocksDB: max_background_jobs=1), buffered file access
    """
  }
}

/// Bytes as whole MiB, for people.
func mebibytes(_ byteCount: Int) -> String { "\(byteCount >> 20) MiB" }

/// The engines that are compared.
enum EngineKind: String, CaseIterable, Sendable, ExpressibleByArgument {
  case spine, rocks

  func open(_ directory: String, _ settings: EngineSettings) -> any BenchEngine {
    switch self {
    case .spine: SpineEngine(directory, settings)
    case .rocks: RocksEngine(directory, settings)
    }
  }
}

/// An engine under test.
///
/// Failures end the program: a benchmark with errors has no result.
protocol BenchEngine: AnyObject, Sendable {
  /// Puts and deletes that opening recovered from the journal; nil when the engine does not say.
  var recoveredOperationCount: Int? { get }
  /// A session per thread, with the buffers that the thread reuses; good until ``settle()``.
  func session() -> any BenchSession
  /// Empties memtables and caches: flushes, closes, opens again; returns when no compaction is due.
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
  ///
  /// With `heads` an engine with heads reads them instead of the values.
  func scan(from key: [UInt8], limit: Int, heads: Bool) -> Int
}

func orFail<T>(_ body: () throws -> T) -> T {
  do { return try body() } catch { stop("\(error)") }
}
