import KVBase
import Testing

@testable import KVStorage

/// Cursors and iterators beside a sorted array.
@Suite struct CursorTests {
  /// A position in a sorted array that moves as a cursor does.
  private struct Model {
    var keys: [Bytes]
    var position: Int?

    mutating func go(to index: Int) { position = keys.indices.contains(index) ? index : nil }

    func first(notBefore key: Bytes) -> Int {
      keys.firstIndex { !$0.lexicographicallyPrecedes(key) } ?? keys.count
    }

    func first(after key: Bytes) -> Int {
      keys.firstIndex { key.lexicographicallyPrecedes($0) } ?? keys.count
    }
  }

  private func sortedKeys(_ generator: inout OperationGenerator, _ count: Int) -> [Bytes] {
    Set((0..<count).map { _ in generator.key() }).sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// Makes random moves on both and compares after each.
  private func compare(
    _ cursor: Cursor, _ keys: [Bytes], _ generator: inout OperationGenerator, steps: Int,
    _ label: String
  ) throws {
    var model = Model(keys: keys)
    for step in 0..<steps {
      try move(cursor, &model, &generator)
      #expect(cursor.isValid == (model.position != nil), "\(label), step \(step)")
      guard cursor.isValid, let position = model.position else { continue }
      #expect(Bytes(cursor.entry.key) == model.keys[position], "\(label), step \(step)")
      let value = String(decoding: cursor.entry.value.prefix(4), as: UTF8.self)
      #expect(value == "last" || cursor.entry.kind == .delete, "\(label), step \(step)")
    }
  }

  private func move(
    _ cursor: Cursor, _ model: inout Model, _ generator: inout OperationGenerator
  ) throws {
    let key = generator.key()
    switch generator.random.below(16) {
    case 0:
      try key.withRaw { try cursor.seek($0) }
      model.go(to: model.first(notBefore: key))
    case 1:
      try key.withRaw { try cursor.seek(before: $0) }
      model.go(to: model.first(notBefore: key) - 1)
    case 2:
      try key.withRaw { try cursor.seek(notAfter: $0) }
      model.go(to: model.first(after: key) - 1)
    case 3:
      try cursor.seekToLast()
      model.go(to: model.keys.count - 1)
    case 4..<10:
      guard let position = model.position else { return }
      try cursor.next()
      model.go(to: position + 1)
    default:
      guard let position = model.position else { return }
      try cursor.previous()
      model.go(to: position - 1)
    }
  }

  private func entry(_ key: RawBytes, _ value: RawBytes, _ sequence: UInt64) -> EntryView {
    EntryView(key: key, value: value, headByteCount: 0, sequence: sequence, kind: .put)
  }

  /// A table with these keys, in a file system of its own.
  private func table(
    _ keys: [Bytes], _ options: StoreOptions, number: UInt64, sequence: UInt64, value: String,
    _ fileSystem: CrashableFileSystem
  ) throws -> TableFile {
    let number = FileNumber(number)
    let path = StorePaths.table("/ledger", number)
    let builder = TableBuilder(file: try fileSystem.create(path), options: options)
    let value = Bytes(value.utf8) + Bytes(repeating: 1, count: keys.count % 60)
    for key in keys {
      try key.withRaw { key in try value.withRaw { try builder.append(entry(key, $0, sequence)) } }
    }
    let result = try builder.finish()
    return TableFile(
      TableMetadata(
        number: number, byteCount: result.byteCount, checksum: result.checksum,
        properties: result.properties),
      ledger: "/ledger")
  }

  private func environment(
    _ fileSystem: CrashableFileSystem, _ options: StoreOptions
  ) throws -> TableEnvironment {
    try fileSystem.createDirectory("/ledger")
    return TableEnvironment(
      fileSystem: fileSystem, cache: BlockCache(byteLimit: options.blockCacheByteLimit))
  }

  @Test(arguments: UInt64(1)...8)
  func `a table's cursor goes where a sorted array says`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let options = StoreOptions.random(&random)
    let fileSystem = CrashableFileSystem()
    let environment = try environment(fileSystem, options)
    var generator = OperationGenerator(random: random.fork(), keyCount: 1000)
    let keys = sortedKeys(&generator, 1 + generator.random.below(600))
    let file = try table(keys, options, number: 1, sequence: 1, value: "last", fileSystem)
    for readsAll in [false, true] {
      let cursor = TableCursor(try file.table(environment), readsAll: readsAll)
      try compare(cursor, keys, &generator, steps: 3000, "seed \(seed), \(options)")
    }
  }

