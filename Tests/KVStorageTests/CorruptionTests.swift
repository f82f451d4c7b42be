import KVBase
import KVStorage
import Testing

@Suite struct CorruptionTests {
  private static let batchCount = 150

  /// A store with every kind of file: tables in several levels, and a journal with synced records.
  private func build() throws -> (CrashableFileSystem, CrashWorkload) {
    let fileSystem = CrashableFileSystem()
    let workload = CrashWorkload(seed: 77, batchCount: CorruptionTests.batchCount)
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
    for index in 0..<CorruptionTests.batchCount { try store.write(workload.batch(index)) }
    while try store.performBackgroundWork() {}
    // So that no copy of the file system brings back a removed file.
    for directory in ["/store/journal", "/store/ledger"] { try fileSystem.syncDirectory(directory) }
    return (fileSystem, workload)
  }

  private func files(_ fileSystem: CrashableFileSystem, _ suffix: String) throws -> [String] {
    var paths: [String] = []
    for directory in ["/store/journal", "/store/ledger"] {
      for name in try fileSystem.list(directory)
      where name.hasSuffix(suffix) || name.hasPrefix(suffix) {
        paths.append("\(directory)/\(name)")
      }
    }
    return paths
  }

  @Test(arguments: [".sst", ".journal", "MANIFEST-", "CURRENT"])
  func `a flipped bit is detected and never served`(kind: String) throws {
    let (original, workload) = try build()
    let complete = workload.model(after: CorruptionTests.batchCount).sorted
    var random = SeededRandom(seed: 9)
    var detected = 0
    for round in 0..<150 {
      let fileSystem = original.crash(random: &random)
      let paths = try files(fileSystem, kind)
      let path = try #require(paths.isEmpty ? nil : paths[random.below(paths.count)])
      let offset = random.below(try fileSystem.size(path))
      let mask = UInt8(1) << UInt8(random.below(8))
      fileSystem.corrupt(path, at: offset, mask: mask)
      let label = "round \(round): \(path) at \(offset), mask \(mask)"
      do {
        let store = try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
        let report = store.openReport
        let count = try workload.batchCount(in: store)
        let isTorn = report.tornJournalByteCount + report.tornManifestByteCount > 0
        // A flip in the very last record cannot be told from a torn write: it is reported as one.
        #expect(
          count == CorruptionTests.batchCount || isTorn && count == CorruptionTests.batchCount - 1,
          "\(label)")
        let expected = isTorn ? workload.model(after: count).sorted : complete
        #expect(try store.scan() == expected, "\(label)")
        if isTorn { detected += 1 }
        for entry in expected { #expect(try store.get(entry.key) == entry.value, "\(label)") }
        try store.verify()
        if kind == ".sst" { Issue.record("verify missed the flip, \(label)") }
      } catch let error as StorageError {
        #expect(error.isCorruption || error.code == .unsupportedVersion, "\(error), \(label)")
        #expect(error.path?.hasPrefix("/store/") == true, "\(error), \(label)")
        detected += 1
      }
    }
    #expect(detected == 150, "every flip is detected or reported as a torn tail")
  }

  @Test func `a missing table, manifest or CURRENT stops the opening`() throws {
    for kind in [".sst", "MANIFEST-", "CURRENT"] {
      let (fileSystem, _) = try build()
      let path = try #require(try files(fileSystem, kind).first)
      try fileSystem.remove(path)
      let error = #expect(throws: StorageError.self) {
        try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
      }
      #expect(error?.code == .missingFile && error?.path == path, "\(kind)")
    }
  }

  @Test func `an error of a damaged block names file, offset and both checksums`() throws {
    let (fileSystem, _) = try build()
    let path = try #require(try files(fileSystem, ".sst").first)
    fileSystem.corrupt(path, at: 20, mask: 1)
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
    let error = #expect(throws: StorageError.self) { try store.scan() }
    #expect(error?.code == .checksumMismatch)
    #expect(error?.path == path && error?.offset == 0)
    #expect(error?.expected != nil && error?.found != nil && error?.expected != error?.found)
  }
}
