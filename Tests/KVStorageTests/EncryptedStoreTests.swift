import KVBase
import KVStorage
import Testing

/// The store on encrypted files.
@Suite struct EncryptedStoreTests {
  private func store(
    _ fileSystem: any FileSystem, _ workload: CrashWorkload
  ) throws(StorageError) -> Store {
    try Store.open(at: "/store", fileSystem: fileSystem, options: workload.options)
  }

  @Test func `a power failure at any operation loses nothing acknowledged`() throws {
    let workload = CrashWorkload(seed: 11, batchCount: 30)
    var number = 1
    while true {
      let base = CrashableFileSystem()
      base.injectFault(.powerOff, at: number)
      var durable = 0
      var isComplete = false
      do {
        let result = workload.run(try store(EncryptedFileSystem.test(base), workload))
        durable = result.durable
        isComplete = result.error == nil
      } catch {}
      var random = SeededRandom(seed: UInt64(number))
      try survive(base.crash(random: &random), workload, durable, &random, "at \(number)")
      if isComplete { break }
      number += 1
    }
    #expect(number > 100, "the run must be long enough to mean something")
  }

  /// Recovers, crashing once more during recovery, goes on writing, and crashes again.
  private func survive(
    _ crashed: CrashableFileSystem, _ workload: CrashWorkload, _ durable: Int,
    _ random: inout SeededRandom, _ label: String
  ) throws {
    crashed.injectFault(.powerOff, at: 1 + random.below(20))
    _ = try? store(EncryptedFileSystem.test(crashed, seed: 1), workload)
    let again = crashed.crash(random: &random)
    let (store, count) = try workload.reopen(
      EncryptedFileSystem.test(again, seed: 2), durable: durable, label)
    again.injectFault(.powerOff, at: 1 + random.below(80))
    let result = workload.run(store, from: count)
    _ = try workload.reopen(
      EncryptedFileSystem.test(again.crash(random: &random), seed: 3),
      durable: max(count, result.durable), label + ", second life")
  }

  @Test(arguments: UInt64(1)...10)
  func `a failed operation loses nothing acknowledged`(seed: UInt64) throws {
    let workload = CrashWorkload(seed: seed, batchCount: 60)
    var random = SeededRandom(seed: seed)
    for kind in [CrashableFileSystem.Fault.inputOutput, .diskFull] {
      let base = CrashableFileSystem()
      base.injectFault(kind, at: 1 + random.below(250))
      var durable = 0
      do {
        durable = workload.run(try store(EncryptedFileSystem.test(base), workload)).durable
      } catch {}
      base.clearFaults()
      _ = try workload.reopen(
        EncryptedFileSystem.test(base.crash(random: &random), seed: 9), durable: durable,
        "seed \(seed) \(kind)")
    }
  }

  @Test func `the same seed gives the same files`() throws {
    func run() throws -> [Bytes] {
      let base = CrashableFileSystem()
      let workload = CrashWorkload(seed: 3, batchCount: 50)
      _ = workload.run(try store(EncryptedFileSystem.test(base), workload))
      return try ["/store/journal", "/store/ledger"].flatMap { directory in
        try base.list(directory).map { try base.readAll("\(directory)/\($0)") }
      }
    }
    #expect(try run() == run())
  }

  @Test func `neither keys nor values are in the files`() throws {
    let base = CrashableFileSystem()
    var options = StoreOptions.tiny
    options.compression = .none
    let store = try Store.open(
      at: "/store", fileSystem: EncryptedFileSystem.test(base), options: options)
    for index in 0..<400 {
      var batch = WriteBatch()
      batch.put(bytes("a clear key \(index)"), bytes("a clear value \(index)"))
      try store.sync(through: try store.append(batch))
      _ = try store.performBackgroundWork()
    }
    for name in ["journal", "ledger"] {
      let files = try base.list("/store/\(name)")
      #expect(!files.isEmpty)
      for file in files {
        let raw = try base.readAll("/store/\(name)/\(file)")
        #expect(!contains(raw, bytes("clear")), "\(file)")
        #expect(!contains(raw, bytes("SPINEJNL")) && !contains(raw, bytes("MANIFEST")), "\(file)")
      }
    }
  }

  private func contains(_ bytes: Bytes, _ word: Bytes) -> Bool {
    bytes.indices.contains { bytes[$0] == word[0] && bytes[$0...].starts(with: word) }
  }

  @Test func `a store cannot be opened without its key, or without any`() throws {
    let base = CrashableFileSystem()
    let workload = CrashWorkload(seed: 4, batchCount: 20)
    _ = workload.run(try store(EncryptedFileSystem.test(base), workload))
    let error = #expect(throws: StorageError.self) {
      try store(EncryptedFileSystem.test(base, keys: .test(2, 3)), workload)
    }
    #expect(error?.code == .keyUnavailable)
    #expect(error?.message.contains(NodeKey.test(1).id.description) == true)
    #expect(throws: StorageError.self) { try store(base, workload) }
    _ = try workload.reopen(EncryptedFileSystem.test(base), durable: workload.batches.count, "")
  }

  @Test func `a store that is not encrypted is refused as such`() throws {
    let base = CrashableFileSystem()
    let workload = CrashWorkload(seed: 4, batchCount: 20)
    _ = workload.run(try store(base, workload))
    let error = #expect(throws: StorageError.self) {
      try store(EncryptedFileSystem.test(base), workload)
    }
    #expect(error?.code == .malformed)
  }
}
