/// One point of a curve: a store of so many keys in so many partitions.
struct CurvePoint {
  var keyCount: Int
  var partitionCount: Int

  static let operations: [(name: String, read: Workload.Read?)] = [
    ("put", nil), ("get", .value), ("head", .head), ("seek", .ten),
  ]

  /// Fills a store for each engine, then measures each operation on both so many times.
  ///
  /// Both stores are open all the time; the one that is not measured is settled and does nothing.
  func samples(_ title: String, runs: Int, root: String) -> Samples {
    let workload = Workload(
      keyCount: keyCount, valueByteCount: 100, seconds: 0.25,
      keys: Keys(partitionCount: partitionCount))
    return withNewDirectory(in: root) { directory in
      let engines = Dictionary(
        uniqueKeysWithValues: EngineKind.allCases.map { kind in
          progress("\(title): filling \(kind)")
          let engine = kind.open("\(directory)/\(kind)", .roomy)
          _ = workload.fill(engine, ascending: true)
          engine.settle()
          return (kind, engine)
        })
      var run: UInt64 = 0
      let samples = Samples.alternating(runs: runs, title) { kind, record in
        guard let engine = engines[kind] else { return }
        run += 1
        measure(engine, workload, seed: 20 + run / 2, record)
      }
      for engine in engines.values { engine.close() }
      return samples
    }
  }

  private func measure(
    _ engine: any BenchEngine, _ workload: Workload, seed: UInt64,
    _ record: (String, Sample) -> Void
  ) {
    let put = workload.overwrite(engine, count: 100_000, limit: 5, seed: seed)
    record("put", Sample(put))
    engine.settle()
    _ = workload.read(engine, .value)
    for operation in Self.operations {
      guard let read = operation.read else { continue }
      record(operation.name, Sample(workload.read(engine, read)))
    }
  }
}
