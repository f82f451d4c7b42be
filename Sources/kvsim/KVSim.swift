import ArgumentParser
import KVSimulator

/// The simulator's command line.
struct KVSim: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvsim",
    abstract: "Runs whole simulated clusters, with faults, each from one seed.",
    discussion: """
      kvsim run --seeds 1..500                 the nightly size, workloads chosen by seed
      kvsim run --seeds 42..42 --trace         everything that happens in one run
      kvsim run --seeds 1..50 --workload deletes --probes
      kvsim run --seeds 1..20 --workload all   each seed with every workload
      kvsim run --seeds 1..20 --check-determinism
      kvsim probes --seeds 1..500              how many runs took each rare path, and which none did
      kvsim shrink --seed 42                   the smallest run that fails the same check
      kvsim releases --rounds 10000            clients that race for one prescription after the other

      Docs/Simulation.md says what is simulated and how to read a failure.
      """,
    subcommands: [
      Run.self, Probes.self, Shrink.self, ReleasesCommand.self, GossipCommand.self,
      EntropyCommand.self, Worker.self,
    ])
}

/// The options that decide what a run is, besides its seed.
struct RunOptions: ParsableArguments {
  @Option(help: "What the clients do: \(WorkloadChoice.names); by default the seed chooses.")
  var workload: WorkloadChoice?
  @Option(help: "Virtual seconds of client work; by default chosen by the seed.")
  var time: Int?
  @Option(help: "The most requests that clients send in a run.")
  var steps: Int?
  @Option(help: "The nodes that form the cluster at first.")
  var nodes: Int?
  @Option(help: "The clients.")
  var clients: Int?
  @Option(help: "The keys of the bucket that keeps siblings.")
  var keys: Int?
  @Option(help: "The rounds of the workload releases.")
  var rounds: Int?
  @Option(help: "The kinds of faults, with commas, or 'none'.")
  var faults: NameList<FaultKind>?
  @Option(help: "The rare paths turned on, with commas, or 'none'.")
  var rare: NameList<RarePath>?

  var simulation: Simulation.Options {
    var options = Simulation.Options()
    if case .one(let one) = workload { options.workload = one }
    options.seconds = time
    if let steps { options.requestLimit = steps }
    options.nodes = nodes
    options.clients = clients
    options.keys = keys
    options.faults = faults?.values
    options.rarePaths = rare?.values
    if let rounds { options.rounds = rounds }
    return options
  }

  /// These options, once for each workload if they say `all`.
  var variants: [RunOptions] {
    guard case .all = workload else { return [self] }
    return Workload.allCases.map { workload in
      var variant = self
      variant.workload = .one(workload)
      return variant
    }
  }

  /// The command that repeats a run.
  func command(_ seed: UInt64, _ workload: Workload) -> String {
    var rest = self
    rest.workload = .one(workload)
    return (["kvsim run --seeds \(seed)..\(seed)"] + rest.arguments).joined(separator: " ")
  }

  /// The same options as arguments.
  var arguments: [String] {
    var result: [String] = []
    if let workload { result += ["--workload", workload.description] }
    let numbers = [
      ("--time", time), ("--steps", steps), ("--nodes", nodes), ("--clients", clients),
      ("--keys", keys), ("--rounds", rounds),
    ]
    for case (let name, let number?) in numbers { result += [name, String(number)] }
    if let faults { result += ["--faults", faults.description] }
    if let rare { result += ["--rare", rare.description] }
    return result
  }

  func validate() throws {
    guard [time, steps, clients, keys, rounds].allSatisfy({ ($0 ?? 1) > 0 }) else {
      throw ValidationError("--time, --steps, --clients, --keys and --rounds must be positive.")
    }
    guard (1...50).contains(nodes ?? 1) else {
      throw ValidationError("--nodes must be 1 to 50.")
    }
  }
}

/// One workload, or all of them.
enum WorkloadChoice: ExpressibleByArgument, CustomStringConvertible {
  case one(Workload)
  case all

  static var names: String {
    (Workload.allCases.map(\.rawValue) + ["all"]).joined(separator: ", ")
  }

  init?(argument: String) {
    if argument == "all" {
      self = .all
    } else if let workload = Workload(rawValue: argument) {
      self = .one(workload)
    } else {
      return nil
    }
  }

  var description: String {
    switch self {
    case .one(let workload): workload.rawValue
    case .all: "all"
    }
  }
}

/// Names with commas between them; `none` for no names.
struct NameList<Value: RawRepresentable>: ExpressibleByArgument, CustomStringConvertible
where Value.RawValue == String {
  var values: [Value]

  init(_ values: [Value]) { self.values = values }

  init?(argument: String) {
    guard argument != "none" else {
      values = []
      return
    }
    values = []
    for name in argument.split(separator: ",") {
      guard let value = Value(rawValue: String(name)) else { return nil }
      values.append(value)
    }
  }

  var description: String {
    values.isEmpty ? "none" : values.map(\.rawValue).joined(separator: ",")
  }
}

/// The seeds from `first` to `last`.
struct SeedRange: ExpressibleByArgument {
  var first: UInt64
  var last: UInt64

  init(first: UInt64, last: UInt64) {
    self.first = first
    self.last = last
  }

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
