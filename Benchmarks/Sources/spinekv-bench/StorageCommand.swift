import ArgumentParser
import Foundation

/// The storage engine and RocksDB on the same workloads with the same settings.
struct StorageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storage", abstract: "The storage engine beside RocksDB.",
    discussion: """
      Every workload runs on both engines in turn; rows are medians. All of it takes about 25
      minutes on two cores.

      EXAMPLES
        spinekv-bench storage --quick
        spinekv-bench storage --value-size 100 --data inside --only read --json rows.json
      """)

  @Option(name: .customLong("json"), help: "Write the rows to this file.")
  var jsonPath: String?

  @Flag(help: "One run with less data and only values of 100 B and 8 KiB: under two minutes.")
  var quick = false

  @Option(help: "Where the stores are made; they are removed afterwards.")
  var directory = NSTemporaryDirectory()

  @Option(help: "Only values of this many bytes; may be repeated.")
  var valueSize: [Int] = []

  @Option(help: "Only workloads whose name contains this.")
  var only: String?

  @Option(help: "Runs of each workload on each engine. (default: 5, with --quick 1)")
  var runs: Int?

  @Option(help: "Data that the caches hold (inside), larger data, or both.")
  var data = "both"

  @Option(help: "Only this engine (spine or rocks), for profiles.")
  var engine: EngineKind?

  func validate() throws {
    guard (1...100).contains(runs ?? 1) else {
      throw ValidationError("--runs: from 1 to 100, not \(runs ?? 1).")
    }
    guard valueSize.allSatisfy({ (1...4 << 20).contains($0) }) else {
      throw ValidationError("--value-size: from 1 to \(4 << 20) bytes, not \(valueSize).")
    }
    guard data == "both" || DataSet(rawValue: data) != nil else {
      throw ValidationError("--data: inside, larger or both, not '\(data)'.")
    }
    if let only, !StoragePlan.allNames.contains(where: { $0.contains(only) }) {
      throw ValidationError(
        "--only: no workload's name contains '\(only)'. They are: "
          + StoragePlan.allNames.joined(separator: ", ") + ".")
    }
    try requireDirectory(directory, "--directory")
    if let jsonPath {
      let parent = URL(fileURLWithPath: jsonPath).deletingLastPathComponent().path
      try requireDirectory(parent, "--json")
    }
  }

  func run() throws {
    let plan = StoragePlan(
      valueSizes: valueSize.isEmpty
        ? (quick ? [100, 8192] : [100, 1024, 8192, 102_400]) : valueSize,
      dataSets: DataSet(rawValue: data).map { [$0] } ?? DataSet.allCases,
      runs: runs ?? (quick ? 1 : 5), quick: quick, only: only,
      engines: engine.map { [$0] } ?? EngineKind.allCases)
    print(plan.header, terminator: "\n\n")
    let root = try Cleanup.makeDirectory(in: directory)
    defer { Cleanup.run() }
    var report = BenchReport(jsonPath: jsonPath)
    for size in plan.valueSizes {
      try measure(plan, size, root, &report)
    }
    if plan.wants(StoragePlan.foldName) {
      try report.add(FoldSuite(plan: plan, root: root).rows())
    }
    print("\n" + plan.header + "\n\n" + report.markdown)
  }

  private func measure(
    _ plan: StoragePlan, _ size: Int, _ root: String, _ report: inout BenchReport
  ) throws {
    if StoragePlan.suiteNames.contains(where: plan.wants) {
      for dataSet in plan.dataSets {
        let suite = StorageSuite(plan, dataSet, valueByteCount: size, root: root)
        try report.add(suite.rows())
      }
    }
    if plan.wants(StoragePlan.amplificationName) || plan.wants(StoragePlan.memoryName) {
      let suite = AmplificationSuite(plan: plan, valueByteCount: size, root: root)
      try report.add(suite.rows())
    }
    if plan.wants(StoragePlan.crashName) {
      try report.add(CrashSuite(plan: plan, valueByteCount: size, root: root).rows())
    }
  }
}

/// Refuses a path that is not a directory one can write to.
func requireDirectory(_ path: String, _ option: String) throws {
  var isDirectory: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
    isDirectory.boolValue, access(path, W_OK) == 0
  else { throw ValidationError("\(option): '\(path)' is not a directory one can write to.") }
}
