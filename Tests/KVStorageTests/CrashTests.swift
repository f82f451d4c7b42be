import KVBase
import KVStorage
import Testing

/// A fixed run of batches, with what the store must hold after each.
struct CrashWorkload {
  let batches: [[ModelOperation]]
  let options: StoreOptions
  private let seed: UInt64

  init(seed: UInt64, batchCount: Int, options: StoreOptions = .tiny) {
    var generator = OperationGenerator(random: SeededRandom(seed: seed), keyCount: 40)
    batches = (0..<batchCount).map { _ in generator.batch() }
    self.options = options
    self.seed = seed
  }

  /// Appends, syncs and works in the background until something throws; returns how many batches
  /// were reported durable.
  func run(_ store: Store, from first: Int = 0) -> (durable: Int, error: StorageError?) {
    var random = SeededRandom(seed: seed)
    var durable = first
    do {
      for index in first..<batches.count {
        let sequence = try store.append(batch(index))
        if random.chance(0.4) {
          try store.sync(through: sequence)
          durable = index + 1
        }
        if random.chance(0.3) { _ = try store.performBackgroundWork() }
      }
      try store.close()
      return (batches.count, nil)
    } catch { return (durable, error) }
  }

  /// Set by every batch to its number, so that a store tells which of them it holds.
  static let marker = bytes("~batches")

  /// A batch with its number.
  func batch(_ index: Int) -> WriteBatch {
    var batch = WriteBatch(batches[index])
    batch.put(CrashWorkload.marker, number(index + 1))
    return batch
  }

  private func number(_ count: Int) -> Bytes { bytes("\(count)") }

  /// The number of the last batch that the store holds.
  func batchCount(in store: Store) throws -> Int {
    guard let found = try store.get(CrashWorkload.marker) else { return 0 }
    return try #require(Int(String(decoding: found, as: UTF8.self)))
  }

  func model(after count: Int) -> StoreModel {
    var model = StoreModel()
    for batch in batches.prefix(count) { model.apply(batch) }
    if count > 0 { model.apply([.put(CrashWorkload.marker, number(count), 0)]) }
    return model
  }

  /// Opens the store, demands that it holds a prefix of the batches of at least `durable`, and
  /// returns it with the length of that prefix.
  func reopen(_ fileSystem: any FileSystem, durable: Int, _ label: String) throws
    -> (Store, Int)
  {
    let store = try Store.open(at: "/store", fileSystem: fileSystem, options: options)
    let count = try batchCount(in: store)
    #expect(count >= durable, "acknowledged batches are lost, \(label)")
    #expect(try store.scan() == model(after: count).sorted, "\(label)")
    try store.verify()
    return (store, count)
  }
}

@Suite struct CrashTests {
  @Test func `a power failure at any operation loses nothing acknowledged`() throws {
    let workload = CrashWorkload(seed: 11, batchCount: 60)
    var number = 1
    while true {
      let fileSystem = CrashableFileSystem()
      fileSystem.injectFault(.powerOff, at: number)
      var durable = 0
      var isComplete = false
      do {
        let store = try Store.open(at: "/store", fileSystem: fileSystem, options: workload.options)
        let result = workload.run(store)
        durable = result.durable
        isComplete = result.error == nil
      } catch {}
      var random = SeededRandom(seed: UInt64(number))
      try survive(fileSystem.crash(random: &random), workload, durable, &random, "at \(number)")
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
    crashed.injectFault(.powerOff, at: 1 + random.below(14))
    _ = try? Store.open(at: "/store", fileSystem: crashed, options: workload.options)
    let again = crashed.crash(random: &random)
    let (store, count) = try workload.reopen(again, durable: durable, label)
    again.injectFault(.powerOff, at: 1 + random.below(60))
    let result = workload.run(store, from: count)
    let last = again.crash(random: &random)
    _ = try workload.reopen(last, durable: max(count, result.durable), label + ", second life")
  }

  @Test(arguments: UInt64(1)...40)
  func `a power failure at a random moment loses nothing acknowledged`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let options = StoreOptions.random(&random)
    let workload = CrashWorkload(seed: seed, batchCount: 200, options: options)
    var fileSystem = CrashableFileSystem()
    var durable = 0
    for life in 0..<6 {
      let (store, count) = try workload.reopen(
        fileSystem, durable: durable, "seed \(seed), life \(life)")
      fileSystem.injectFault(.powerOff, at: 1 + random.below(200))
      durable = max(count, workload.run(store, from: count).durable)
      fileSystem = fileSystem.crash(random: &random)
    }
  }
}
