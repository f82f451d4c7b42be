import Foundation

/// Runs the workloads for one size of value, each on both engines in turn.
struct StorageRunner {
  let root: String
  let valueByteCount: Int
  let keyCount: Int
  /// The time limit of one workload on one engine.
  let seconds: Double

  private typealias Pair = (spine: any BenchEngine, rocks: any BenchEngine)

  func run(only: String?, _ report: inout BenchReport) {
    func wanted(_ name: String) -> Bool { only.map { name.contains($0) } ?? true }
    if wanted("fillseq") {
      withPair { pair in report.add(row("fillseq", pair) { fill($0, limit: 60) { $0 } }) }
    }
    for threads in [1, 16] where wanted("fillsync") {
      withPair { pair in
        report.add(row("fillsync \(threads)", pair) { fillSynced($0, threads: threads) })
      }
    }
    withPair { pair in
      let filled = row("fillrandom", pair) { fill($0, limit: 60, shuffled) }
      if wanted("fillrandom") { report.add(filled) }
      pair.spine.settle()
      pair.rocks.settle()
      for (name, measure) in workloads where wanted(name) {
        report.add(row(name, pair, measure))
        if name == "overwrite" {
          pair.spine.settle()
          pair.rocks.settle()
        }
      }
    }
  }

  /// What runs on a filled and settled store; deleting comes last.
  private var workloads: [(String, (any BenchEngine) -> Measurement)] {
    [
      ("overwrite", { fill($0, limit: seconds * 4, shuffled) }),
      ("readrandom", { reads($0) { session, key in session.get(key) } }),
      ("readmissing", { engine in reads(engine, missing: true) { $0.get($1) } }),
      ("head / get", { reads($0) { session, key in session.head(key) } }),
      ("readseq", readSequentially),
      ("seekrandom", { reads($0) { session, key in session.scan(from: key, limit: 10) } }),
      ("deleterandom", deletes),
    ]
  }

  // MARK: Workloads

  private func fill(
    _ engine: any BenchEngine, limit: Double, _ order: (Int) -> Int
  ) -> Measurement {
    let session = engine.session()
    let values = Values(valueByteCount)
    var key = Keys.template
    return Measurement.run(count: keyCount, limit: limit) { index in
      Keys.fill(&key, order(index) * 2)
      session.put(key, values[index], sync: false)
    }
  }

  private func fillSynced(_ engine: any BenchEngine, threads: Int) -> Measurement {
    let values = Values(valueByteCount)
    return Measurement.run(threads: threads, count: keyCount, limit: seconds) { thread in
      let session = engine.session()
      nonisolated(unsafe) var key = Keys.template
      return { index in
        Keys.fill(&key, shuffled(index * threads + thread))
        session.put(key, values[index], sync: true)
      }
    }
  }

  private func reads(
    _ engine: any BenchEngine, missing: Bool = false,
    _ read: (any BenchSession, [UInt8]) -> Int
  ) -> Measurement {
    let session = engine.session()
    var key = Keys.template
    return Measurement.run(count: keyCount, limit: seconds) { index in
      // Only even numbers were written.
      Keys.fill(&key, shuffled(index &+ 7) * 2 + (missing ? 1 : 0))
      if !missing, read(session, key) < 0 { fatalError("key \(shuffled(index &+ 7)) is missing") }
      if missing, read(session, key) >= 0 { fatalError("a key that was not written is there") }
    }
  }

  private func readSequentially(_ engine: any BenchEngine) -> Measurement {
    var result = Measurement.run(count: 1, limit: 600) { _ in
      let count = engine.session().scan(from: [], limit: .max)
      if count != keyCount { fatalError("\(count) entries instead of \(keyCount)") }
    }
    result.operationCount = keyCount
    result.latencies = []
    return result
  }

  private func deletes(_ engine: any BenchEngine) -> Measurement {
    let session = engine.session()
    var key = Keys.template
    return Measurement.run(count: keyCount, limit: seconds) { index in
      Keys.fill(&key, shuffled(index) * 2)
      session.delete(key)
    }
  }

  /// A number below `keyCount` for each index: a permutation.
  private func shuffled(_ index: Int) -> Int {
    // A prime larger than any key count steps through all residues.
    Int(UInt64(index % keyCount).multipliedFullWidth(by: 2_654_435_761).low % UInt64(keyCount))
  }

  // MARK: Engines

  private func withPair(_ body: (Pair) -> Void) {
    let settings = EngineSettings()
    for name in ["spine", "rocks"] {
      orFail {
        try FileManager.default.createDirectory(
          atPath: "\(root)/\(name)", withIntermediateDirectories: true)
      }
    }
    let pair = (
      spine: SpineEngine("\(root)/spine", settings), rocks: RocksEngine("\(root)/rocks", settings)
    )
    body(pair)
    pair.spine.close()
    pair.rocks.close()
    orFail { try FileManager.default.removeItem(atPath: root) }
  }

  private func row(
    _ name: String, _ pair: Pair, _ measure: (any BenchEngine) -> Measurement
  ) -> BenchRow {
    let spine = measure(pair.spine)
    let rocks = measure(pair.rocks)
    return BenchRow(
      name: "\(name), \(valueByteCount) B", operationsPerSecond: spine.operationsPerSecond,
      p50: spine.percentile(0.5), p99: spine.percentile(0.99), p999: spine.percentile(0.999),
      allocationsPerOperation: Double(spine.allocationCount) / Double(max(1, spine.operationCount)),
      peer: "RocksDB", peerOperationsPerSecond: rocks.operationsPerSecond)
  }
}

/// Keys of 20 bytes that sort like their numbers.
enum Keys {
  static let template = Array("key-0000000000000000".utf8)

  static func fill(_ key: inout [UInt8], _ number: Int) {
    var rest = number
    var index = 19
    while index >= 4 {
      key[index] = 0x30 + UInt8(rest % 10)
      rest /= 10
      index -= 1
    }
  }
}

/// Values of which about half compresses away.
struct Values: Sendable {
  private let pool: [[UInt8]]

  init(_ byteCount: Int) {
    var state: UInt64 = 42
    pool = (0..<256).map { _ in
      (0..<byteCount).map { index in
        guard index % 32 < 16 else { return 0x61 }
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(state >> 56)
      }
    }
  }

  subscript(index: Int) -> [UInt8] { pool[index & 255] }
}
