import KVBase
import KVStorage
import Testing

@Suite struct CollectionTests {
  private static let root = "/s"

  /// Every value goes to the journal only, segments are small, and little garbage is enough.
  private static var options: StoreOptions {
    var options = StoreOptions.tiny
    options.memtableByteLimit = 8 << 10
    options.segmentByteLimit = 8 << 10
    options.separationByteCount = 32
    return options
  }

  private func open(
    _ fileSystem: CrashableFileSystem, _ options: StoreOptions = CollectionTests.options
  ) throws -> Store {
    try Store.open(at: CollectionTests.root, fileSystem: fileSystem, options: options)
  }

  private func drain(_ store: Store) throws { while try store.performBackgroundWork() {} }

  private func key(_ index: Int) -> Bytes { bytes("key \(1000 + index)") }

  private func value(_ index: Int, _ round: Int, count: Int = 200) -> Bytes {
    let text = bytes("value \(index) of round \(round) ")
    return text + Bytes(repeating: UInt8(round & 255), count: max(0, count - text.count))
  }

  private func put(_ store: Store, _ indexes: some Sequence<Int>, round: Int) throws {
    for index in indexes {
      var batch = WriteBatch()
      batch.put(key(index), value(index, round), headByteCount: 5)
      try store.write(batch)
    }
  }

  private func segments(_ fileSystem: CrashableFileSystem) throws -> [String] {
    try fileSystem.list("\(CollectionTests.root)/journal")
  }

  @Test func `ten full overwrites take little more space than the live values`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem)
    let count = 600
    for round in 0..<11 {
      try put(store, 0..<count, round: round)
      try drain(store)
    }
    let live = count * 200
    // Closing cuts off what was written ahead in the last segment.
    try store.close()
    let used = try segments(fileSystem).reduce(0) {
      $0 + (try fileSystem.size("\(CollectionTests.root)/journal/\($1)"))
    }
    #expect(Double(used) <= 1.5 * Double(live), "\(used) bytes for \(live)")
    let again = try open(fileSystem)
    for index in 0..<count { #expect(try again.get(key(index)) == value(index, 10)) }
    try again.verify()
  }

  @Test func `collected segments disappear from the disk`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem)
    try put(store, 0..<200, round: 0)
    let old = try segments(fileSystem)
    for round in 1..<4 { try put(store, 0..<200, round: round) }
    try drain(store)
    let left = try segments(fileSystem)
    // The last of the old ones may hold live values of the next round.
    #expect(Set(old.dropLast()).isDisjoint(with: left), "\(old) became \(left)")
    try store.close()
    let again = try open(fileSystem)
    for index in 0..<200 { #expect(try again.get(key(index)) == value(index, 3)) }
  }

  @Test func `a snapshot pins the segments it reads from`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem)
    try put(store, 0..<200, round: 0)
    try drain(store)
    var snapshot: Snapshot? = try store.snapshot()
    let before = try store.scan()
    let iterator = try snapshot?.iterator(from: key(50))
    for round in 1..<6 {
      try put(store, 0..<200, round: round)
      try drain(store)
      #expect(try snapshot?.scan() == before, "after round \(round)")
      #expect(try snapshot?.get(key(7)) == value(7, 0))
    }
    #expect(store.statistics().collectionCount > 0)
    #expect(try iterator?.next()?.value == value(50, 0))
    let pinned = try segments(fileSystem).count
    snapshot = nil
    _ = consume iterator
    try drain(store)
    #expect(try segments(fileSystem).count < pinned)
  }

  /// What happens to a key between the copy of its value and the move of its reference.
  enum Interference: CaseIterable {
    case overwrite, delete, deleteRange, expire
  }

  @Test(arguments: Interference.allCases, 0..<(12 * Effort.factor))
  func `a key that changes between copy and move keeps its newer state`(
    interference: Interference, stepsBefore: Int
  ) throws {
    let fileSystem = CrashableFileSystem()
    fileSystem.setSecondsSinceEpoch(100)
    let store = try open(fileSystem)
    var model = StoreModel()
    model.now = 100
    func apply(_ operations: [ModelOperation]) throws {
      model.apply(operations)
      _ = try store.append(WriteBatch(operations))
    }
    let expiry: UInt64 = interference == .expire ? 200 : 0
    for index in 0..<150 { try apply([.put(key(index), value(index, 0), 5, expiry)]) }
    // Every second value dies, so that the rest is worth moving.
    for index in stride(from: 0, to: 150, by: 2) {
      try apply([.put(key(index), value(index, 1), 5, 0)])
    }
    for _ in 0..<stepsBefore { _ = try store.performBackgroundWork() }
    switch interference {
    case .overwrite: for i in 0..<150 { try apply([.put(key(i), value(i, 2, count: 40), 1, 0)]) }
    case .delete: for i in 0..<150 { try apply([.delete(key(i))]) }
    case .deleteRange: try apply([.deleteRange(key(1), key(149))])
    case .expire:
      fileSystem.setSecondsSinceEpoch(201)
      model.now = 201
    }
    #expect(try store.scan() == model.sorted)
    try drain(store)
    #expect(try store.scan() == model.sorted)
    try store.sync(through: store.appendedSequence)
    var random = SeededRandom(seed: UInt64(stepsBefore))
    let again = try open(fileSystem.crash(random: &random))
    #expect(try again.scan() == model.sorted)
  }

  @Test func `the space of expired values comes back`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try open(fileSystem)
    for index in 0..<300 {
      var batch = WriteBatch()
      batch.put(key(index), value(index, 0), headByteCount: 3, expiry: 50)
      try store.write(batch)
    }
    try drain(store)
    let full = store.statistics().segmentByteCount
    fileSystem.setSecondsSinceEpoch(50)
    #expect(try store.scan().isEmpty)
    // Estimates follow what is appended.
    for round in 0..<4 { try put(store, 500..<600, round: round); try drain(store) }
    #expect(store.statistics().segmentByteCount < full)
    #expect(try store.get(key(3)) == nil && store.head(key(3)) == nil)
    #expect(try store.scan().count == 100)
  }

  @Test func `values separated only since the last crash survive a collection`() throws {
    var options = CollectionTests.options
    options.separationByteCount = .max
    options.memtableByteLimit = 1 << 20
    options.replayByteLimit = 1 << 20
    let fileSystem = CrashableFileSystem()
    try put(try open(fileSystem, options), 0..<200, round: 0)
    // The sealed segments of the first life list no separated values; this one separates them all.
    let store = try open(fileSystem)
    for round in 0..<3 {
      try put(store, 300..<400, round: round)
      try drain(store)
    }
    for index in 0..<200 { #expect(try store.get(key(index)) == value(index, 0), "\(index)") }
  }
}
