import ArgumentParser
import Glibc
import KVBase
import KVSimulator

/// `kvsim run`: many seeds in worker processes, or one with its trace.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs simulated clusters and checks them; exits with 1 when a check fails.")

  @Option(help: "The seeds: FIRST..LAST, or one.")
  var seeds: SeedRange
  @OptionGroup var options: RunOptions
  @Option(help: "Worker processes; by default one per processor.")
  var jobs: Int?
  @Flag(help: "Print everything that happens, in this process.")
  var trace = false
  @Flag(help: "Print how often each rare path was taken.")
  var probes = false
  @Flag(help: "Run every seed in two processes and compare their digests.")
  var checkDeterminism = false
  @Flag(help: "Stop at the first seed that fails.")
  var failFast = false
  @Flag(help: "Print one line per seed.")
  var verbose = false

  func validate() throws {
    guard (jobs ?? 1) > 0 else { throw ValidationError("--jobs must be positive.") }
  }

  func run() throws {
    if trace {
      try runTraced()
    } else {
      try runWorkers()
    }
  }

  private func runTraced() throws {
    var hasFailed = false
    for seed in seeds.first...seeds.last {
      for variant in options.variants {
        var simulation = Simulation(seed: seed, options: variant.simulation) { print($0) }
        let report = simulation.run()
        print("seed \(seed) \(report.workload.rawValue) digest \(hexadecimal(report.digest))")
        hasFailed = hasFailed || report.failure != nil
        if let failure = report.failure { explain(failure, seed, report.workload) }
      }
    }
    if hasFailed { throw ExitCode(1) }
  }

  private func runWorkers() throws {
    let start = ContinuousClock.now
    let outcomes = runAll()
    let wall = start.duration(to: .now)
    let reports = sorted(outcomes.reports)
    if verbose { for report in reports { print(line(report)) } }
    for report in reports {
      if let failure = report.failure { explain(failure, report.seed, report.workload) }
    }
    for crash in outcomes.crashes.sorted(by: { $0.seed < $1.seed }) { explain(crash) }
    if probes { printProbes(reports) }
    let failures = reports.count { $0.failure != nil } + outcomes.crashes.count
    print(summary(reports, failures: failures, wall: wall))
    let isSame = !checkDeterminism || isRepeated(reports)
    if failures > 0 || !isSame { throw ExitCode(1) }
  }

  private func runAll() -> RunOutcomes {
    let variants = options.variants
    let isTerminal = isatty(2) != 0
    let total = Int(seeds.last - seeds.first + 1) * variants.count
    var all = RunOutcomes()
    for variant in variants {
      var pool = WorkerPool(
        range: seeds, jobs: jobs ?? WorkerPool.processors, arguments: variant.arguments,
        stopsAtFailure: failFast)
      let outcomes = pool.run { outcomes in
        guard isTerminal, !outcomes.reports.isEmpty else { return }
        emit("\r\(all.reports.count + outcomes.reports.count) of \(total)", to: 2)
      }
      all.reports += outcomes.reports
      all.crashes += outcomes.crashes
      if failFast, all.hasFailure { break }
    }
    if isTerminal { emit("\r", to: 2) }
    return all
  }

  private func sorted(_ reports: [RunReport]) -> [RunReport] {
    reports.sorted { ($0.seed, $0.workload.rawValue) < ($1.seed, $1.workload.rawValue) }
  }

  // MARK: Words

  private func explain(_ failure: SimulationFailure, _ seed: UInt64, _ workload: Workload) {
    print("seed \(seed) FAILED: \(failure.checker.rawValue)")
    print("  \(failure.explanation)")
    print("  repeat: \(options.command(seed, workload)) --trace")
    print("  shrink: kvsim shrink --seed \(seed) --workload \(workload.rawValue)")
  }

  private func explain(_ crash: RunOutcomes.Crash) {
    print("seed \(crash.seed) ENDED ITS PROCESS with signal \(crash.signal); its words are above")
    let words = ["kvsim run --seeds \(crash.seed)..\(crash.seed)"] + crash.arguments
    print("  repeat: \(words.joined(separator: " ")) --trace")
  }

  private func line(_ report: RunReport) -> String {
    "seed \(report.seed) \(report.workload.rawValue) "
      + "\(report.virtualNanoseconds / 1_000_000_000) s, \(report.eventCount) events, "
      + "\(report.requestCount) requests, \(report.acknowledgedCount) writes acknowledged, "
      + "\(report.unknownCount) unknown, digest \(hexadecimal(report.digest))"
  }

  private func summary(_ reports: [RunReport], failures: Int, wall: Duration) -> String {
    let virtual = reports.reduce(0.0) { $0 + Double($1.virtualNanoseconds) / 3.6e12 }
    let digest = reports.reduce(UInt64(reports.count)) { StableHash.mix($0 ^ $1.digest) }
    let seconds = Double(wall.wholeMilliseconds) / 1000
    let rate = Double(reports.count) / max(seconds, 0.001)
    let hours = virtual * 60 / max(seconds, 0.001)
    return
      "seeds \(seeds.first)..\(seeds.last), \(options.workload?.description ?? "mixed workloads"): "
      + "\(tenths(virtual)) virtual hours, \(reports.reduce(0) { $0 + $1.eventCount }) events, "
      + "\(reports.reduce(0) { $0 + $1.requestCount }) requests, "
      + "\(reports.reduce(0) { $0 + $1.acknowledgedCount }) writes acknowledged, "
      + "digest \(hexadecimal(digest)), \(tenths(seconds)) s, \(tenths(rate)) seeds/s, "
      + "\(tenths(hours)) virtual hours a minute, "
      + (failures == 0 ? "clean" : "\(failures) FAILED")
  }

  private func printProbes(_ reports: [RunReport]) {
    for line in ProbeReport(reports).lines { print(line) }
  }

  private func isRepeated(_ reports: [RunReport]) -> Bool {
    let again = sorted(runAll().reports)
    let differing = zip(reports, again).filter { $0.digest != $1.digest }.map(\.0.seed)
    if reports.count == again.count, differing.isEmpty {
      print("digests of \(reports.count) seeds are equal in a second run")
      return true
    }
    print("digests DIFFER in a second run: seeds \(differing)")
    return false
  }

  private func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private func tenths(_ value: Double) -> String {
    let scaled = Int((value * 10).rounded())
    return "\(scaled / 10).\(scaled % 10)"
  }
}
