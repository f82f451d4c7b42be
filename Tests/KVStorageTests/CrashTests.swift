import KVBase
import KVStorage
import Testing

@Suite struct CrashTests {
  @Test func `a power failure at any operation loses nothing acknowledged`() throws {
    let statistics = try crashEverywhere(CrashWorkload(seed: 11, batchCount: 60))
    #expect(statistics.flushCount > 0 && statistics.compactionCount > 0)
  }

  @Test func `a power failure at any operation of a collection loses nothing acknowledged`() throws
  {
    var options = StoreOptions.tiny
    // Nearly every value is separated, and a small share of garbage starts a collection.
    options.separationByteCount = 8
    options.spaceAmplificationLimit = 1.05
    options.segmentByteLimit = 1 << 10
    options.memtableByteLimit = 2 << 10
    var workload = CrashWorkload(seed: 12, batchCount: 50, options: options)
    workload.workChance = 0.9
    let statistics = try crashEverywhere(workload)
    #expect(statistics.collectionCount > 2, "the run collects nothing")
  }

  @Test func `a power failure with several unsynced segments leaves a first part of the batches`()
    throws
  {
    var options = StoreOptions.tiny
    options.memtableByteLimit = 16 << 10
    options.journalBufferByteLimit = 64
    options.segmentByteLimit = 512
    var workload = CrashWorkload(seed: 13, batchCount: 70, options: options)
    workload.syncChance = 0.03
    try crashEverywhere(workload)
  }

  /// Cuts the power at operation 1, 2, 3 … until a run gets through; returns what that run did.
  @discardableResult
  private func crashEverywhere(_ workload: CrashWorkload) throws -> StoreStatistics {
    var number = 1
    while true {
      let fileSystem = CrashableFileSystem()
      fileSystem.injectFault(.powerOff, at: number)
      var result = CrashWorkload.Result(durable: 0)
      var isComplete = false
      do {
        let store = try Store.open(at: "/store", fileSystem: fileSystem, options: workload.options)
        result = workload.run(store, clock: fileSystem)
        isComplete = result.error == nil
      } catch {}
      for attempt in 0..<Effort.factor {
        var random = SeededRandom(seed: UInt64(number) + UInt64(attempt) << 32)
        let crashed = fileSystem.crash(random: &random)
        try survive(crashed, workload, result.durable, &random, "at \(number).\(attempt)")
      }
      if isComplete {
        #expect(number > 100, "the run must be long enough to mean something")
        return result.statistics
      }
      number += 1
    }
  }

  /// Recovers, crashing once more during recovery, goes on writing, and crashes again.
  private func survive(
    _ crashed: CrashableFileSystem, _ workload: CrashWorkload, _ durable: Int,
    _ random: inout SeededRandom, _ label: String
  ) throws {
    crashed.injectFault(.powerOff, at: 1 + random.below(14))
    _ = try? Store.open(at: "/store", fileSystem: crashed, options: workload.options)
    let again = crashed.crash(random: &random)
    let (store, count) = try workload.reopen(again, durable: durable, label)
    again.injectFault(.powerOff, at: 1 + random.below(60))
    let result = workload.run(store, clock: again, from: count)
    let last = again.crash(random: &random)
    _ = try workload.reopen(last, durable: max(count, result.durable), label + ", second life")
  }

  @Test(arguments: Effort.seeds(40))
  func `a power failure at a random moment loses nothing acknowledged`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var fileSystem = CrashableFileSystem()
    var durable = 0
    for life in 0..<6 {
      // Every life has other options: what one separated the next may not, and the reverse.
      var workload = CrashWorkload(seed: seed, batchCount: 200, options: .random(&random))
      workload.syncChance = random.chance(0.3) ? 0.02 : 0.4
      let (store, count) = try workload.reopen(
        fileSystem, durable: durable, "seed \(seed), life \(life)")
      fileSystem.injectFault(.powerOff, at: 1 + random.below(200))
      durable = max(count, workload.run(store, clock: fileSystem, from: count).durable)
      fileSystem = fileSystem.crash(random: &random)
    }
  }
}