  @Test(arguments: UInt64(1)...8)
  func `a level's cursor goes where a sorted array says`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let options = StoreOptions.random(&random)
    let fileSystem = CrashableFileSystem()
    let environment = try environment(fileSystem, options)
    var generator = OperationGenerator(random: random.fork(), keyCount: 1000)
    let keys = sortedKeys(&generator, 500)
    var files: [TableFile] = []
    var start = 0
    while start < keys.count {
      let end = min(keys.count, start + 1 + generator.random.below(200))
      files.append(
        try table(
          Array(keys[start..<end]), options, number: UInt64(start), sequence: 1, value: "last",
          fileSystem))
      start = end
    }
    let cursor = LevelCursor(files, environment)
    try compare(cursor, keys, &generator, steps: 5000, "seed \(seed), \(options)")
  }

  @Test(arguments: UInt64(1)...8)
  func `a memtable's cursor shows the newest entries of its time`(seed: UInt64) throws {
    var generator = OperationGenerator(random: SeededRandom(seed: seed), keyCount: 150)
    let memtable = Memtable(seed: seed)
    var keys: Set<Bytes> = []
    let limit = UInt64(generator.random.below(400))
    for sequence in 1...UInt64(400) {
      let key = generator.key()
      if sequence <= limit { keys.insert(key) }
      let value = Bytes((sequence <= limit ? "last" : "late").utf8)
      key.withRaw { key in value.withRaw { memtable.insert(entry(key, $0, sequence)) } }
    }
    let cursor = MemtableCursor(memtable, at: limit)
    let sorted = keys.sorted { $0.lexicographicallyPrecedes($1) }
    try compare(cursor, sorted, &generator, steps: 3000, "seed \(seed)")
  }

  @Test(arguments: UInt64(1)...12)
  func `a merging cursor gives each key once, with its newest entry`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let options = StoreOptions.random(&random)
    let fileSystem = CrashableFileSystem()
    let environment = try environment(fileSystem, options)
    var generator = OperationGenerator(random: random.fork(), keyCount: 300)
    var all: Set<Bytes> = []
    var cursors: [Cursor] = []
    let count = 1 + generator.random.below(6)
    // Later tables are newer; a key is marked as the last where no newer table has it.
    let sets = (0..<count).map { _ in sortedKeys(&generator, 1 + generator.random.below(150)) }
    for (number, keys) in sets.enumerated() {
      all.formUnion(keys)
      let newer = Set(sets[(number + 1)...].joined())
      let memtable = Memtable(seed: seed)
      for key in keys {
        let value = Bytes((newer.contains(key) ? "older" : "last").utf8)
        key.withRaw { key in
          value.withRaw { memtable.insert(entry(key, $0, UInt64(number + 1))) }
        }
      }
      cursors.append(MemtableCursor(memtable))
    }
    let unique = (0..<40).map { Bytes("table only \($0)".utf8) }
      .sorted { $0.lexicographicallyPrecedes($1) }
    let file = try table(unique, options, number: 9, sequence: 1, value: "last", fileSystem)
    cursors.append(TableCursor(try file.table(environment)))
    all.formUnion(unique)
    let sorted = all.sorted { $0.lexicographicallyPrecedes($1) }
    let cursor = MergingCursor(cursors)
    try compare(cursor, sorted, &generator, steps: 4000, "seed \(seed)")
    cursor.rest(at: .max)
    try compare(cursor, sorted, &generator, steps: 500, "seed \(seed), used again")
  }
}
