import ArgumentParser
import Foundation

/// A closed-loop load on the protobuf ports of a cluster on this machine.
struct ClusterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Ping, put, get and update through the protobuf ports of a cluster.",
    discussion: """
      One thread and raw sockets; each connection sends its next request when the last is answered.
      Without --ports a cluster of --nodes nodes is started with scripts/cluster (release build) in a
      directory of its own and destroyed afterwards.

      EXAMPLES
        spinekv-bench cluster --quick
        spinekv-bench cluster --ports 8087,8187,8287 --connections 1,32,128 --json rows.json
      """)

  @Option(name: .customLong("json"), help: "Write the rows to this file.")
  var jsonPath: String?

  @Flag(help: "Short runs with fewer keys: under a minute.")
  var quick = false

  @Option(help: "Protobuf ports of a running cluster on 127.0.0.1, separated by commas.")
  var ports: String?

  @Option(help: "Nodes of the cluster to start when no ports are given.")
  var nodes = 3

  @Option(help: "Numbers of connections, separated by commas.")
  var connections = "1,32"

  @Option(help: "Number of keys.")
  var keys = 20_000

  @Option(help: "Bytes of each value.")
  var valueSize = 1024

  @Option(help: "Seconds of each run.")
  var seconds = 10.0

  @Option(help: "Settings of the cluster that is started, as key=value; may be repeated.")
  var set: [String] = []

  func validate() throws {
    guard nodes > 0, keys > 0, valueSize > 0, seconds > 0 else {
      throw ValidationError("--nodes, --keys, --value-size and --seconds must be positive.")
    }
    if let ports, try numbers(ports).contains(where: { UInt16(exactly: $0) == nil }) {
      throw ValidationError("--ports: a port is at most 65535.")
    }
    guard try numbers(connections).allSatisfy({ (1...10_000).contains($0) }) else {
      throw ValidationError("--connections: from 1 to 10000.")
    }
  }

  func run() throws {
    if let ports {
      try measure(ports: try numbers(ports).map { UInt16(clamping: $0) })
    } else {
      let script = ClusterScript(directory: ".build-bench-cluster")
      try script.start(nodes: nodes, settings: set)
      defer { script.destroy() }
      try measure(ports: (0..<nodes).map { UInt16(8087 + 100 * $0) })
    }
  }

  private func numbers(_ text: String) throws -> [Int] {
    try text.split(separator: ",").map {
      guard let number = Int($0) else { throw ValidationError("'\($0)' is not a number.") }
      return number
    }
  }

  private func measure(ports: [UInt16]) throws {
    var report = BenchReport()
    var load = ClusterLoad(
      ports: ports, operation: .put, connections: 32, keyCount: quick ? 5_000 : keys,
      value: (0..<valueSize).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }, seconds: nil)
    try add(load, "load", to: &report)
    for connections in try numbers(connections) {
      for operation in ClusterOperation.allCases {
        load.operation = operation
        load.connections = connections
        load.seconds = quick ? min(3, seconds) : seconds
        try add(load, operation.rawValue, to: &report)
      }
    }
    if let jsonPath { try report.write(to: jsonPath) }
  }

  private func add(_ load: ClusterLoad, _ name: String, to report: inout BenchReport) throws {
    var outcome = try load.run()
    guard outcome.errors == 0 else {
      throw ClusterLoad.Failure(
        description: "\(name): \(outcome.errors) of \(outcome.latencies.count) were errors")
    }
    outcome.sort()
    report.add(
      BenchRow(
        name: "cluster/\(name)/c\(load.connections)",
        operationsPerSecond: outcome.operationsPerSecond, p50: Double(outcome.quantile(0.5)),
        p99: Double(outcome.quantile(0.99)), p999: Double(outcome.quantile(0.999))))
  }
}

/// Runs `scripts/cluster` of this repository.
private struct ClusterScript {
  var directory: String

  private var root: URL {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..").standardized
  }

  func start(nodes: Int, settings: [String]) throws {
    try run(["destroy"])
    try run(["start", "\(nodes)", "--release"] + settings.flatMap { ["--set", $0] })
  }

  func destroy() { try? run(["destroy"]) }

  private func run(_ arguments: [String]) throws {
    let process = Process()
    process.executableURL = root.appending(path: "scripts/cluster")
    process.arguments = arguments + ["--dir", directory]
    process.currentDirectoryURL = root
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw ClusterLoad.Failure(description: "scripts/cluster \(arguments) failed")
    }
  }
}
