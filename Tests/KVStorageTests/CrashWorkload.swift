import KVBase
import KVStorage
import Testing

/// A fixed run of batches, with what the store must hold after each.
///
/// Batch `n` is appended at second `n` or later.
struct CrashWorkload {
  let batches: [[ModelOperation]]
  let options: StoreOptions
  /// How often a batch is made durable.
  var syncChance = 0.4
  /// How often background work follows a batch.
  var workChance = 0.3
  /// How often a failed call is made again.
  var retryCount = 0
  private let seed: UInt64

  init(seed: UInt64, batchCount: Int, options: StoreOptions = .tiny) {
    var generator = OperationGenerator(random: SeededRandom(seed: seed), keyCount: 40)
    batches = (0..<batchCount).map { index in
      generator.now = UInt64(index)
      return generator.batch()
    }
    self.options = options
    self.seed = seed
  }

  /// What a run has come to.
  struct Result {
    /// How many batches were reported durable.
    var durable: Int
    /// What ended the run; nil when all batches were appended and the store closed.
    var error: StorageError?
    var statistics = StoreStatistics()
  }

  /// Appends, syncs and works in the background until something throws; the clock goes on meanwhile.
  func run(_ store: Store, clock: CrashableFileSystem? = nil, from first: Int = 0) -> Result {
    var random = SeededRandom(seed: seed)
    var result = Result(durable: first)
    do throws(StorageError) {
      for index in first..<batches.count {
        clock.map { $0.setSecondsSinceEpoch(max($0.secondsSinceEpoch, UInt64(index))) }
        let batch = batch(index)
        let sequence = try retrying(store) { () throws(StorageError) in try store.append(batch) }
        if random.chance(syncChance) {
          try retrying(store) { () throws(StorageError) in try store.sync(through: sequence) }
          result.durable = index + 1
        }
        if random.chance(workChance) {
          _ = try retrying(store) { () throws(StorageError) in try store.performBackgroundWork() }
        }
      }
      result.statistics = store.statistics()
      try store.close()
      result.durable = batches.count
    } catch { result.error = error }
    return result
  }

  /// Tries again after a failure and some background work.
  private func retrying<Value>(
    _ store: Store, _ body: () throws(StorageError) -> Value
  ) throws(StorageError) -> Value {
    for _ in 0..<retryCount {
      if let value = try? body() { return value }
      for _ in 0..<3 { _ = try? store.performBackgroundWork() }
    }
    return try body()
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

  /// What the first batches come to at a second.
  func model(after count: Int, at now: UInt64) -> StoreModel {
    var model = StoreModel()
    model.now = now
    for batch in batches.prefix(count) { model.apply(batch) }
    if count > 0 { model.apply([.put(CrashWorkload.marker, number(count), 0, 0)]) }
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
    let expected = model(after: count, at: fileSystem.secondsSinceEpoch).sorted
    #expect(try store.scan() == expected, "\(label)")
    try store.verify()
    return (store, count)
  }
}
