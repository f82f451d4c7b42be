import Foundation

/// Write and space amplification and peak memory, each run in a process of its own.
struct AmplificationSuite {
  let plan: StoragePlan
  let valueByteCount: Int
  let root: String

  func rows() -> [BenchRow] {
    let workload = Workload(
      keyCount: plan.keyCount(plan.amplificationByteCount, valueByteCount: valueByteCount),
      valueByteCount: valueByteCount, seconds: plan.seconds)
    let title = "\(StoragePlan.amplificationName), \(valueByteCount) B"
    return Samples.alternating(runs: plan.runs, of: plan.engines, title) { kind, record in
      withNewDirectory(in: root) { directory in
        let found = run(kind, workload, directory)
        if plan.wants(StoragePlan.amplificationName) {
          record(StoragePlan.amplificationName, amplification(found))
        }
        if plan.wants(StoragePlan.memoryName) { record(StoragePlan.memoryName, memory(found)) }
      }
    }.rows(suffix: ", \(valueByteCount) B")
  }

  private func run(
    _ kind: EngineKind, _ workload: Workload, _ directory: String
  ) -> AmplificationResult {
    let path = "\(root)/result.json"
    return orFail {
      let ended = try StorageChildCommand.spawn(
        .amplification, kind, directory: directory, workload, result: path)
      guard ended else { stop("a child process crashed") }
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      return try JSONDecoder().decode(AmplificationResult.self, from: data)
    }
  }

  private func amplification(_ found: AmplificationResult) -> Sample {
    let live = Double(found.liveByteCount)
    return Sample(
      operationsPerSecond: Double(found.putCount) / found.seconds,
      [
        "write_amplification": Double(found.writtenByteCount) / Double(found.putByteCount),
        "space_amplification": Double(found.diskByteCount) / live,
        "space_amplification_max": Double(found.largestDiskByteCount) / live,
      ])
  }

  private func memory(_ found: AmplificationResult) -> Sample {
    Sample([
      "peak_memory_bytes": Double(found.peakMemoryByteCount - found.baselineMemoryByteCount),
      "memory_limit_bytes": Double(EngineSettings.tight.memoryByteLimit),
    ])
  }
}

/// Opening a store whose process was killed with all it had written in the journal only.
struct CrashSuite {
  let plan: StoragePlan
  let valueByteCount: Int
  let root: String

  func rows() -> [BenchRow] {
    let workload = Workload(
      keyCount: plan.keyCount(plan.crashByteCount, valueByteCount: valueByteCount),
      valueByteCount: valueByteCount, seconds: plan.seconds)
    let title = "\(StoragePlan.crashName), \(valueByteCount) B"
    return Samples.alternating(runs: plan.runs, of: plan.engines, title) { kind, record in
      withNewDirectory(in: root) { directory in
        record(StoragePlan.crashName, run(kind, workload, directory))
      }
    }.rows(suffix: ", \(valueByteCount) B")
  }

  private func run(_ kind: EngineKind, _ workload: Workload, _ directory: String) -> Sample {
    orFail {
      let ended = try StorageChildCommand.spawn(
        .crash, kind, directory: directory, workload, result: "")
      if ended { stop("a child process was to be killed and ended by itself") }
    }
    sync()
    let start = now()
    let engine = kind.open(directory, .unflushed)
    let nanoseconds = Double(now() - start)
    // Large values are flushed early: of them only the last few megabytes are in the journal alone.
    if let recovered = engine.recoveredOperationCount, recovered == 0 {
      stop("no puts were in the journal, of \(workload.keyCount + 1)")
    }
    _ = workload.read(engine, .value, seconds: 0.05)
    engine.close()
    return Sample(
      operationsPerSecond: Double(workload.keyCount + 1) / (nanoseconds / 1e9),
      p50: nanoseconds / 1000, ["open_ms": nanoseconds / 1e6])
  }
}
