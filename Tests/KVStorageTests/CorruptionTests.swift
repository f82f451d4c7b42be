import KVBase
import KVStorage
import Testing

/// A small store with every kind of file, of which copies are damaged.
private struct Victim {
  static let batchCount = 60
  static let root = "/store"

  let original = CrashableFileSystem()
  let workload: CrashWorkload
  /// What the store holds, with its last batch and without.
  let complete: StoreModel
  let shortened: StoreModel
  let keys: Set<Bytes>

  /// Makes tables in several levels, segments of both kinds that are only read for their values, and
  /// some segments that hold batches in no table yet, all of them durable.
  init() throws {
    var options = StoreOptions.tiny
    options.memtableByteLimit = 2 << 10
    options.segmentByteLimit = 2 << 10
    options.separationByteCount = 40
    workload = CrashWorkload(seed: 77, batchCount: Victim.batchCount, options: options)
    let store = try Store.open(at: Victim.root, fileSystem: original, options: options)
    for index in 0..<Victim.batchCount {
      try store.write(workload.batch(index))
      if index % 10 == 9, index < 50 { while try store.performBackgroundWork() {} }
    }
    // So that no copy of the file system brings back a removed file.
    for directory in ["journal", "ledger"] {
      try original.syncDirectory("\(Victim.root)/\(directory)")
    }
    complete = workload.model(after: Victim.batchCount, at: 0)
    shortened = workload.model(after: Victim.batchCount - 1, at: 0)
    keys = Set(complete.sorted.map(\.key)).union(shortened.sorted.map(\.key))
  }

  func files(_ kind: String) throws -> [String] {
    var paths: [String] = []
    for directory in ["journal", "ledger"] {
      for name in try original.list("\(Victim.root)/\(directory)")
      where name.hasSuffix(kind) || name.hasPrefix(kind) {
        paths.append("\(Victim.root)/\(directory)/\(name)")
      }
    }
    return paths
  }
}

@Suite struct CorruptionTests {
  @Test(arguments: [".sst", ".journal", ".values", "MANIFEST-", "CURRENT"])
  func `a damaged store never returns a wrong value`(kind: String) throws {
    let victim = try Victim()
    let paths = try victim.files(kind)
    try #require(!paths.isEmpty, "the store has no \(kind)")
    var random = SeededRandom(seed: 9)
    var noticed = 0
    let rounds = 1000 * Effort.factor
    for round in 0..<rounds {
      let fileSystem = victim.original.crash(random: &random)
      let path = paths[random.below(paths.count)]
      let offset = random.below(try fileSystem.size(path))
      let mask = UInt8(1) << UInt8(random.below(8))
      fileSystem.corrupt(path, at: offset, mask: mask)
      let check = DamageCheck(
        victim: victim, fileSystem: fileSystem,
        label: "round \(round): \(path) at \(offset), mask \(mask)")
      if try check.run(&random) { noticed += 1 }
    }
    // Dead values, and what only repeats something else, can be damaged without any effect.
    let least = [".journal", ".values"].contains(kind) ? rounds / 10 : rounds
    #expect(noticed >= least, "\(noticed) of \(rounds) flips of \(kind) were noticed")
  }

  @Test func `a missing table, segment, manifest or CURRENT stops the opening`() throws {
    for kind in [".sst", ".values", "MANIFEST-", "CURRENT"] {
      let victim = try Victim()
      let path = try #require(try victim.files(kind).first)
      try victim.original.remove(path)
      let error = #expect(throws: StorageError.self) {
        try Store.open(at: Victim.root, fileSystem: victim.original, options: .tiny)
      }
      #expect(error?.code == .missingFile && error?.path == path, "\(kind)")
    }
  }

  @Test func `an error of a damaged block names file, offset and both checksums`() throws {
    let victim = try Victim()
    let path = try #require(try victim.files(".sst").first)
    victim.original.corrupt(path, at: 5, mask: 1)
    var random = SeededRandom(seed: 1)
    let store = try Store.open(
      at: Victim.root, fileSystem: victim.original.crash(random: &random), options: .tiny)
    let error = #expect(throws: StorageError.self) { try store.scan() }
    #expect(error?.code == .checksumMismatch)
    #expect(error?.path == path && error?.offset == 0)
    #expect(error?.expected != nil && error?.found != nil && error?.expected != error?.found)
  }
}

/// Reads all of one damaged copy, before and after its upkeep.
private struct DamageCheck {
  let victim: Victim
  let fileSystem: CrashableFileSystem
  let label: String

  /// True when the damage was noticed; every read must be right or fail for corruption.
  func run(_ random: inout SeededRandom) throws -> Bool {
    let options = victim.workload.options
    do throws(StorageError) {
      let store = try Store.open(at: Victim.root, fileSystem: fileSystem, options: options)
      let report = store.openReport
      let isTorn = report.tornJournalByteCount + report.tornManifestByteCount > 0
      var isNoticed = isTorn
      // Damage to the very last record cannot be told from a torn write: it is reported as one.
      let expected = isTorn ? try tornModel(store) : victim.complete
      try check(store, expected, &isNoticed)
      noting(&isNoticed) { () throws(StorageError) in try store.verify() }
      // Compaction and collection must not turn what is damaged into what is missing.
      if random.chance(0.2) {
        noting(&isNoticed) { () throws(StorageError) in
          for _ in 0..<50 { guard try store.performBackgroundWork() else { break } }
        }
        try check(store, expected, &isNoticed)
      }
      return isNoticed
    } catch {
      #expect(error.isCorruption || error.code == .unsupportedVersion, "\(error), \(label)")
      #expect(error.path?.hasPrefix(Victim.root) == true, "\(error), \(label)")
      return true
    }
  }

  /// The model that the marker tells; only the last batch may be gone.
  private func tornModel(_ store: Store) throws(StorageError) -> StoreModel {
    let marker = try store.get(CrashWorkload.marker)
    return marker == victim.complete[CrashWorkload.marker]?.value
      ? victim.complete : victim.shortened
  }

  private func check(
    _ store: Store, _ expected: StoreModel, _ isNoticed: inout Bool
  ) throws(StorageError) {
    noting(&isNoticed) { () throws(StorageError) in
      let entries = try store.scan()
      #expect(entries == expected.sorted, "scan, \(label)")
    }
    for key in victim.keys {
      let entry = expected[key]
      noting(&isNoticed) { () throws(StorageError) in
        let value = try store.get(key)
        #expect(value == entry?.value, "\(key), \(label)")
      }
      noting(&isNoticed) { () throws(StorageError) in
        let head = try store.head(key)
        #expect(head == entry.map { Bytes($0.value.prefix($0.headByteCount)) }, "\(key), \(label)")
      }
    }
  }

  private func noting(_ isNoticed: inout Bool, _ body: () throws(StorageError) -> Void) {
    do throws(StorageError) { try body() } catch {
      #expect(error.isCorruption, "\(error), \(label)")
      isNoticed = true
    }
  }
}
