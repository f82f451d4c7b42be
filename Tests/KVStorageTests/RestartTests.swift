import KVBase
import KVStorage
import Testing

/// A process that ends leaves its unsynced writes to the kernel; the machine may lose them later.
@Suite struct RestartTests {
  private static var options: StoreOptions {
    var options = StoreOptions.tiny
    options.journalBufferByteLimit = 64
    options.memtableByteLimit = 64 << 10
    options.replayByteLimit = 256 << 10
    options.segmentByteLimit = 1 << 10
    return options
  }

  @Test(arguments: Effort.seeds(20))
  func `what a restarted process found is durable although the one before never synced it`(
    seed: UInt64
  ) throws {
    var workload = CrashWorkload(seed: seed, batchCount: 60, options: RestartTests.options)
    workload.syncChance = 0
    workload.workChance = 0
    let fileSystem = CrashableFileSystem()
    do {
      let store = try Store.open(at: "/store", fileSystem: fileSystem, options: workload.options)
      for index in 0..<60 { _ = try store.append(workload.batch(index)) }
    }
    let (store, count) = try workload.reopen(fileSystem, durable: 0, "restarted, seed \(seed)")
    #expect(count > 50 && store.syncedSequence == store.appendedSequence)
    var random = SeededRandom(seed: seed)
    for attempt in 0..<4 {
      let crashed = fileSystem.crash(random: &random)
      let (again, _) = try workload.reopen(crashed, durable: count, "seed \(seed).\(attempt)")
      while try again.performBackgroundWork() {}
    }
  }

  @Test(arguments: Effort.seeds(60))
  func `a store goes on whatever part of its unsynced segments a power failure left`(
    seed: UInt64
  ) throws {
    var workload = CrashWorkload(seed: seed, batchCount: 40, options: RestartTests.options)
    workload.syncChance = 0
    let fileSystem = CrashableFileSystem()
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: workload.options)
    for index in 0..<40 { _ = try store.append(workload.batch(index)) }
    var random = SeededRandom(seed: seed)
    let crashed = fileSystem.crash(random: &random)
    let (again, count) = try workload.reopen(crashed, durable: 0, "seed \(seed)")
    // A collection goes through segments of which only a part is left.
    for round in 0..<3 {
      for index in 0..<count { try again.write(workload.batch(index)) }
      while try again.performBackgroundWork() {}
      #expect(try workload.batchCount(in: again) == count, "seed \(seed), round \(round)")
    }
    try again.verify()
    try again.close()
    let report = try StoreInspector(at: "/store", fileSystem: crashed).verify()
    #expect(report.problems == [], "seed \(seed)")
  }
}
