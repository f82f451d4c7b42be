import Foundation
import Synchronization

/// The workloads for one number of keys and one size of value; each runs on either engine.
///
/// Key numbers are even; odd numbers are never written.
struct Workload: Sendable {
  let keyCount: Int
  let valueByteCount: Int
  /// The time limit of a workload without an end.
  let seconds: Double
  let keys: Keys
  private let values: Values
  private let order: [UInt32]

  init(keyCount: Int, valueByteCount: Int, seconds: Double, keys: Keys = Keys()) {
    self.keyCount = keyCount
    self.valueByteCount = valueByteCount
    self.seconds = seconds
    self.keys = keys
    values = Values(valueByteCount)
    order = FastRandom.permutation(keyCount)
  }

  /// Bytes of keys and values of one put.
  var entryByteCount: Int { Keys.byteCount + valueByteCount }

  /// Of small operations one in seven is timed.
  private var stride: Int { valueByteCount > 4096 ? 1 : 7 }

  // MARK: Writing

  /// Puts every key once, in random order or ascending.
  func fill(_ engine: any BenchEngine, limit: Double = 3600, ascending: Bool) -> Measurement {
    let session = engine.session()
    var key = keys.template()
    return .run(count: keyCount, limit: limit, stride: stride) { index in
      keys.fill(&key, 2 * (ascending ? index : Int(order[index])))
      session.put(key, values[index], sync: false)
    }
  }

  /// Puts one key and makes it durable, with all that was put before.
  func putSynced(_ engine: any BenchEngine) {
    var key = keys.template()
    keys.fill(&key, 0)
    engine.session().put(key, values[0], sync: true)
  }

  /// Puts keys in random order from several threads, each put synced.
  func fillSynced(_ engine: any BenchEngine, threads: Int) -> Measurement {
    .run(threads: threads, limit: seconds) { thread in
      let session = engine.session()
      nonisolated(unsafe) var key = keys.template()
      return { index in
        keys.fill(&key, 2 * Int(order[(index * threads + thread) % keyCount]))
        session.put(key, values[index], sync: true)
      }
    }
  }

  /// Puts keys drawn at random, as many as there are keys unless told otherwise.
  func overwrite(
    _ engine: any BenchEngine, count: Int? = nil, limit: Double = 3600, seed: UInt64 = 3
  ) -> Measurement {
    let session = engine.session()
    var key = keys.template()
    var random = FastRandom(seed: seed)
    return .run(count: count ?? keyCount, limit: limit, stride: stride) { index in
      keys.fill(&key, 2 * random.below(keyCount))
      session.put(key, values[index &+ Int(seed)], sync: false)
    }
  }

  /// Gets a key drawn at random, then puts it.
  func update(_ engine: any BenchEngine) -> Measurement {
    let session = engine.session()
    var key = keys.template()
    var random = FastRandom(seed: 4)
    return .run(limit: seconds, stride: stride) { index in
      keys.fill(&key, 2 * random.below(keyCount))
      require(session.get(key) == valueByteCount)
      session.put(key, values[index &+ 1], sync: false)
    }
  }

  /// Deletes every key in random order.
  func delete(_ engine: any BenchEngine) -> Measurement {
    let session = engine.session()
    var key = keys.template()
    return .run(count: keyCount, limit: seconds, stride: stride) { index in
      keys.fill(&key, 2 * Int(order[index]))
      session.delete(key)
    }
  }

  // MARK: Reading

  /// What a read of one key is asked for.
  enum Read { case value, head, missing, ten }

  /// Reads keys drawn at random; `ten` seeks to the key and reads ten entries.
  func read(_ engine: any BenchEngine, _ what: Read, seconds: Double? = nil) -> Measurement {
    let session = engine.session()
    var key = keys.template()
    var random = FastRandom(seed: 5)
    return .run(limit: seconds ?? self.seconds, stride: stride) { _ in
      let number = 2 * random.below(keyCount)
      keys.fill(&key, what == .missing ? number + 1 : number)
      switch what {
      case .value: require(session.get(key) == valueByteCount)
      case .head: require(session.head(key) >= min(64, valueByteCount))
      case .missing: require(session.get(key) < 0)
      case .ten: require(session.scan(from: key, limit: 10, heads: false) > 0)
      }
    }
  }

  /// Reads all entries in order, over and over; counts entries as operations.
  func readAll(_ engine: any BenchEngine, heads: Bool = false) -> Measurement {
    let session = engine.session()
    var result = Measurement.run(limit: seconds) { _ in
      require(session.scan(from: [], limit: .max, heads: heads) == keyCount)
    }
    result.operationCount *= keyCount
    result.latencies = []
    return result
  }

  /// Puts a second that ``readWhileWriting(_:)`` makes beside the reads.
  var writeRate: Int { min(20_000, (16 << 20) / valueByteCount) }

  /// Reads keys drawn at random while a second thread puts at a fixed rate, the same for all.
  ///
  /// The second result is the rate that the writer kept up.
  func readWhileWriting(_ engine: any BenchEngine) -> (Measurement, Double) {
    let writer = PacedWriter()
    let group = DispatchGroup()
    group.enter()
    Thread.detachNewThread {
      let session = engine.session()
      var key = keys.template()
      var random = FastRandom(seed: 6)
      writer.run(rate: writeRate) { index in
        keys.fill(&key, 2 * random.below(keyCount))
        session.put(key, values[index &+ 2], sync: false)
      }
      group.leave()
    }
    let result = read(engine, .value)
    writer.requestStop()
    group.wait()
    return (result, writer.rateReached)
  }

  private func require(_ condition: Bool) {
    if !condition { stop("a read gave something else than was written") }
  }
}

/// Calls a body so many times a second until it is told to stop.
final class PacedWriter: Sendable {
  private let isStopped = Atomic(false)
  private let reached = Mutex(0.0)

  var rateReached: Double { reached.withLock { $0 } }

  func requestStop() { isStopped.store(true, ordering: .relaxed) }

  func run(rate: Int, _ body: (Int) -> Void) {
    let start = now()
    var done = 0
    while !isStopped.load(ordering: .relaxed) {
      let due = Int(Double(now() - start) / 1e9 * Double(rate))
      while done < due, !isStopped.load(ordering: .relaxed) {
        body(done)
        done += 1
      }
      usleep(1000)
    }
    let seconds = Double(now() - start) / 1e9
    reached.withLock { $0 = Double(done) / seconds }
  }
}
