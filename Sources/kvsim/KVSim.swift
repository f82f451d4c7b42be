public import ArgumentParser
public import KVSimulator

/// The simulator's command line.
struct KVSim: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvsim",
    abstract: "Runs whole simulated clusters, with faults, each from one seed.",
    discussion: """
      kvsim run --seeds 1..500                 the nightly size, workloads chosen by seed
      kvsim run --seeds 42..42 --trace         everything that happens in one run
      kvsim run --seeds 1..50 --workload deletes --probes
      kvsim run --seeds 1..20 --check-determinism

      Docs/Simulation.md says what is simulated and how to read a failure.
      """,
    subcommands: [EntropyCommand.self, Run.self, Worker.self])
}

/// The options that decide what a run is, besides its seed.
struct RunOptions: ParsableArguments {
  @Option(
    help: "What the clients do: \(Workload.allCases.map(\.rawValue).joined(separator: ", ")).")
  var workload: Workload?
  @Option(help: "Virtual seconds of client work; by default chosen by the seed.")
  var time: Int?
  @Option(help: "The most requests that clients send in a run.")
  var steps: Int?

  var simulation: Simulation.Options {
    var options = Simulation.Options()
    options.workload = workload
    options.seconds = time
    if let steps { options.requestLimit = steps }
    return options
  }

  /// The same options as arguments.
  var arguments: [String] {
    var result: [String] = []
    if let workload { result += ["--workload", workload.rawValue] }
    if let time { result += ["--time", String(time)] }
    if let steps { result += ["--steps", String(steps)] }
    return result
  }

  func validate() throws {
    guard (time ?? 1) > 0, (steps ?? 1) > 0 else {
      throw ValidationError("--time and --steps must be positive.")
    }
  }
}

extension Workload: ExpressibleByArgument {}

/// The seeds from `first` to `last`.
struct SeedRange: ExpressibleByArgument {
  var first: UInt64
  var last: UInt64

  init?(argument: String) {
    let parts = argument.split(separator: ".", omittingEmptySubsequences: true)
    guard let first = parts.first.flatMap({ UInt64($0) }),
      let last = UInt64(parts[parts.count - 1]),
      parts.count <= 2, first <= last, last - first < 1 << 32
    else { return nil }
    self.first = first
    self.last = last
  }
}
