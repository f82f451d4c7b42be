import ArgumentParser
import Glibc
import KVSimulator

/// Runs seeds one after the other and tells the parent process of each, line by line, so that a run
/// that ends its process is known by its seed.
struct Worker: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs seeds for another kvsim process.", shouldDisplay: false)

  @Option var first: UInt64
  @Option var last: UInt64
  @Option var stride: UInt64
  @OptionGroup var options: RunOptions

  func run() throws {
    for seed in Swift.stride(from: first, through: last, by: Int(stride)) {
      var simulation = Simulation(seed: seed, options: options.simulation)
      Self.say(.start(seed))
      let report = simulation.run()
      for row in report.probes.rows { Self.say(.probe(row.name, row.count)) }
      if let failure = report.failure { Self.say(.failure(failure)) }
      Self.say(.size(report.size))
      Self.say(.done(report))
    }
  }

  private static func say(_ line: WorkerLine) {
    emit(line.text + "\n", to: 1)
  }
}

/// One line from a worker to its parent: fields separated by tabs.
enum WorkerLine {
  case start(UInt64)
  case probe(String, Int)
  case failure(SimulationFailure)
  case size(RunSize)
  case done(RunReport)

  var text: String {
    switch self {
    case .start(let seed): "start\t\(seed)"
    case .probe(let name, let count): "probe\t\(name)\t\(count)"
    case .failure(let failure):
      "failure\t\(failure.checker.rawValue)\t"
        + failure.explanation.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    case .size(let size):
      "size\t"
        + [size.nodes, size.clients, size.keys, size.seconds, size.requests]
        .map(String.init).joined(separator: "\t")
        + "\t\(NameList(size.faults))\t\(NameList(size.rarePaths))"
    case .done(let report):
      ([
        "done", String(report.seed), report.workload.rawValue, String(report.virtualNanoseconds),
        String(report.eventCount), String(report.requestCount), String(report.acknowledgedCount),
        String(report.unknownCount), String(report.digest),
      ]).joined(separator: "\t")
    }
  }

  init?(_ text: String) {
    let fields = text.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    switch fields.first {
    case "start" where fields.count == 2:
      guard let seed = UInt64(fields[1]) else { return nil }
      self = .start(seed)
    case "probe" where fields.count == 3:
      guard let count = Int(fields[2]) else { return nil }
      self = .probe(fields[1], count)
    case "failure" where fields.count == 3:
      guard let checker = Checker(rawValue: fields[1]) else { return nil }
      self = .failure(SimulationFailure(checker: checker, explanation: fields[2]))
    case "size" where fields.count == 8:
      guard let size = Self.size(fields) else { return nil }
      self = .size(size)
    case "done" where fields.count == 9:
      guard let workload = Workload(rawValue: fields[2]) else { return nil }
      let numbers = ([fields[1]] + fields[3...]).compactMap { UInt64($0) }
      guard numbers.count == 7 else { return nil }
      var report = RunReport(seed: numbers[0], workload: workload)
      report.virtualNanoseconds = numbers[1]
      report.eventCount = Int(numbers[2])
      report.requestCount = Int(numbers[3])
      report.acknowledgedCount = Int(numbers[4])
      report.unknownCount = Int(numbers[5])
      report.digest = numbers[6]
      self = .done(report)
    default: return nil
    }
  }

  private static func size(_ fields: [String]) -> RunSize? {
    let numbers = fields[1...5].compactMap { Int($0) }
    guard numbers.count == 5, let faults = NameList<FaultKind>(argument: fields[6]),
      let rarePaths = NameList<RarePath>(argument: fields[7])
    else { return nil }
    var size = RunSize()
    (size.nodes, size.clients, size.keys) = (numbers[0], numbers[1], numbers[2])
    (size.seconds, size.requests) = (numbers[3], numbers[4])
    (size.faults, size.rarePaths) = (faults.values, rarePaths.values)
    return size
  }
}

/// Writes to a file descriptor at once; what cannot be written is nobody's concern any more.
func emit(_ text: String, to descriptor: Int32) {
  let bytes = Array(text.utf8)
  var offset = 0
  while offset < bytes.count {
    let count = bytes[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard count > 0 || errno == EINTR else { return }
    offset += max(count, 0)
  }
}
