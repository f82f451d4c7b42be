import KVBase
import KVStorage
import Testing

@Suite struct ApproximateSizeTests {
  private func key(_ index: Int) -> Bytes { bytes("key \(1_000_000 + index)") }

  private func store(_ options: StoreOptions) throws -> Store {
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: options)
    for index in 0..<4000 {
      var batch = WriteBatch()
      batch.put(key(index), Bytes(repeating: UInt8(truncatingIfNeeded: index &* 37), count: 40))
      _ = try store.append(batch)
    }
    return store
  }

  private func check(_ store: Store) throws {
    let total = try store.approximateSize()
    #expect(total.entryCount == 4000 || (3000...5300).contains(total.entryCount))
    for (lower, upper) in [(0, 2000), (1000, 3000), (500, 700), (3900, 5000)] {
      let expected = min(4000, upper) - lower
      let found = try store.approximateSize(from: key(lower), to: key(upper))
      #expect(abs(found.entryCount - expected) < 60 + expected / 3, "\(lower), \(upper): \(found)")
      let share = Double(found.byteCount) / Double(total.byteCount)
      #expect(abs(share - Double(expected) / 4000) < 0.15, "\(lower), \(upper): \(found)")
    }
    #expect(try store.approximateSize(from: key(9000)).entryCount == 0)
    #expect(try store.approximateSize(from: key(7), to: key(7)) == ApproximateSize())
    #expect(try store.approximateSize(from: key(9), to: key(7)) == ApproximateSize())
  }

  @Test(arguments: [true, false])
  func `the size of a range is about right`(isFlushed: Bool) throws {
    var options = StoreOptions.tiny
    options.indexPartByteCount = 200
    if !isFlushed {
      options.memtableByteLimit = 4 << 20
      options.replayByteLimit = 4 << 20
      options.separationByteCount = .max
    }
    let store = try store(options)
    while try store.performBackgroundWork() {}
    #expect((store.statistics().filesPerLevel.reduce(0, +) > 0) == isFlushed)
    try check(store)
  }
}
