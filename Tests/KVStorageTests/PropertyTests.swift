import KVBase
import KVStorage
import Testing

/// A store beside the obvious one; everything that happens follows from the seed.
private struct ModelRun {
  private let seed: UInt64
  private let fileSystem = CrashableFileSystem()
  private var random: SeededRandom
  private var generator: OperationGenerator
  private var model = StoreModel()
  private var store: Store
  private var snapshots: [(snapshot: Snapshot, model: StoreModel)] = []
  private var number = 0
  /// The rare events that the run has seen.
  private(set) var collections = 0
  private(set) var reopenings = 0

  init(seed: UInt64) throws {
    self.seed = seed
    random = SeededRandom(seed: seed)
    generator = OperationGenerator(random: random.fork(), keyCount: 20 + random.below(300))
    store = try Store.open(at: "/s", fileSystem: fileSystem, options: .random(&random))
  }

  private var label: Comment { "seed \(seed), step \(number)" }

  mutating func step() throws {
    number += 1
    if random.chance(0.2) { advanceClock() }
    let operations = generator.batch()
    model.apply(operations)
    _ = try store.append(WriteBatch(operations))
    switch random.below(40) {
    case 0: while try store.performBackgroundWork() {}
    case 1...5: _ = try store.performBackgroundWork()
    case 6: try store.sync(through: store.appendedSequence)
    case 7 where snapshots.count < 4: snapshots.append((try store.snapshot(), model))
    case 8: try checkSnapshots()
    case 9 where random.chance(0.5): try reopen()
    default: break
    }
    try checkKey(generator.key())
    if random.chance(0.03) { try checkRange(generator.key(), generator.key()) }
  }

  private mutating func advanceClock() {
    model.now += UInt64(random.below(20))
    generator.now = model.now
    fileSystem.setSecondsSinceEpoch(model.now)
  }

  /// Whatever was flushed, compacted or collected meanwhile, only the clock may change a snapshot.
  private mutating func checkSnapshots() throws {
    for index in snapshots.indices {
      snapshots[index].model.now = model.now
      let (snapshot, model) = snapshots[index]
      #expect(try snapshot.scan() == model.sorted, label)
      let key = generator.key()
      #expect(try snapshot.get(key) == model[key]?.value, label)
      #expect(try snapshot.head(key) == model[key]?.head, label)
    }
    if !snapshots.isEmpty { snapshots.remove(at: random.below(snapshots.count)) }
  }

  private mutating func reopen() throws {
    collections += store.statistics().collectionCount
    reopenings += 1
    try store.sync(through: store.appendedSequence)
    if random.chance(0.5) { try store.close() }
    snapshots = []
    // Dropping the store releases its lock.
    store = try Store.open(at: "/", fileSystem: CrashableFileSystem(), options: .tiny)
    store = try Store.open(at: "/s", fileSystem: fileSystem, options: .random(&random))
  }

  private func checkKey(_ key: Bytes) throws {
    let expected = model[key]
    var buffer = bytes("left over from the last read")
    #expect(try store.get(key) == expected?.value, label)
    #expect(try store.head(key) == expected?.head, label)
    #expect(try store.contains(key) == (expected != nil), label)
    #expect(try store.get(key, into: &buffer) == (expected != nil), label)
    if let expected { #expect(buffer == expected.value, label) }
    #expect(try store.head(key, into: &buffer) == (expected != nil), label)
    if let expected { #expect(buffer == expected.head, label) }
  }

  private func checkRange(_ lower: Bytes, _ upper: Bytes) throws {
    let expected = model.range(lower, upper)
    #expect(try store.scan(from: lower, to: upper) == expected, label)
    let heads = try store.scan(from: lower, to: upper, limit: 5, .heads)
    #expect(heads.map(\.value) == expected.prefix(5).map(\.head), label)
    #expect(try store.scan(from: lower, to: upper, .keys).map(\.key) == expected.map(\.key), label)
  }

  mutating func finish() throws {
    try checkSnapshots()
    snapshots = []
    #expect(try store.scan() == model.sorted, label)
    try store.verify()
    collections += store.statistics().collectionCount
  }
}

extension Entry {
  fileprivate var head: Bytes { Bytes(value.prefix(headByteCount)) }
}

@Suite struct PropertyTests {
  @Test(arguments: Effort.seeds(12))
  func `random operations agree with a sorted dictionary`(seed: UInt64) throws {
    var run = try ModelRun(seed: seed)
    for _ in 0..<1000 { try run.step() }
    try run.finish()
  }

  @Test func `the random operations reach collections and reopenings`() throws {
    var run = try ModelRun(seed: 4)
    for _ in 0..<1000 { try run.step() }
    #expect(run.collections > 5 && run.reopenings > 1, "\(run.collections), \(run.reopenings)")
  }
}
