import ArgumentParser
import KVBase
import KVClient

/// `kvtorture releases`: clients that race for prescriptions in a consistent bucket.
struct ReleasesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "releases",
    abstract: "Lets clients race for prescriptions of a consistent bucket; one must win each step.",
    discussion: """
      In each round all clients try to issue one prescription by a put if there is none, then to
      release it by a put over the version that was issued. Prints READY, a line for every hundred
      rounds, DONE when all are played, and after reading every prescription once more a RESULT.
      Exit status 1 when a step has two winners or the wrong one, 2 when the cluster does not
      answer. The bucket type must be consistent:

        ring-admin bucket-type create rx '{"props": {"consistent": true}}'
        kvtorture releases --endpoint 127.0.0.1:8087 --type rx --rounds 1000 --clients 50
      """)

  @OptionGroup var nodes: NodesOption
  @Option(help: "The consistent bucket type.") var type = "rx"
  @Option(help: "Rounds played.") var rounds = 1_000
  @Option(help: "Clients that race for each prescription.") var clients = 50
  @Option(help: "Prescriptions that are raced for at the same time.") var atOnce = 4
  @Option(help: "What the clients' choices follow from.") var seed: UInt64 = 1
  @Option(help: "Seconds that a round, or reading all prescriptions again, may take.")
  var patience = 240

  func validate() throws {
    guard rounds > 0, clients > 0, atOnce > 0, patience > 0 else {
      throw ValidationError("--rounds, --clients, --at-once and --patience must be positive.")
    }
  }

  func run() async throws {
    var configuration = try nodes.configuration()
    configuration.connectionsPerEndpoint = 2 * clients
    let race = ReleaseRace(
      client: KVClient(configuration: configuration), type: Bytes(type.utf8), clients: clients,
      patience: .seconds(patience))
    say("READY")
    let start = ContinuousClock.now
    let isAnswered = await play(race)
    report(race, "DONE", start)
    let isConfirmed = await race.confirm(rounds: rounds)
    for violation in race.violations.prefix(20) { say(violation) }
    let violations = race.violations.count
    let isWhole = isAnswered && isConfirmed && race.counts.rounds == rounds
    report(race, violations > 0 ? "RESULT \(violations) VIOLATIONS" : "RESULT clean", start)
    if violations > 0 { throw ExitCode(1) }
    guard isWhole else {
      say("the cluster does not answer: \(race.lastFailure)")
      throw ExitCode(2)
    }
  }

  /// Plays the rounds, a few at a time; false when one of them never ended.
  private func play(_ race: ReleaseRace) async -> Bool {
    let next = KeyCounter()
    let (rounds, seed) = (rounds, seed)
    return await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<atOnce {
        group.addTask {
          while let round = next.take(below: rounds) {
            var random = SeededRandom(seed: StableHash.mix(seed &+ UInt64(round)))
            guard await race.play(round, &random) else { return false }
            let count = race.counts.rounds
            if count % 100 == 0 { say("ROUNDS \(count) of \(rounds)") }
          }
          return true
        }
      }
      return await group.reduce(true) { $0 && $1 }
    }
  }

  private func report(_ race: ReleaseRace, _ word: String, _ start: ContinuousClock.Instant) {
    let counts = race.counts
    say(
      "\(word): \(counts.rounds) rounds of \(clients) clients, \(counts.requests) requests, "
        + "\(2 * counts.rounds) steps won by one client each, \(counts.toldWinners) were told so, "
        + "\(counts.untoldWinners) had no answer, \(counts.unknown) unknown outcomes, "
        + "\(counts.void) puts refused for want of vnodes or connections, "
        + "\(counts.repeated) races raced again, longest round "
        + "\(counts.longestRound.components.seconds) s, "
        + "\(start.duration(to: .now).components.seconds) s")
  }
}
