import ArgumentParser
import Foundation

/// A closed-loop load on the protobuf ports of a cluster on this machine.
struct ClusterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Requests and services' mixes through the protobuf ports of a cluster.",
    discussion: """
      Pings, puts, gets, updates (a get, then a put with its context), index queries of 100 hits, and the
      mixes "general" and "clinicals" of the NHS. One thread and raw sockets; each connection sends its
      next request when the last is answered. The ratio is that to pings by as many connections.
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

  @Option(help: "With --ports: the directory of that cluster (scripts/cluster --dir).")
  var directory: String?

  @Flag(help: "Count the allocations of the nodes that are started; costs some speed.")
  var allocations = false

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
      try measure(ports: try numbers(ports).map { UInt16(clamping: $0) }, directory)
    } else {
      let script = ClusterScript(directory: ".build-bench-cluster")
      try script.start(nodes: nodes, settings: set, countsAllocations: allocations)
      defer { script.destroy() }
      try measure(ports: (0..<nodes).map { UInt16(8087 + 100 * $0) }, script.path)
    }
  }

  private func numbers(_ text: String) throws -> [Int] {
    try text.split(separator: ",").map {
      guard let number = Int($0) else { throw ValidationError("'\($0)' is not a number.") }
      return number
    }
  }

  private func measure(ports: [UInt16], _ directory: String?) throws {
    var report = BenchReport(jsonPath: jsonPath)
    let work = ClusterWork(
      keyCount: quick ? 5_000 : keys, recordCount: quick ? 300 : 2_000, valueSize: valueSize)
    for load in work.loads {
      try measure(load, ports, connections: 32, directory, &report, peer: nil)
    }
    for connections in try numbers(connections) {
      var ping: Double?
      for workload in work.workloads(seconds: quick ? min(3, seconds) : seconds) {
        let row = try measure(
          workload, ports, connections: connections, directory, &report, peer: ping)
        if workload.name == "ping" { ping = row.operationsPerSecond }
      }
    }
  }

  /// Runs a workload and tells its row; pings of as many connections are the peer.
  @discardableResult
  private func measure(
    _ workload: ClusterWork.Workload, _ ports: [UInt16], connections: Int, _ directory: String?,
    _ report: inout BenchReport, peer: Double?
  ) throws -> BenchRow {
    let load = ClusterLoad(
      ports: ports, connections: connections, end: workload.end, operation: workload.operation)
    let before = NodeFigures.read(directory)
    var outcome = try load.run()
    guard outcome.errors == 0 else {
      throw ClusterLoad.Failure(
        description: "\(workload.name): \(outcome.errors) of \(outcome.latencies.count) were errors"
      )
    }
    outcome.sort()
    var row = BenchRow(
      name: "cluster/\(workload.name)/n\(ports.count)/c\(connections)",
      operationsPerSecond: outcome.operationsPerSecond, p50: Double(outcome.quantile(0.5)),
      p99: Double(outcome.quantile(0.99)), p999: Double(outcome.quantile(0.999)),
      peer: peer == nil ? nil : "ping", peerOperationsPerSecond: peer)
    if let before, let after = NodeFigures.read(directory) {
      for (node, seconds) in after.processorSeconds.enumerated() {
        row.more["node\(node + 1)_cpu_s_per_s"] =
          (seconds - before.processorSeconds[node]) / outcome.seconds
        row.more["node\(node + 1)_memory_mib"] = after.memory[node]
      }
      if let first = before.allocations, let last = after.allocations {
        row.allocationsPerOperation =
          Double(last - first) / Double(max(1, outcome.latencies.count))
      }
    }
    try report.add([row])
    return row
  }
}

/// Runs `scripts/cluster` of this repository.
private struct ClusterScript {
  var directory: String

  private var root: URL {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..").standardized
  }

  /// Where the cluster is.
  var path: String { root.appending(path: directory).path }

  func start(nodes: Int, settings: [String], countsAllocations: Bool) throws {
    try run(["destroy"])
    let arguments =
      ["start", "\(nodes)", "--release"] + settings.flatMap { ["--set", $0] }
    guard countsAllocations else { return try run(arguments) }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let library = path + "/allocations.so"
    try execute(
      "/usr/bin/env",
      [
        "clang", "-O2", "-shared", "-fPIC", "-o", library,
        root.appending(path: "Benchmarks/Sources/CAllocationCounter/process_counter.c").path,
      ])
    try run(
      arguments, ["LD_PRELOAD": library, "SPINEKV_ALLOCATIONS": path + "/allocations"])
  }

  func destroy() { try? run(["destroy"]) }

  private func run(
    _ arguments: [String], _ environment: [String: String] = [:]
  ) throws {
    try execute(
      root.appending(path: "scripts/cluster").path, arguments + ["--dir", directory], environment)
  }

  private func execute(
    _ program: String, _ arguments: [String], _ environment: [String: String] = [:]
  ) throws {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.currentDirectoryURL = root
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw ClusterLoad.Failure(description: "\(program) \(arguments) failed")
    }
  }
}
