import KVBase
import KVStorage
import Testing

@Suite struct FaultTests {
  @Test(arguments: [CrashableFileSystem.Fault.inputOutput, .diskFull])
  func `a failed operation is reported and nothing acknowledged is lost`(
    fault: CrashableFileSystem.Fault
  ) throws {
    try failEverywhere(CrashWorkload(seed: 23, batchCount: 60), fault)
  }

  @Test(arguments: [CrashableFileSystem.Fault.inputOutput, .diskFull])
  func `a store that goes on after a failed operation loses nothing acknowledged`(
    fault: CrashableFileSystem.Fault
  ) throws {
    var options = StoreOptions.tiny
    options.separationByteCount = 8
    options.spaceAmplificationLimit = 1.05
    options.segmentByteLimit = 1 << 10
    options.memtableByteLimit = 2 << 10
    var workload = CrashWorkload(seed: 24, batchCount: 30, options: options)
    workload.retryCount = 3
    try failEverywhere(workload, fault)
  }

  @Test(
    .enabled(if: Effort.isLong), arguments: [CrashableFileSystem.Fault.inputOutput, .diskFull])
  func `a stalled store that goes on after a failed operation loses nothing acknowledged`(
    fault: CrashableFileSystem.Fault
  ) throws {
    var options = StoreOptions.tiny
    options.separationByteCount = 8
    options.spaceAmplificationLimit = 1.05
    options.segmentByteLimit = 512
    options.memtableByteLimit = 1 << 10
    options.level0CompactionFileCount = 1
    options.level0StallFileCount = 1
    var workload = CrashWorkload(seed: 25, batchCount: 30, options: options)
    workload.retryCount = 3
    workload.workChance = 0.9
    try failEverywhere(workload, fault)
  }

  /// Lets operation 1, 2, 3 … fail until a run has fewer, now and then two of them.
  private func failEverywhere(
    _ workload: CrashWorkload, _ fault: CrashableFileSystem.Fault
  ) throws {
    var number = 1
    while true {
      var random = SeededRandom(seed: UInt64(number))
      let fileSystem = CrashableFileSystem()
      fileSystem.injectFault(fault, at: number)
      if random.chance(0.5) { fileSystem.injectFault(fault, at: number + 1 + random.below(4)) }
      var durable = 0
      do {
        let store = try Store.open(at: "/store", fileSystem: fileSystem, options: workload.options)
        let result = workload.run(store, clock: fileSystem)
        durable = result.durable
        if let failure = result.error {
          try checkReadable(store, workload, fileSystem, failure, "at \(number)")
        }
      } catch _ as StorageError {}
      let changes = fileSystem.operationCounts.changes
      fileSystem.clearFaults()
      // Once by a restart of the process, once by a power failure.
      let crashed = fileSystem.crash(random: &random)
      _ = try workload.reopen(fileSystem, durable: durable, "\(fault) at \(number)")
      _ = try workload.reopen(crashed, durable: durable, "\(fault) at \(number), crashed")
      if changes < number { break }
      number += 1
    }
    #expect(number > 100)
  }

  /// After a failed write every read still works and shows a prefix of the batches.
  private func checkReadable(
    _ store: Store, _ workload: CrashWorkload, _ fileSystem: CrashableFileSystem,
    _ failure: StorageError, _ label: String
  ) throws {
    guard failure.code != .closed, let entries = try? store.scan() else { return }
    let count = try workload.batchCount(in: store)
    let expected = workload.model(after: count, at: fileSystem.secondsSinceEpoch).sorted
    #expect(entries == expected, "\(label)")
  }

  @Test func `a read error reaches the caller and passes`() throws {
    let fileSystem = CrashableFileSystem()
    var options = StoreOptions.tiny
    options.blockCacheByteLimit = 0
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: options)
    let workload = CrashWorkload(seed: 5, batchCount: 100, options: options)
    for index in 0..<100 { try store.write(workload.batch(index)) }
    while try store.performBackgroundWork() {}
    let expected = workload.model(after: 100, at: 0).sorted
    for number in 1...30 {
      fileSystem.injectFault(.inputOutput, at: number, of: .read)
      if let entries = try? store.scan() { #expect(entries == expected) }
      fileSystem.clearFaults()
      #expect(try store.scan() == expected)
    }
  }

  @Test func `a full disk refuses appends cleanly and writing resumes when there is space`() throws
  {
    let fileSystem = CrashableFileSystem(byteCapacity: 60_000)
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
    var model = StoreModel()
    var generator = OperationGenerator(random: SeededRandom(seed: 3), keyCount: 5000)
    var refusals = 0
    for _ in 0..<3000 where refusals < 5 {
      let batch = generator.batch()
      do throws(StorageError) {
        let sequence = try store.append(WriteBatch(batch))
        model.apply(batch)
        try store.sync(through: sequence)
      } catch {
        #expect(error.code == .diskFull)
        refusals += 1
      }
      #expect(try store.get(generator.key()) != [1, 2, 3])
    }
    #expect(refusals == 5)
    #expect(try store.scan() == model.sorted)
    fileSystem.setByteCapacity(.max)
    for _ in 0..<100 {
      let batch = generator.batch()
      model.apply(batch)
      try store.write(WriteBatch(batch))
    }
    #expect(try store.scan() == model.sorted)
    try store.close()
    let again = try Store.open(at: "/store", fileSystem: fileSystem, options: .tiny)
    #expect(try again.scan() == model.sorted)
  }

  @Test func `a failed sync poisons the journal until a reopen`() throws {
    let fileSystem = CrashableFileSystem()
    let store = try Store.open(at: "/store", fileSystem: fileSystem)
    var batch = WriteBatch()
    batch.put(bytes("safe"), bytes("1"))
    try store.write(batch)
    batch.removeAll()
    batch.put(bytes("doubtful"), bytes("2"))
    // The write of the group is the first operation, its sync the second.
    fileSystem.injectFault(.inputOutput, at: 2)
    let error = #expect(throws: StorageError.self) { try store.write(batch) }
    #expect(error?.code == .journalPoisoned)
    for _ in 0..<3 {
      let later = #expect(throws: StorageError.self) { try store.append(batch) }
      #expect(later?.code == .journalPoisoned)
    }
    #expect(try store.get(bytes("safe")) == bytes("1"))
    #expect(store.syncedSequence == SequenceNumber(1))
    #expect(throws: StorageError.self) { try store.close() }
    // The kernel has dropped the pages of the failed sync.
    var random = SeededRandom(seed: 1)
    let again = try Store.open(at: "/store", fileSystem: fileSystem.crash(random: &random))
    #expect(try again.get(bytes("safe")) == bytes("1"))
    #expect(try again.get(bytes("doubtful")) == nil)
  }
}
