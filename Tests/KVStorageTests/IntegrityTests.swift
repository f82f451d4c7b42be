import KVBase
import KVStorage
import Testing

@Suite struct IntegrityTests {
  private func key(_ index: Int) -> Bytes { bytes("key/\(1000 + index)") }

  /// A store of 300 keys, all in tables, with one block of one table damaged.
  private func damaged() throws -> (Store, CrashableFileSystem, path: String) {
    let fileSystem = CrashableFileSystem()
    var options = StoreOptions.tiny
    options.separationByteCount = 500
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: options)
    for index in 0..<300 {
      var batch = WriteBatch()
      let size = index % 20 == 0 ? 600 : 40
      batch.put(key(index), Bytes(repeating: UInt8(index & 0xFF), count: size), headByteCount: 4)
      try store.write(batch)
    }
    while try store.performBackgroundWork() {}
    try store.close()
    let table = try #require(
      try fileSystem.list("/store/ledger").first { $0.hasSuffix(".sst") })
    let path = "/store/ledger/\(table)"
    fileSystem.corrupt(path, at: 100, mask: 4)
    return (
      try Store.open(at: "/store", fileSystem: fileSystem, options: options), fileSystem, path
    )
  }

  @Test func `an error of a damaged block leads to the keys to fetch again`() throws {
    let (store, _, path) = try damaged()
    let error = try #require(throws: StorageError.self) { try store.scan() }
    #expect(error.path == path && error.isCorruption)
    let range = try #require(store.keyRange(of: error))
    #expect(range.lower.lexicographicallyPrecedes(range.upper))
    for index in 0..<300 {
      let isInside =
        !key(index).lexicographicallyPrecedes(range.lower)
        && key(index).lexicographicallyPrecedes(range.upper)
      if isInside {
        #expect(throws: StorageError.self) { try store.get(key(index)) }
      } else {
        #expect(try store.get(key(index))?.first == UInt8(index & 0xFF))
      }
    }
    let scrub = try store.scrub()
    #expect(scrub.isAround && scrub.damage.count == 1)
    #expect(scrub.damage.first?.lowerKey == range.lower)
    #expect(scrub.damage.first?.upperKey == range.upper)
  }

  @Test func `compaction sets damage apart, and what is written again ends it`() throws {
    let (store, fileSystem, path) = try damaged()
    let error = try #require(throws: StorageError.self) { try store.scan() }
    let range = try #require(store.keyRange(of: error))
    // Enough writes elsewhere to compact every table away.
    for round in 0..<6 {
      for index in 0..<300 where index % 7 == round {
        var batch = WriteBatch()
        batch.put(key(index) + [0x2B], Bytes(repeating: 9, count: 60))
        try store.write(batch)
      }
    }
    while try store.performBackgroundWork() {}
    try store.compact()
    #expect(try fileSystem.exists(path) == false)
    #expect(try store.damagedRanges() == [range])
    let lost = try #require(throws: StorageError.self) { try store.get(range.lower) }
    #expect(lost.code == .damagedRange)
    #expect(lost.lowerKey == range.lower && lost.upperKey == range.upper)
    #expect(throws: StorageError.self) { try store.scan() }
    let iterator = try store.snapshot().iterator()
    #expect(throws: StorageError.self) { while try iterator.next() != nil {} }
    try iterator.seek(range.upper)
    #expect(try iterator.next() != nil, "reading goes on behind the damage")

    var batch = WriteBatch()
    batch.put(range.lower, bytes("fetched"))
    try store.write(batch)
    #expect(try store.get(range.lower) == bytes("fetched"))
    try store.resolveDamage(in: range)
    #expect(try store.damagedRanges().isEmpty)
    let entries = try store.scan(from: range.lower, to: range.upper)
    let old = entries.filter { $0.value.first != 9 }
    #expect(old.map(\.value) == [bytes("fetched")], "what was not written again is deleted")
    try store.close()
  }

  @Test func `what of the damage was not written again stays damaged`() throws {
    let (store, _, _) = try damaged()
    let error = try #require(throws: StorageError.self) { try store.scan() }
    let range = try #require(store.keyRange(of: error))
    store.setDamageApart(in: range)
    while try store.performBackgroundWork() {}
    let inner = KeyRange(lower: range.lower + [0], upper: range.lower + [2])
    try store.resolveDamage(in: inner)
    #expect(
      Set(try store.damagedRanges()) == [
        KeyRange(lower: range.lower, upper: inner.lower),
        KeyRange(lower: inner.upper, upper: range.upper),
      ])
    #expect(throws: StorageError.self) { try store.get(range.lower) }
    #expect(try store.get(range.lower + [1]) == nil)
    #expect(throws: StorageError.self) { try store.get(inner.upper) }
    try store.resolveDamage(in: range)
    #expect(try store.damagedRanges().isEmpty)
    try store.close()
  }

  @Test func `damage that was come upon is set apart before its turn`() throws {
    let (store, fileSystem, path) = try damaged()
    let error = try #require(throws: StorageError.self) { try store.scan() }
    let range = try #require(store.keyRange(of: error))
    store.setDamageApart(in: range)
    #expect(store.isDamageWaiting(in: range))
    while try store.performBackgroundWork() {}
    #expect(!store.isDamageWaiting(in: range))
    #expect(try fileSystem.exists(path) == false)
    #expect(try store.damagedRanges() == [range])
    var batch = WriteBatch()
    batch.put(range.lower, bytes("fetched"))
    try store.write(batch)
    try store.resolveDamage(in: range)
    #expect(try store.scan().contains { $0.value == bytes("fetched") })
    // Where nothing is damaged nothing is rewritten.
    store.setDamageApart(in: range)
    while try store.performBackgroundWork() {}
    #expect(!store.isDamageWaiting(in: range))
    try store.close()
  }

  @Test func `a damaged value concerns its key only, and its segment is kept`() throws {
    let fileSystem = CrashableFileSystem()
    var options = StoreOptions.tiny
    options.separationByteCount = 100
    options.compression = .none
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: options)
    for round in 0..<4 {
      for index in 0..<40 where round == 0 || index % 4 != 0 {
        var batch = WriteBatch()
        batch.put(key(index), Bytes(repeating: UInt8(index), count: 200))
        try store.write(batch)
      }
    }
    let segment = try #require(try fileSystem.list("/store/journal").first)
    let path = "/store/journal/\(segment)"
    // In the first value of the first segment, which is still live.
    fileSystem.corrupt(path, at: 120, mask: 1)
    let error = try #require(throws: StorageError.self) { try store.get(key(0)) }
    #expect(error.code == .checksumMismatch && error.path == path)
    #expect(store.keyRange(of: error) == KeyRange(lower: key(0), upper: key(0) + [0]))
    while try store.performBackgroundWork() {}
    #expect(try fileSystem.exists(path), "emptying the segment would lose the value for good")
    for index in 1..<40 { #expect(try store.get(key(index))?.first == UInt8(index)) }
    let scrub = try store.scrub()
    #expect(scrub.damage.compactMap(\.lowerKey) == [key(0)])
  }
}
