import KVBase
import Testing

@testable import KVStorage

@Suite struct CompressedValueTests {
  private func key(_ index: Int) -> Bytes { Bytes("key \(index)".utf8) }

  /// A value of which the part after the head shrinks to about a tenth.
  private func value(_ index: Int, _ count: Int) -> Bytes {
    Bytes(0..<UInt8(10)) + (10..<count).map { UInt8(truncatingIfNeeded: index + $0 / 100) }
  }

  private func open(
    _ fileSystem: CrashableFileSystem, _ change: (inout StoreOptions) -> Void = { _ in }
  ) throws -> Store {
    var options = StoreOptions.tiny
    options.separationByteCount = 500
    change(&options)
    return try Store.open(at: "/store", fileSystem: fileSystem, options: options)
  }

  private func fill(_ store: Store, _ indices: Range<Int>, count: Int = 2000) throws {
    for index in indices {
      var batch = WriteBatch()
      batch.put(
        key(index), value(index, count), headByteCount: 10, expiry: index % 3 == 0 ? 1 << 40 : nil)
      try store.write(batch)
    }
  }

  private func expect(_ store: Store, _ indices: Range<Int>, count: Int = 2000) throws {
    for index in indices {
      #expect(try store.get(key(index)) == value(index, count))
      #expect(try store.head(key(index)) == Bytes(0..<10))
    }
    let values = try store.scan(from: Bytes("key".utf8)).map(\.value)
    #expect(values.count == indices.count && values.allSatisfy { $0.count == count })
  }

  @Test(arguments: [0, 32 << 10])
  func `values come back from buffer, file, replay and collection`(cache: Int) throws {
    let fileSystem = CrashableFileSystem()
    var store = try open(fileSystem) { $0.blockCacheByteLimit = cache }
    try fill(store, 0..<50)
    try expect(store, 0..<50)
    var random = SeededRandom(seed: 1)
    let clone = try open(fileSystem.crash(random: &random)) { $0.separationByteCount = .max }
    try expect(clone, 0..<50)
    try clone.close()
    for _ in 0..<5 { try fill(store, 10..<50) }
    while try store.performBackgroundWork() {}
    try expect(store, 0..<50)
    #expect(store.statistics().collectionCount > 0)
    #expect(store.statistics().segmentByteCount < 50 * 2000 / 2)
    try store.close()
    #expect(try StoreInspector(at: "/store", fileSystem: fileSystem).verify().problems.isEmpty)
    store = try open(fileSystem) { $0.compression = .none }
    try expect(store, 0..<50)
    try store.close()
  }

  @Test func `what does not shrink is stored as it is`() throws {
    var random = SeededRandom(seed: 3)
    let noise = (0..<2000).map { _ in UInt8(random.below(256)) }
    var batch = WriteBatch()
    batch.put(key(0), noise, headByteCount: 2000)
    batch.put(key(1), noise)
    batch.delete(key(2))
    batch.put(key(3), value(3, 2000), headByteCount: 10)
    var compressed = WriteBatch()
    var isDense = false
    compressed.compress(batch, from: 100, isDense: &isDense)
    #expect(!isDense && compressed.count == 4)
    #expect(batch.byteCount - 2000 < compressed.byteCount)
    #expect(compressed.byteCount < batch.byteCount - 1500)
  }

  @Test func `a damaged value is an error of its own`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem) { $0.blockCacheByteLimit = 0 }
    try fill(store, 0..<1)
    try store.sync(through: store.appendedSequence)
    let segment = try #require(try fileSystem.list("/store/journal").first)
    // Within the value: it is the last operation of the first record.
    fileSystem.corrupt("/store/journal/\(segment)", at: 120, mask: 4)
    let error = try #require(throws: StorageError.self) { try store.get(key(0)) }
    #expect(error.code == .checksumMismatch)
    #expect(try store.head(key(0)) == Bytes(0..<10), "the head is in the ledger")
  }

  @Test func `forged lengths do not decode`() {
    var random = SeededRandom(seed: 9)
    for _ in 0..<2000 {
      let stored = (0..<(1 + random.below(60))).map { _ in UInt8(random.below(256)) }
      let original = 1 + random.below(5000)
      let pointer = ValuePointer(
        segment: FileNumber(1), offset: 0, byteCount: stored.count, checksum: 0,
        originalByteCount: original)
      let room = max(CompressedValue.roomByteCount(original), stored.count)
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 16)
      defer { memory.deallocate() }
      UnsafeMutableRawBufferPointer(rebasing: memory[(room - stored.count)...]).copyBytes(
        from: stored)
      _ = CompressedValue.decode(pointer, head: random.below(80), in: memory)
    }
  }
}
