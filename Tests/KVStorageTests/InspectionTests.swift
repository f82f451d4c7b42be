import KVBase
import KVStorage
import Testing

@Suite struct InspectionTests {
  private static let batchCount = 150

  /// A store with tables in several levels, segments of both kinds, and, unless it is closed, a journal
  /// to be replayed.
  private func build(closing: Bool) throws -> (CrashableFileSystem, CrashWorkload) {
    let fileSystem = CrashableFileSystem()
    let workload = CrashWorkload(seed: 77, batchCount: InspectionTests.batchCount)
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
    for index in 0..<InspectionTests.batchCount {
      try store.write(workload.batch(index))
      if index < 140 { while try store.performBackgroundWork() {} }
    }
    if closing { try store.close() }
    for directory in ["/store/journal", "/store/ledger"] { try fileSystem.syncDirectory(directory) }
    return (fileSystem, workload)
  }

  private func verify(_ fileSystem: CrashableFileSystem) throws -> VerificationReport {
    try StoreInspector(at: "/store", fileSystem: fileSystem).verify()
  }

  private func files(_ fileSystem: CrashableFileSystem, _ kind: String) throws -> [String] {
    try ["/store/journal", "/store/ledger"].flatMap { directory in
      try fileSystem.list(directory).filter { $0.hasSuffix(kind) || $0.hasPrefix(kind) }
        .map { "\(directory)/\($0)" }
    }
  }

  @Test(arguments: [true, false])
  func `a sound store has no problems`(closing: Bool) throws {
    let (fileSystem, _) = try build(closing: closing)
    var random = SeededRandom(seed: 1)
    let report = try verify(fileSystem.crash(random: &random))
    #expect(report.problems == [] && report.isSound)
    #expect(report.tableCount > 0 && report.segmentCount > 2)
    #expect(report.entryCount > 10 && report.referenceCount > 0)
  }

  @Test(arguments: [".sst", ".journal", ".values", "MANIFEST-", "CURRENT"])
  func `every flipped bit is found`(kind: String) throws {
    for closing in [true, false] {
      let (original, _) = try build(closing: closing)
      var random = SeededRandom(seed: 9)
      for round in 0..<150 {
        let fileSystem = original.crash(random: &random)
        let paths = try files(fileSystem, kind)
        let path = try #require(paths.isEmpty ? nil : paths[random.below(paths.count)])
        let offset = random.below(try fileSystem.size(path))
        fileSystem.corrupt(path, at: offset, mask: UInt8(1) << UInt8(random.below(8)))
        let report = try verify(fileSystem)
        let label = "round \(round): \(path) at \(offset), \(report.problems)"
        #expect(report.problems.contains { $0.path == path }, "\(label)")
        if closing, !["MANIFEST-", "CURRENT"].contains(kind) {
          #expect(!report.isSound, "\(label)")
          // Damage to one file is not blamed on others.
          let others = report.problems.filter { $0.path != path }
          #expect(others.isEmpty, "\(label)")
        }
      }
    }
  }

  @Test func `all problems are found, each with file, place and keys`() throws {
    let (fileSystem, _) = try build(closing: true)
    let tables = try files(fileSystem, ".sst")
    for path in tables { fileSystem.corrupt(path, at: 10, mask: 1) }
    let values = try #require(try files(fileSystem, ".values").first)
    fileSystem.corrupt(values, at: try fileSystem.size(values) / 2, mask: 1)
    let report = try verify(fileSystem)
    for path in tables {
      let block = report.problems.first { $0.path == path && $0.offset == 0 && $0.upper != nil }
      #expect(block?.lower != nil, "\(path)")
    }
    #expect(report.problems.contains { $0.path == values && $0.offset != nil })
  }

