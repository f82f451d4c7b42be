import Foundation

/// Runs the workloads on one engine, for one size of value and one amount of data.
struct StorageSuite {
  let plan: StoragePlan
  let dataSet: DataSet
  let workload: Workload
  let root: String

  init(_ plan: StoragePlan, _ dataSet: DataSet, valueByteCount: Int, root: String) {
    self.plan = plan
    self.dataSet = dataSet
    self.root = root
    workload = Workload(
      keyCount: plan.keyCount(
        dataSet.byteCount(quick: plan.quick), valueByteCount: valueByteCount),
      valueByteCount: valueByteCount, seconds: plan.seconds)
  }

  /// The rows of all runs.
  func rows() -> [BenchRow] {
    let title = "\(workload.valueByteCount) B, \(dataSet)"
    return Samples.alternating(runs: plan.runs, of: plan.engines, title) { engine, record in
      run(engine) { name, sample in if plan.wants(name) { record(name, sample) } }
    }.rows(suffix: ", \(title)")
  }

  private typealias Record = (String, Sample) -> Void

  private func run(_ kind: EngineKind, _ record: Record) {
    if plan.wants("fillseq") {
      withEngine(kind) {
        let limit = plan.seconds * 4
        record("fillseq", Sample(workload.fill($0, limit: limit, ascending: true)))
      }
    }
    for threads in [1, 16, 64] where plan.wants("fillsync \(threads)") {
      withEngine(kind) {
        record("fillsync \(threads)", Sample(workload.fillSynced($0, threads: threads)))
      }
    }
    guard StoragePlan.suiteNames.dropFirst(4).contains(where: plan.wants) else { return }
    withEngine(kind) { engine in
      fillAndSettle(engine, record)
      readSettled(engine, record)
      change(engine, record)
    }
  }

  private func fillAndSettle(_ engine: any BenchEngine, _ record: Record) {
    let start = now()
    let filled = workload.fill(engine, ascending: false)
    engine.settle()
    let seconds = Double(now() - start) / 1e9
    let settledRate = Double(workload.keyCount) / seconds
    record("fillrandom", Sample(filled, ["settled_ops_per_s": settledRate]))
  }

  /// What needs a filled store and leaves it as it is, but for the few puts of the last one.
  private func readSettled(_ engine: any BenchEngine, _ record: Record) {
    let names = [
      "readrandom", "readmissing", "head / get", "seekrandom", "readseq", "readwhilewriting",
      "updaterandom",
    ]
    guard names.contains(where: plan.wants) else { return }
    _ = workload.read(engine, .value, seconds: plan.seconds / 2)
    for (name, what) in zip(names, [Workload.Read.value, .missing, .head, .ten])
    where plan.wants(name) {
      record(name, Sample(workload.read(engine, what)))
    }
    if plan.wants("readseq") { record("readseq", Sample(workload.readAll(engine))) }
    if plan.wants("readwhilewriting") {
      let (measurement, rate) = workload.readWhileWriting(engine)
      record("readwhilewriting", Sample(measurement, ["writes_per_s": rate]))
    }
  }

  /// What changes most of the store; each begins with a settled one.
  private func change(_ engine: any BenchEngine, _ record: Record) {
    if plan.wants("updaterandom") { record("updaterandom", Sample(workload.update(engine))) }
    if plan.wants("overwrite") {
      engine.settle()
      let limit = plan.seconds * 4
      record("overwrite", Sample(workload.overwrite(engine, limit: limit)))
    }
    if plan.wants("deleterandom") {
      engine.settle()
      record("deleterandom", Sample(workload.delete(engine)))
    }
  }

  private func withEngine(_ kind: EngineKind, _ body: (any BenchEngine) -> Void) {
    withNewDirectory(in: root) { directory in
      let engine = kind.open(directory, dataSet.settings)
      body(engine)
      engine.close()
    }
  }
}

/// Folds over the heads of all keys of a settled store.
struct FoldSuite {
  let plan: StoragePlan
  let root: String

  func rows() -> [BenchRow] {
    let workload = Workload(
      keyCount: plan.foldKeyCount, valueByteCount: 100, seconds: plan.seconds * 2)
    return Samples.alternating(runs: plan.runs, of: plan.engines, "fold") { kind, record in
      withNewDirectory(in: root) { directory in
        let engine = kind.open(directory, .roomy)
        _ = workload.fill(engine, ascending: true)
        engine.settle()
        record(StoragePlan.foldName, Sample(workload.readAll(engine, heads: true)))
        engine.close()
      }
    }.rows(suffix: ", 100 B")
  }
}

/// Gives the body a directory of its own and removes it; nothing waits for the disk afterwards.
func withNewDirectory<Result>(in root: String, _ body: (String) -> Result) -> Result {
  let directory = "\(root)/store"
  orFail {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }
  let result = body(directory)
  orFail { try FileManager.default.removeItem(atPath: directory) }
  sync()
  return result
}
