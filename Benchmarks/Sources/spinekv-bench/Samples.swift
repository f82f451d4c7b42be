/// The figures of one run of one workload on one engine.
struct Sample {
  var operationsPerSecond: Double?
  var p50: Double?
  var p99: Double?
  var p999: Double?
  var allocationsPerOperation: Double?
  /// More figures, by their key in the JSON.
  var more: [String: Double] = [:]

  init(_ measurement: Measurement, _ more: [String: Double] = [:]) {
    operationsPerSecond = measurement.operationsPerSecond
    p50 = measurement.percentile(0.5)
    p99 = measurement.percentile(0.99)
    p999 = measurement.percentile(0.999)
    allocationsPerOperation =
      Double(measurement.allocationCount) / Double(max(1, measurement.operationCount))
    self.more = more
  }

  init(operationsPerSecond: Double? = nil, p50: Double? = nil, _ more: [String: Double]) {
    self.operationsPerSecond = operationsPerSecond
    self.p50 = p50
    self.more = more
  }
}

/// The samples of several runs, by workload and engine, in the order the workloads came.
struct Samples {
  private var names: [String] = []
  private var samples: [String: [EngineKind: [Sample]]] = [:]

  /// Runs `body` for each engine so many times, in an order that alternates (AB BA AB).
  static func alternating(
    runs: Int, of engines: [EngineKind] = EngineKind.allCases, _ title: String,
    _ body: (EngineKind, (String, Sample) -> Void) -> Void
  ) -> Samples {
    var result = Samples()
    for run in 0..<runs {
      for engine in run.isMultiple(of: 2) ? engines : engines.reversed() {
        progress("\(title): run \(run + 1) of \(runs), \(engine)")
        body(engine) { name, sample in result.add(name, engine, sample) }
      }
    }
    return result
  }

  private mutating func add(_ name: String, _ engine: EngineKind, _ sample: Sample) {
    if samples[name] == nil { names.append(name) }
    samples[name, default: [:]][engine, default: []].append(sample)
  }

  /// A row of medians for each workload.
  func rows(suffix: String) -> [BenchRow] {
    names.map { name in
      let spine = samples[name]?[.spine] ?? []
      let rocks = samples[name]?[.rocks] ?? []
      return row(name + suffix, spine, rocks)
    }
  }

  private func row(_ name: String, _ spine: [Sample], _ rocks: [Sample]) -> BenchRow {
    var row = BenchRow(
      name: name, operationsPerSecond: median(spine) { $0.operationsPerSecond },
      p50: median(spine) { $0.p50 }, p99: median(spine) { $0.p99 },
      p999: median(spine) { $0.p999 },
      allocationsPerOperation: median(spine) { $0.allocationsPerOperation }, peer: "RocksDB",
      peerOperationsPerSecond: median(rocks) { $0.operationsPerSecond })
    row.more["runs"] = Double(spine.count)
    row.more["peer_p50_us"] = median(rocks) { $0.p50 }
    row.more["peer_p99_us"] = median(rocks) { $0.p99 }
    row.more["peer_p999_us"] = median(rocks) { $0.p999 }
    row.more["peer_allocs_per_op"] = median(rocks) { $0.allocationsPerOperation }
    let ratios = zip(spine, rocks).compactMap { spine, rocks -> Double? in
      guard let ours = spine.operationsPerSecond, let peer = rocks.operationsPerSecond else {
        return nil
      }
      return ours / peer
    }
    row.more["ratio_min"] = ratios.min()
    row.more["ratio_max"] = ratios.max()
    for key in Set((spine + rocks).flatMap(\.more.keys)) {
      row.more[key] = median(spine) { $0.more[key] }
      row.more["peer_\(key)"] = median(rocks) { $0.more[key] }
    }
    return row
  }
}

/// The median of the figures that are there; nil when there are none.
func median(_ samples: [Sample], _ figure: (Sample) -> Double?) -> Double? {
  median(samples.compactMap(figure))
}

/// The median; nil when there are no values.
func median(_ values: [Double]) -> Double? {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return nil }
  let middle = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}
