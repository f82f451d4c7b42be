import ArgumentParser
import Foundation

/// How the cost of an operation grows with the number of keys and of partitions.
struct StorageCurvesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storage-curves",
    abstract: "Cost of put, get, head and seek by number of keys and of partitions.",
    discussion: """
      Values of 100 B; from 10^4 to 10^7 keys in one partition, then 10^6 keys in 1 to 256
      partitions. About six minutes on two cores.

      EXAMPLES
        spinekv-bench storage-curves --plot curves.svg
      """)

  @Option(name: .customLong("json"), help: "Write the rows to this file.")
  var jsonPath: String?

  @Option(name: .customLong("plot"), help: "Write a plot to this file (SVG).")
  var plotPath: String?

  @Option(help: "Where the stores are made; they are removed afterwards.")
  var directory = NSTemporaryDirectory()

  @Option(help: "Most keys: the curve ends before.")
  var maxKeys = 10_000_000

  @Option(help: "Runs of each operation on each store.")
  var runs = 5

  func validate() throws {
    guard (10_000...40_000_000).contains(maxKeys) else {
      throw ValidationError("--max-keys: from 10000 to 40000000, not \(maxKeys).")
    }
    guard (1...100).contains(runs) else {
      throw ValidationError("--runs: from 1 to 100, not \(runs).")
    }
    try requireDirectory(directory, "--directory")
    for (path, option) in [(jsonPath, "--json"), (plotPath, "--plot")] {
      guard let path else { continue }
      try requireDirectory(URL(fileURLWithPath: path).deletingLastPathComponent().path, option)
    }
  }

  func run() throws {
    let header = """
      Values of 100 B, keys of \(Keys.byteCount) B; medians of \(runs) runs on one store, the
      engines taking turns (AB BA AB ...). put: 100,000 at random, then settled for the reads.
      Both engines: \(EngineSettings.roomy.commonSummary);
      \(EngineSettings.roomy.summary).
      """
    print(header, terminator: "\n\n")
    let root = try Cleanup.makeDirectory(in: directory)
    defer { Cleanup.run() }
    var report = BenchReport(jsonPath: jsonPath)
    let keyCounts = [10_000, 100_000, 1_000_000, 10_000_000].filter { $0 <= maxKeys }
    let byKeys = keyCounts.map { CurvePoint(keyCount: $0, partitionCount: 1) }
    let byPartitions = [1, 4, 16, 64, 256].map {
      CurvePoint(keyCount: min(1_000_000, maxKeys), partitionCount: $0)
    }
    let keyRows = try byKeys.map { try measure($0, "\($0.keyCount) keys", root, &report) }
    let partitionRows = try byPartitions.map {
      let title = "\($0.keyCount) keys, partitions: \($0.partitionCount)"
      return try measure($0, title, root, &report)
    }
    print("\n" + header + "\n\n" + report.markdown)
    guard let plotPath else { return }
    let charts =
      charts("keys", byKeys.map(\.keyCount), keyRows)
      + charts("partitions", byPartitions.map(\.partitionCount), partitionRows)
    try CurvePlot(charts: charts, columns: CurvePoint.operations.count).svg
      .write(toFile: plotPath, atomically: true, encoding: .utf8)
  }

  private func measure(
    _ point: CurvePoint, _ title: String, _ root: String, _ report: inout BenchReport
  ) throws -> [BenchRow] {
    let rows = point.samples(title, runs: runs, root: root).rows(suffix: ", \(title)")
    try report.add(rows)
    return rows
  }

  /// A chart of microseconds for each operation.
  private func charts(
    _ axis: String, _ points: [Int], _ rows: [[BenchRow]]
  ) -> [CurvePlot.Chart] {
    CurvePoint.operations.enumerated().map { index, operation in
      func microseconds(_ figure: (BenchRow) -> Double?) -> [Double] {
        rows.map { row in 1e6 / (figure(row[index]) ?? .infinity) }
      }
      return CurvePlot.Chart(
        title: "\(operation.name), us by \(axis)",
        labels: points.map { $0 < 10_000 ? "\($0)" : "10^" + text(log10(Double($0)), 0) },
        series: [
          .init(name: "SpineKV", color: "#1f77b4", values: microseconds(\.operationsPerSecond)),
          .init(name: "RocksDB", color: "#d62728", values: microseconds(\.peerOperationsPerSecond)),
        ])
    }
  }
}
