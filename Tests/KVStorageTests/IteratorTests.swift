import KVBase
import KVStorage
import Testing

@Suite struct IteratorTests {
  private func filled(_ seed: UInt64) throws -> (Store, StoreModel, OperationGenerator) {
    var random = SeededRandom(seed: seed)
    let options = StoreOptions.random(&random)
    var generator = OperationGenerator(random: random.fork())
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: options)
    var model = StoreModel()
    for step in 0..<400 {
      let operations = generator.batch()
      model.apply(operations)
      _ = try store.append(WriteBatch(operations))
      if step % 9 == 0 { _ = try store.performBackgroundWork() }
    }
    return (store, model, generator)
  }

  @Test(arguments: UInt64(1)...10)
  func `an iterator moves as a place between the entries of a sorted array`(seed: UInt64) throws {
    var (store, model, generator) = try filled(seed)
    for _ in 0..<12 {
      let bounds = [generator.key(), generator.key()].sorted { $0.lexicographicallyPrecedes($1) }
      let lower = generator.random.chance(0.3) ? [] : bounds[0]
      let upper = generator.random.chance(0.3) ? nil : bounds[1]
      let entries = model.range(lower, upper)
      let iterator = try store.snapshot().iterator(from: lower, to: upper)
      var place = 0
      for step in 0..<300 {
        let label = "seed \(seed), step \(step)"
        let key = generator.key()
        switch generator.random.below(12) {
        case 0:
          try iterator.seek(key)
          place = entries.firstIndex { !$0.key.lexicographicallyPrecedes(key) } ?? entries.count
        case 1:
          try iterator.seek(notAfter: key)
          place = entries.firstIndex { key.lexicographicallyPrecedes($0.key) } ?? entries.count
        case 2:
          iterator.seekToLast()
          place = entries.count
        case 3:
          iterator.seekToFirst()
          place = 0
        case 4..<8:
          #expect(try iterator.next() == (place < entries.count ? entries[place] : nil), "\(label)")
          place = min(entries.count, place + 1)
        default:
          #expect(try iterator.previous() == (place > 0 ? entries[place - 1] : nil), "\(label)")
          place = max(0, place - 1)
        }
      }
    }
  }

  @Test func `spans show what copies do`() throws {
    let (store, model, _) = try filled(3)
    let snapshot = try store.snapshot()
    var seen: [Entry] = []
    try snapshot.forEachSpan { (key, value) throws(StorageError) in
      seen.append(Entry(key: copy(key), value: copy(value), headByteCount: 0))
      return true
    }
    #expect(seen.map(\.key) == model.sorted.map(\.key))
    #expect(seen.map(\.value) == model.sorted.map(\.value))
    let iterator = try snapshot.iterator(.heads)
    for entry in model.sorted {
      #expect(try iterator.advance())
      #expect(iterator.withKey(copy) == entry.key)
      #expect(iterator.headByteCount == entry.headByteCount)
      #expect(try iterator.withValue(copy) == Bytes(entry.value.prefix(entry.headByteCount)))
    }
    #expect(try !iterator.advance())
    for entry in model.sorted.reversed() {
      #expect(try iterator.retreat())
      #expect(iterator.withKey(copy) == entry.key)
    }
    #expect(try !iterator.retreat())
  }

  private func copy(_ span: RawSpan) -> Bytes { span.withUnsafeBytes { Bytes($0) } }

  @Test func `entries that a caller keeps are not changed by later ones`() throws {
    let (store, model, _) = try filled(5)
    var kept: [Entry] = []
    try store.forEach { (entry) throws(StorageError) in
      kept.append(entry)
      return true
    }
    #expect(kept == model.sorted)
  }

  @Test func `a prefix selects the keys that begin with it`() throws {
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: .tiny)
    let keys: [Bytes] = [
      [], [0], [1], [1, 0], [1, 0xFE], [1, 0xFF], [1, 0xFF, 0xFF], [2], [0xFF], [0xFF, 0xFF, 3],
    ]
    var batch = WriteBatch()
    for key in keys { batch.put(key, key) }
    try store.write(batch)
    let snapshot = try store.snapshot()
    for prefix in keys + [[1, 0xFF, 0xFF, 0xFF], [7], [0xFF, 0xFF]] {
      let expected = keys.filter { $0.starts(with: prefix) }
      #expect(try store.scan(prefix: prefix).map(\.key) == expected)
      let iterator = try snapshot.iterator(prefix: prefix)
      var found: [Bytes] = []
      iterator.seekToLast()
      while let entry = try iterator.previous() { found.append(entry.key) }
      #expect(found == expected.reversed())
    }
    #expect(try store.scan(prefix: [1], limit: 2).count == 2)
  }

  @Test func `an iterator that met an error repeats it until a seek`() throws {
    let fileSystem = CrashableFileSystem()
    var options = StoreOptions.tiny
    options.blockCacheByteLimit = 0
    let store = try Store.open(at: "/s", fileSystem: fileSystem, options: options)
    for index in 0..<600 {
      var batch = WriteBatch()
      batch.put(bytes("key \(1_000_000 + index)"), bytes("value"))
      _ = try store.append(batch)
    }
    while try store.performBackgroundWork() {}
    let iterator = try store.snapshot().iterator()
    var number = 1
    while true {
      iterator.seekToFirst()
      fileSystem.injectFault(.inputOutput, at: number, of: .read)
      defer { fileSystem.clearFaults() }
      do throws(StorageError) {
        while try iterator.advance() {}
        break
      } catch { #expect(error.code == .inputOutput) }
      fileSystem.clearFaults()
      #expect(throws: StorageError.self) { try iterator.advance() }
      iterator.seekToFirst()
      var count = 0
      while try iterator.advance() { count += 1 }
      #expect(count == 600)
      number += 1
    }
    #expect(number > 5)
  }
}
