import ArgumentParser
import KVBase
import KVSimulator

/// `kvsim releases`: many clients race to issue and release prescriptions, round after round.
struct ReleasesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "releases",
    abstract: "Lets clients race for prescriptions of a consistent bucket; one must win each step.",
    discussion: """
      In each round all clients try to issue one prescription by a put if there is none, then to
      release it by a put over the version that was issued, while processes crash, machines lose
      power, nodes are cut off and clocks jump. Exits with 1 unless each step of each round has
      exactly one winner. Each cluster plays 25 rounds.

      EXAMPLES
        kvsim releases --rounds 10000
        kvsim run --seeds 42..42 --workload releases --rounds 25 --clients 50 --trace
      """)

  /// The rounds that one simulated cluster plays.
  private static let roundsPerRun = 25

  @Option(help: "Rounds, in clusters of 25 rounds each.") var rounds = 10_000
  @Option(help: "Clients that race.") var clients = 50
  @Option(help: "The seed of the first cluster; the others have the seeds after it.")
  var seed: UInt64 = 1
  @Option(help: "Worker processes; by default one per processor.") var jobs: Int?

  func validate() throws {
    guard rounds > 0, clients > 0, (jobs ?? 1) > 0 else {
      throw ValidationError("--rounds, --clients and --jobs must be positive.")
    }
  }

  func run() throws {
    let start = ContinuousClock.now
    let arguments = [
      "--workload", Workload.releases.rawValue, "--rounds", "\(Self.roundsPerRun)",
      "--clients", "\(clients)",
    ]
    let runs = UInt64((rounds + Self.roundsPerRun - 1) / Self.roundsPerRun)
    let range = SeedRange(first: seed, last: seed + runs - 1)
    var pool = WorkerPool(
      range: range, jobs: jobs ?? WorkerPool.processors, arguments: arguments)
    let outcomes = pool.run { _ in }
    for report in outcomes.reports.sorted(by: { $0.seed < $1.seed }) {
      guard let failure = report.failure else { continue }
      print("seed \(report.seed) FAILED: \(failure.checker.rawValue)\n  \(failure.explanation)")
    }
    for crash in outcomes.crashes {
      print("seed \(crash.seed) ENDED ITS PROCESS with signal \(crash.signal)")
    }
    let isClean = summarize(outcomes, range)
    print("in \(Double(start.duration(to: .now).wholeMilliseconds / 100) / 10) s")
    if !isClean { throw ExitCode(1) }
  }

  /// Prints what came of the rounds; false when a step had no winner or more than one.
  private func summarize(_ outcomes: RunOutcomes, _ range: SeedRange) -> Bool {
    let reports = outcomes.reports.sorted { $0.seed < $1.seed }
    var counts = ProbeCounts()
    for report in reports { counts.add(report.probes) }
    let rows = counts.rows
    func count(_ name: String) -> Int { rows.first { $0.name == "sim: \(name)" }?.count ?? 0 }
    let digest = reports.reduce(UInt64(reports.count)) { StableHash.mix($0 ^ $1.digest) }
    let released = count("prescription released")
    let seconds = reports.reduce(0) { $0 + Int($1.virtualNanoseconds / 1_000_000_000) }
    print(
      "\(released) rounds of \(clients) clients in \(reports.count) clusters, "
        + "seeds \(range.first)..\(range.last), \(seconds) virtual seconds, "
        + "\(reports.reduce(0) { $0 + $1.requestCount }) requests")
    print(
      "\(2 * released) steps, each won by one client: \(count("winner told")) were told so, "
        + "\(count("winner never told")) had no answer")
    print(
      "\(count("race with an unknown outcome")) requests of unknown outcome; "
        + "\(count("race without a winner")) races without a winner, raced again")
    let faults = rows.filter { $0.name.hasPrefix("sim: fault ") }
    print(
      "faults: "
        + faults.map { "\($0.name.dropFirst("sim: fault ".count)) \($0.count)" }
        .joined(separator: ", "))
    let isClean = !outcomes.hasFailure && released >= rounds
    print("digest \(String(digest, radix: 16)), \(isClean ? "clean" : "FAILED")")
    return isClean
  }
}