  @Test func `missing files are found`() throws {
    for kind in [".sst", ".journal", ".values", "MANIFEST-", "CURRENT"] {
      let (fileSystem, _) = try build(closing: true)
      let path = try #require(try files(fileSystem, kind).first)
      try fileSystem.remove(path)
      let report = try verify(fileSystem)
      #expect(
        report.problems.contains { $0.path == path && $0.code == .missingFile },
        "\(kind): \(report.problems)")
    }
  }

  @Test func `an open store is refused`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
    let error = #expect(throws: StorageError.self) {
      try StoreInspector(at: "/store", fileSystem: fileSystem)
    }
    #expect(error?.code == .locked)
    try store.close()
    _ = try StoreInspector(at: "/store", fileSystem: fileSystem)
    let missing = #expect(throws: StorageError.self) {
      try StoreInspector(at: "/nothing", fileSystem: fileSystem)
    }
    #expect(missing?.code == .notFound)
  }

  @Test func `the figures agree with what a scan finds`() throws {
    for closing in [true, false] {
      let (original, workload) = try build(closing: closing)
      var random = SeededRandom(seed: 1)
      let fileSystem = original.crash(random: &random)
      let figures = try StoreInspector(at: "/store", fileSystem: fileSystem).figures()
      let entries = workload.model(after: InspectionTests.batchCount, at: 0).sorted
      #expect(figures.keys == entries.count)
      #expect(figures.liveBytes == entries.reduce(0) { $0 + $1.key.count + $1.value.count })
      #expect(figures.partitions.reduce(0) { $0 + $1.keys } == entries.count)
      #expect(figures.partitions.map(\.partition) == figures.partitions.map(\.partition).sorted())
      #expect(figures.spaceAmplification > 0.5 && figures.unreadableBlocks == 0)
      #expect(figures.segments.allSatisfy { $0.liveValues <= $0.values })
      #expect((figures.replaySegments == 0) == closing)
      var sizes = 0
      for path in try files(fileSystem, ".sst") { sizes += try fileSystem.size(path) }
      #expect(figures.levels.reduce(0) { $0 + $1.bytes } == sizes)
    }
  }

  @Test func `a full compaction leaves one level and little garbage`() throws {
    let (fileSystem, workload) = try build(closing: true)
    var options = StoreOptions.tiny
    options.spaceAmplificationLimit = 1.01
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: options)
    var steps = 0
    try store.compact { _ in steps += 1 }
    let entries = workload.model(after: InspectionTests.batchCount, at: 0).sorted
    #expect(try store.scan() == entries && steps > 0)
    #expect(store.statistics().filesPerLevel.filter { $0 > 0 }.count == 1)
    try store.close()
    let inspector = try StoreInspector(at: "/store", fileSystem: fileSystem)
    #expect(inspector.verify().problems == [])
    let figures = try inspector.figures()
    #expect(figures.levels.allSatisfy { $0.tombstones == 0 && $0.entries == entries.count })
    #expect(figures.segments.allSatisfy { $0.liveValues > 0 })
  }

  @Test(arguments: Effort.seeds(12))
  func `full compactions, backups and verification hold at any point of a random run`(
    seed: UInt64
  ) throws {
    var random = SeededRandom(seed: seed)
    let options = StoreOptions.random(&random)
    var generator = OperationGenerator(random: random.fork(), keyCount: 60)
    let fileSystem = CrashableFileSystem()
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: options)
    var model = StoreModel()
    for step in 0..<400 {
      fileSystem.setSecondsSinceEpoch(UInt64(step))
      (generator.now, model.now) = (UInt64(step), UInt64(step))
      let operations = generator.batch()
      model.apply(operations)
      _ = try store.append(WriteBatch(operations))
      if random.chance(0.2) { _ = try store.performBackgroundWork() }
      if random.chance(0.01) {
        try store.compact()
        #expect(try store.scan() == model.sorted, "seed \(seed), step \(step)")
      }
      guard random.chance(0.03) else { continue }
      _ = try store.backup(to: "/backup/\(step)")
      let inspector = try StoreInspector(at: "/backup/\(step)", fileSystem: fileSystem)
      #expect(inspector.verify().problems == [], "seed \(seed), step \(step)")
      #expect(try inspector.figures().keys == model.sorted.count, "seed \(seed), step \(step)")
    }
    try store.sync(through: store.appendedSequence)
    let crashed = fileSystem.crash(random: &random)
    let report = try verify(crashed)
    #expect(report.isSound, "seed \(seed): \(report.problems)")
  }
}
