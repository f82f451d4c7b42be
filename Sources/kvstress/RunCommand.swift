import ArgumentParser
import Foundation
import KVBase
import KVStorage

/// The parent: starts the writer, kills it, opens the store and reads all of it.
///
/// What the store must hold is on disk (``ExpectedState``, ``Progress``), so this process may be killed
/// as well: run again with the same options, it goes on where it was.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Kills or closes the writer in each round and verifies the store.",
    discussion: """
      The store is in DIRECTORY, what it must hold in DIRECTORY.expected and DIRECTORY.progress.

      EXAMPLES
        kvstress run --directory /tmp/stress --rounds 200
        kvstress run --directory /tmp/stress --seconds 1800 --seed 7
      """)

  @Option(help: "The store's directory; a run that was interrupted there goes on.")
  var directory: String

  @Option(help: "How many rounds to run; by default as many as fit into the time.")
  var rounds: Int?

  @Option(help: "How long to run, in seconds; without it and without rounds, 60.")
  var seconds: Int?

  @Option(help: "The longest life of a writer, in milliseconds.")
  var maximumLife = 800

  @OptionGroup var workload: Workload

  func run() throws {
    var summary = Summary()
    let start = ContinuousClock.now
    let end = start + .seconds(seconds ?? (rounds == nil ? 60 : 1 << 30))
    var state = try resume(&summary)
    let last = rounds.map { state.round + $0 } ?? .max
    while state.round < last, ContinuousClock.now < end {
      let life = Workload.Life(
        round: state.round + 1, epoch: PosixFileSystem().secondsSinceEpoch)
      try Progress.begin(directory, life, threads: workload.threads)
      try write(life)
      state = try verified(state, &summary)
      if summary.rounds % 10 == 0 || state.round == last {
        say("round \(state.round): \(summary), \(state.keyCount) keys")
      }
    }
    let time = (ContinuousClock.now - start).components.seconds
    say("OK: \(summary), nothing durable lost, no wrong value, seed \(workload.seed), \(time) s")
  }

  /// The state to go on from; verifies the round in which an earlier run was interrupted.
  private func resume(_ summary: inout Summary) throws -> ExpectedState {
    guard let state = try ExpectedState(directory, workload) else {
      guard !FileManager.default.fileExists(atPath: directory + "/ledger") else {
        throw ValidationError("\(directory) holds a store of which nothing is known")
      }
      let state = ExpectedState(threads: workload.threads)
      try state.save(directory, workload)
      return state
    }
    say("going on after round \(state.round)")
    let progress = Progress(directory, threads: workload.threads)
    return progress?.life.round == state.round + 1 ? try verified(state, &summary) : state
  }

  /// Verifies the store after a round and records what it holds.
  private func verified(
    _ state: ExpectedState, _ summary: inout Summary
  ) throws -> ExpectedState {
    guard let progress = Progress(directory, threads: workload.threads) else {
      throw ValidationError("\(directory).progress is missing or of another workload")
    }
    let verifier = Verifier(workload: workload)
    var random = SeededRandom(seed: workload.seed ^ UInt64(progress.life.round))
    let store = try open(round: progress.life.round)
    var (found, problems) = try verifier.verify(store, state, progress)
    if problems.isEmpty, random.chance(0.3) {
      while try store.performBackgroundWork() {}
      problems = try verifier.recheck(store, found)
    }
    guard problems.isEmpty else { throw failed(progress.life.round, problems) }
    summary.add(store.openReport, progress, workload)
    try found.save(directory, workload)
    if random.chance(0.5) { try store.close() }
    return found
  }

  /// Opens the store; a writer that has just lost its parent may still hold it.
  private func open(round: Int) throws -> Store {
    let options = workload.options(round: round, .manual)
    for _ in 0..<100 {
      do throws(StorageError) {
        return try Store.open(at: directory, fileSystem: PosixFileSystem(), options: options)
      } catch {
        guard error.code == .locked else { throw error }
        usleep(50_000)
      }
    }
    return try Store.open(at: directory, fileSystem: PosixFileSystem(), options: options)
  }

  /// Runs the writer for a while; one time in four it may close the store, else it is killed.
  private func write(_ life: Workload.Life) throws {
    var random = SeededRandom(seed: StableHash.mix(workload.seed) ^ UInt64(life.round))
    let milliseconds = 20 + random.below(max(1, maximumLife - 20))
    let closes = random.chance(0.25)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = [
      "write", "--directory", directory, "--parent", "\(getpid())",
      "--seed", "\(workload.seed)", "--threads", "\(workload.threads)",
      "--keys", "\(workload.keys)",
    ]
    if closes { process.arguments?.append(contentsOf: ["--close-after", "\(milliseconds)"]) }
    try process.run()
    if !closes {
      usleep(UInt32(milliseconds) * 1000)
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
    process.waitUntilExit()
    let isGood =
      process.terminationReason == .uncaughtSignal
      ? !closes && process.terminationStatus == SIGKILL : closes && process.terminationStatus == 0
    if !isGood {
      throw failed(life.round, ["the writer ended with status \(process.terminationStatus)"])
    }
  }

  private func failed(_ round: Int, _ problems: [String]) -> ExitCode {
    for problem in problems.prefix(20) { say("round \(round): \(problem)") }
    say("FAILED in round \(round), seed \(workload.seed); the store is kept in \(directory)")
    return ExitCode(1)
  }

  /// Prints a line at once, also into a file.
  private func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

private struct Summary: CustomStringConvertible {
  private(set) var rounds = 0
  private var durable = 0
  private var replayed = 0
  private var torn = 0
  private var counters: [Progress.Counter: Int] = [:]

  mutating func add(_ report: OpenReport, _ progress: Progress, _ workload: Workload) {
    rounds += 1
    durable += (0..<workload.threads).reduce(0) { $0 + progress.durable($1) }
    replayed += report.recordsReplayed
    torn += report.tornJournalByteCount > 0 ? 1 : 0
    for counter in Progress.Counter.allCases { counters[counter, default: 0] += progress[counter] }
  }

  var description: String {
    let work = Progress.Counter.allCases.map { "\(counters[$0] ?? 0) \($0)" }
    return "\(rounds) rounds, \(durable) durable batches, \(replayed) replayed, "
      + "\(torn) torn journals, " + work.joined(separator: ", ")
  }
}
