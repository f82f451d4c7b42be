import KVBase
import KVStorage
import Testing

@Suite struct CompactionTests {
  private func put(_ store: Store, _ range: Range<Int>, _ value: String) throws {
    for index in range {
      var batch = WriteBatch()
      batch.put(bytes("key \(1_000_000 + index)"), bytes(value + " \(index)"))
      _ = try store.append(batch)
    }
  }

  private func drain(_ store: Store) throws { while try store.performBackgroundWork() {} }

  @Test func `compaction gives back the space of overwritten and deleted keys`() throws {
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: .tiny)
    for round in 0..<10 { try put(store, 0..<1000, "value of round \(round)") }
    try drain(store)
    let full = store.statistics()
    #expect(full.filesPerLevel[0] < StoreOptions.tiny.level0CompactionFileCount)
    #expect(full.compactionCount > 0 && full.flushCount > 0)
    for index in 0..<1000 {
      var batch = WriteBatch()
      batch.delete(bytes("key \(1_000_000 + index)"))
      _ = try store.append(batch)
    }
    // Keys behind the deleted ones push the tombstones down to the last level.
    for round in 0..<6 { try put(store, 0..<1, "x\(round)"); try put(store, 1000..<1100, "y") }
    try drain(store)
    #expect(try store.scan(to: bytes("key 1000999")).count == 1)
    #expect(try store.get(bytes("key 1000500")) == nil)
  }

  @Test func `a snapshot keeps its files until it is released`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try Store.open(at: "/s", fileSystem: fileSystem, options: .tiny)
    try put(store, 0..<500, "old")
    try drain(store)
    var snapshot: Snapshot? = try store.snapshot()
    let iterator = try snapshot?.iterator(from: bytes("key 1000100"))
    let before = try store.scan()
    for round in 0..<4 { try put(store, 0..<500, "new \(round)") }
    try drain(store)
    #expect(store.statistics().obsoleteFileCount > 0)
    #expect(try snapshot?.scan() == before)
    #expect(try iterator?.next()?.value == bytes("old 100"))
    #expect(try store.get(bytes("key 1000100")) == bytes("new 3 100"))
    snapshot = nil
    _ = consume iterator
    try drain(store)
    let statistics = store.statistics()
    #expect(statistics.obsoleteFileCount == 0)
    let tables = try fileSystem.list("/s/ledger").filter { $0.hasSuffix(".sst") }
    #expect(tables.count == statistics.filesPerLevel.reduce(0, +))
  }

  @Test func `ascending keys move down without being written again`() throws {
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: .tiny)
    try put(store, 0..<3000, "value")
    try drain(store)
    let statistics = store.statistics()
    #expect(statistics.compactionCount > 0)
    #expect(statistics.compactionWrittenByteCount == 0)
    #expect(try store.scan().count == 3000)
  }

  @Test func `an iterator seeks back and forth and stops at its end`() throws {
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: .tiny)
    try put(store, 0..<300, "v")
    let iterator = try store.snapshot().iterator(
      from: bytes("key 1000010"), to: bytes("key 1000012"), .keys)
    #expect(try iterator.next()?.key == bytes("key 1000010"))
    #expect(try iterator.next()?.key == bytes("key 1000011"))
    #expect(try iterator.next() == nil)
    #expect(try iterator.next() == nil)
    #expect(try iterator.previous()?.key == bytes("key 1000011"))
    try iterator.seek(bytes("key 1000005"))
    #expect(try iterator.next()?.key == bytes("key 1000010"))
  }

  @Test func `values of a megabyte pass through every level`() throws {
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: .tiny)
    for index in 0..<12 {
      var batch = WriteBatch()
      let value = Bytes(repeating: UInt8(index), count: 1 << 20)
      batch.put([UInt8(index)], value, headByteCount: 100)
      try store.write(batch)
    }
    try drain(store)
    for index in 0..<12 {
      #expect(try store.get([UInt8(index)]) == Bytes(repeating: UInt8(index), count: 1 << 20))
      #expect(try store.head([UInt8(index)])?.count == 100)
    }
    try store.close()
  }
}
