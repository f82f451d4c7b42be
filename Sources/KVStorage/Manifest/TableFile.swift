import KVBase
import Synchronization

/// One SSTable of a version; opened when it is first read.
///
/// **Concurrency**: any thread may read. The file is removed by the background work once no version
/// refers to this object any more.
final class TableFile: @unchecked Sendable {
  // The bounds are filled by the initialiser and never changed.
  let metadata: TableMetadata
  let path: String
  /// The smallest and the largest key, where a search compares them without touching an array.
  let smallest: RawBytes
  let largest: RawBytes
  private let opening = Mutex<Table?>(nil)
  private let opened = Atomic<UnsafeRawPointer?>(nil)

  init(_ metadata: TableMetadata, ledger: String) {
    self.metadata = metadata
    path = StorePaths.table(ledger, metadata.number)
    smallest = TableFile.copy(metadata.properties.smallestKey)
    largest = TableFile.copy(metadata.properties.largestKey)
  }

  deinit {
    smallest.deallocate()
    largest.deallocate()
  }

  private static func copy(_ key: Bytes) -> RawBytes {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, key.count), alignment: 8)
    key.withRaw { memory.copyMemory(from: $0) }
    return RawBytes(start: memory.baseAddress, count: key.count)
  }

  var smallestKey: Bytes { metadata.properties.smallestKey }
  var largestKey: Bytes { metadata.properties.largestKey }

  /// The table, opened and checked against the manifest.
  func table(_ environment: TableEnvironment) throws(StorageError) -> Table {
    try withTable(environment) { $0 }
  }

  /// Calls `body` with the table, whose reference count a lookup need not touch.
  @inline(__always)
  func withTable<Result>(
    _ environment: TableEnvironment, _ body: (Table) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    guard let known = opened.load(ordering: .acquiring) else {
      return try body(open(environment))
    }
    var result: Swift.Result<Result, StorageError>?
    Unmanaged<Table>.fromOpaque(known)._withUnsafeGuaranteedRef { table in
      do throws(StorageError) { result = .success(try body(table)) } catch {
        result = .failure(error)
      }
    }
    return try result.unsafelyUnwrapped.get()
  }

  private func open(_ environment: TableEnvironment) throws(StorageError) -> Table {
    try opening.withLock { (table) throws(StorageError) in
      if let table { return table }
      let found = try Table(
        path: path, number: metadata.number, fileSystem: environment.fileSystem,
        cache: environment.cache)
      guard found.properties == metadata.properties else {
        throw StorageError(.malformed, "the table is not the one the manifest names", path: path)
      }
      table = found
      opened.store(
        UnsafeRawPointer(Unmanaged.passUnretained(found).toOpaque()), ordering: .releasing)
      return found
    }
  }

  @inline(__always)
  func contains(_ key: RawBytes) -> Bool { compareKeys(smallest, key) <= 0 && !isBefore(key) }

  /// True when every key of the table is before `key`.
  @inline(__always)
  func isBefore(_ key: RawBytes) -> Bool { compareKeys(largest, key) < 0 }

  /// True when the table may hold keys in the closed range.
  func overlaps(_ lower: Bytes, _ upper: Bytes) -> Bool {
    lower.withRaw { !isBefore($0) } && upper.withRaw { compareKeys(smallest, $0) } <= 0
  }
}

extension [TableFile] {
  /// Index of the first of ascending tables whose largest key is not before `key`.
  func firstIndex(notBefore key: RawBytes) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].isBefore(key) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// What is needed to open tables.
struct TableEnvironment: Sendable {
  var fileSystem: any FileSystem
  var cache: BlockCache
}
