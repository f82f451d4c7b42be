import ArgumentParser
import KVSimulator

/// `kvsim shrink`: makes a failing run smaller for as long as the same check fails.
///
/// A smaller run draws other numbers from then on, so it is another run, and the failure may hide. So
/// each candidate is tried with a few seeds, and the first that fails the same check is gone on with.
struct Shrink: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Finds the smallest run that fails the same check as a given one.",
    discussion: """
      Tries fewer nodes, clients, keys and requests, a shorter time, fewer kinds of faults and fewer
      rare paths, until nothing can be left out. Prints the settings and the command to repeat it.
      """)

  @Option(help: "The seed of a run that fails.")
  var seed: UInt64
  @OptionGroup var options: RunOptions
  @Option(help: "Seeds tried for each candidate.")
  var tries = 8
  @Option(help: "The most candidates tried.")
  var budget = 300
  @Option(help: "Worker processes; by default one per processor.")
  var jobs: Int?

  func validate() throws {
    guard tries > 0, budget > 0, (jobs ?? 1) > 0 else {
      throw ValidationError("--tries, --budget and --jobs must be positive.")
    }
    if case .all = options.workload { throw ValidationError("shrink takes one workload.") }
  }

  /// A run that fails.
  private struct Failing {
    var options: RunOptions
    var seed: UInt64
    var workload: Workload
    var checker: String
    var explanation: String
    var size: RunSize
  }

  func run() throws {
    guard var best = attempt(options, seeds: SeedRange(seed, seed), checker: nil) else {
      print("seed \(seed) fails no check: there is nothing to shrink")
      throw ExitCode(1)
    }
    best.options.workload = .one(best.workload)
    print("seed \(seed) fails: \(best.checker)")
    var left = budget
    while left > 0, let better = improve(best, &left) {
      best = better
      print("  \(words(best.size))")
    }
    print("smallest: \(words(best.size))")
    print("  \(best.explanation)")
    print("  repeat: \(best.options.command(best.seed, best.workload)) --trace")
  }

  /// The first smaller run that fails in the same way.
  private func improve(_ best: Failing, _ left: inout Int) -> Failing? {
    for candidate in candidates(best) where left > 0 {
      left -= 1
      let range = SeedRange(best.seed, best.seed + UInt64(tries - 1))
      if let better = attempt(candidate, seeds: range, checker: best.checker) { return better }
    }
    return nil
  }

  private func attempt(_ options: RunOptions, seeds: SeedRange, checker: String?) -> Failing? {
    var pool = WorkerPool(
      range: seeds, jobs: jobs ?? WorkerPool.processors, arguments: options.arguments)
    let outcomes = pool.run { _ in }
    let failures = outcomes.reports.compactMap { report -> Failing? in
      guard let failure = report.failure else { return nil }
      return Failing(
        options: options, seed: report.seed, workload: report.workload,
        checker: failure.checker.rawValue, explanation: failure.explanation, size: report.size)
    }
    return failures.filter { checker == nil || $0.checker == checker }.min { $0.seed < $1.seed }
  }

  // MARK: Candidates

  /// Smaller runs, those that leave out most first.
  private func candidates(_ best: Failing) -> [RunOptions] {
    var found: [RunOptions] = []
    func add(_ change: (inout RunOptions) -> Void) {
      var candidate = best.options
      change(&candidate)
      if candidate.arguments != best.options.arguments { found.append(candidate) }
    }
    let size = best.size
    for kinds in smaller(size.faults) { add { $0.faults = NameList(kinds) } }
    for paths in smaller(size.rarePaths) { add { $0.rare = NameList(paths) } }
    for count in smaller(size.nodes) { add { $0.nodes = count } }
    for count in smaller(size.clients) { add { $0.clients = count } }
    for count in smaller(size.keys) { add { $0.keys = count } }
    for count in smaller(size.seconds) { add { $0.time = count } }
    for count in smaller(size.requests) { add { $0.steps = count } }
    return found
  }

  private func smaller(_ count: Int) -> [Int] {
    var counts: [Int] = []
    for smaller in [1, count / 4, count / 2, count * 3 / 4, count - 1]
    where smaller > 0 && smaller < count && !counts.contains(smaller) {
      counts.append(smaller)
    }
    return counts
  }

  /// Nothing; each half; all but one.
  private func smaller<Value>(_ values: [Value]) -> [[Value]] {
    guard !values.isEmpty else { return [] }
    var lists: [[Value]] = [[]]
    let half = values.count / 2
    if half > 0 { lists += [Array(values[..<half]), Array(values[half...])] }
    for index in values.indices where values.count > 2 {
      var rest = values
      rest.remove(at: index)
      lists.append(rest)
    }
    return lists
  }

  private func words(_ size: RunSize) -> String {
    "\(size.nodes) nodes, \(size.clients) clients, \(size.keys) keys, \(size.seconds) s, "
      + "\(size.requests) requests, faults \(NameList(size.faults)), "
      + "rare paths \(NameList(size.rarePaths))"
  }
}

extension SeedRange {
  init(_ first: UInt64, _ last: UInt64) {
    self.first = first
    self.last = last
  }
}
