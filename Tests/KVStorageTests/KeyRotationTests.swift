import KVBase
import KVStorage
import Testing

@Suite struct KeyRotationTests {
  private let workload = CrashWorkload(seed: 21, batchCount: 60)

  private func open(_ fileSystem: EncryptedFileSystem) throws(StorageError) -> Store {
    try Store.open(at: "/store", fileSystem: fileSystem, options: workload.options)
  }

  /// Appends and syncs the batches of a range.
  private func append(_ range: Range<Int>, to store: Store) throws(StorageError) {
    for index in range {
      try store.sync(through: try store.append(workload.batch(index)))
      _ = try store.performBackgroundWork()
    }
  }

  @Test func `keys change while the store is open`() throws {
    let base = CrashableFileSystem()
    let fileSystem = EncryptedFileSystem.test(base)
    let store = try open(fileSystem)
    try append(0..<20, to: store)
    let report = try fileSystem.rotate(to: .test(2), in: "/store")
    #expect(report.rewrappedCount > 3 && report.encryptedCount == report.rewrappedCount)
    #expect(report.foreignCount == 0)
    #expect(fileSystem.keys.current == .test(2))
    try append(20..<40, to: store)
    #expect(try fileSystem.rewrapKeys(in: "/store").rewrappedCount == 0)
    #expect(try fileSystem.rotate(to: .test(3), in: "/store").rewrappedCount > 3)
    try append(40..<60, to: store)
    try store.close()
    let newest = EncryptedFileSystem.test(base, keys: .test(3), seed: 1)
    _ = try workload.reopen(newest, durable: 60, "rotated twice")
    let error = #expect(throws: StorageError.self) {
      try open(EncryptedFileSystem.test(base, keys: .test(1, 2)))
    }
    #expect(error?.code == .keyUnavailable)
  }

  @Test func `a crash at any operation of a rotation leaves every file readable`() throws {
    var number = 1
    while true {
      let base = CrashableFileSystem()
      let fileSystem = EncryptedFileSystem.test(base)
      let store = try open(fileSystem)
      try append(0..<25, to: store)
      base.injectFault(.powerOff, at: number)
      let isComplete = (try? fileSystem.rotate(to: .test(2), in: "/store")) != nil
      var random = SeededRandom(seed: UInt64(number))
      let crashed = base.crash(random: &random)
      let label = "at \(number)"
      let both = EncryptedFileSystem.test(crashed, keys: .test(2, 1), seed: 1)
      let (again, count) = try workload.reopen(both, durable: 25, label)
      try both.rewrapKeys(in: "/store")
      try append(count..<30, to: again)
      try again.close()
      let new = EncryptedFileSystem.test(crashed, keys: .test(2), seed: 2)
      _ = try workload.reopen(new, durable: 30, label)
      if isComplete { break }
      number += 1
    }
    #expect(number > 10)
  }

  @Test func `a rotation repairs a damaged slot and passes by other files`() throws {
    let base = CrashableFileSystem()
    let fileSystem = EncryptedFileSystem.test(base)
    try fileSystem.createDirectory("/d/e")
    try fileSystem.createFile("/d/e/file", contents: [1, 2, 3])
    try base.createFile("/d/plain", contents: bytes("not encrypted"))
    try base.createFile("/d/empty", contents: [])
    base.corrupt("/d/e/file", at: 40, mask: 1)
    #expect(try fileSystem.readAll("/d/e/file") == [1, 2, 3])
    let report = try fileSystem.rewrapKeys(in: "/d")
    #expect(report.rewrappedCount == 1 && report.encryptedCount == 1 && report.foreignCount == 2)
    base.corrupt("/d/e/file", at: 512 + 40, mask: 1)
    #expect(try fileSystem.readAll("/d/e/file") == [1, 2, 3])
    #expect(try base.readAll("/d/plain") == bytes("not encrypted"))
  }

  @Test func `a file that is being written changes its key and stays readable`() throws {
    let base = CrashableFileSystem()
    let fileSystem = EncryptedFileSystem.test(base)
    try fileSystem.createDirectory("/d")
    let file = try fileSystem.create("/d/f")
    try file.write("one", at: 0)
    try file.sync()
    try fileSystem.rotate(to: .test(2), in: "/d")
    try file.write(" two", at: 3)
    try file.sync()
    let fresh = EncryptedFileSystem.test(base, keys: .test(2), seed: 1)
    #expect(try fresh.readAll("/d/f") == bytes("one two"))
  }
}
