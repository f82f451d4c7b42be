import ArgumentParser
import KVSimulator

/// `kvsim probes`: which rare paths a range of seeds takes, and which it never does.
struct Probes: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Tells how many runs took each rare path; exits with 1 when some path was never taken.")

  @Option(help: "The seeds: FIRST..LAST, or one.")
  var seeds: SeedRange
  @OptionGroup var options: RunOptions
  @Option(help: "Worker processes; by default one per processor.")
  var jobs: Int?

  func run() throws {
    var reports: [RunReport] = []
    for variant in options.variants {
      var pool = WorkerPool(
        range: seeds, jobs: jobs ?? WorkerPool.processors, arguments: variant.arguments)
      reports += pool.run { _ in }.reports
    }
    let probes = ProbeReport(reports)
    for line in probes.lines { print(line) }
    print(
      "\(reports.count) runs, \(probes.neverHit.count) of \(KnownProbes.names.count) probes never hit"
    )
    if !probes.neverHit.isEmpty { throw ExitCode(1) }
  }
}

/// How often each probe was hit, and in how many runs.
struct ProbeReport {
  private var counts = ProbeCounts()
  private var runs = ProbeCounts()

  init(_ reports: [RunReport]) {
    for report in reports {
      counts.add(report.probes)
      for row in report.probes.rows { runs.count(row.name) }
    }
  }

  /// The known probes that no run hit, by name.
  var neverHit: [String] {
    let hit = Set(counts.rows.map(\.name))
    return KnownProbes.names.filter { !hit.contains($0) }
  }

  /// One line for each probe, those never hit last.
  var lines: [String] {
    zip(counts.rows, runs.rows).map { "probe \($0.name): \($0.count) in \($1.count) runs" }
      + neverHit.map { "probe \($0): NEVER HIT" }
  }
}
