import Foundation
import Glibc
import Testing

/// Real processes of this build, in a directory of their own, on ports that were free a moment ago.
final class TestCluster {
  struct Ports {
    var client: Int
    var http: Int
    var peer: Int
  }

  let directory: URL
  let ports: [Ports]
  private var processes: [Int: Process] = [:]

  init(nodes count: Int) throws {
    directory = FileManager.default.temporaryDirectory.appending(
      path: "spinekv-integration-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let free = try FreePorts.find(3 * count)
    ports = (0..<count).map {
      Ports(client: free[3 * $0], http: free[3 * $0 + 1], peer: free[3 * $0 + 2])
    }
  }

  deinit {
    for process in processes.values where process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(at: directory)
  }

  func name(_ node: Int) -> String { "spinekv\(node + 1)@127.0.0.1" }

  func logText(_ node: Int) -> String {
    (try? String(contentsOf: logFile(node), encoding: .utf8)) ?? ""
  }

  private func logFile(_ node: Int) -> URL { directory.appending(path: "node\(node).log") }

  // MARK: Nodes

  /// The arguments of a node, with the given ones at the end.
  func arguments(_ node: Int, _ more: [String] = []) -> [String] {
    [
      "--name", name(node), "--data-dir", directory.appending(path: "node\(node)").path,
      "--ring-size", "16", "--client", "127.0.0.1:\(ports[node].client)",
      "--http", "127.0.0.1:\(ports[node].http)", "--peer", "127.0.0.1:\(ports[node].peer)",
    ] + more
  }

  /// Starts a node and waits until it answers.
  func start(_ node: Int, _ more: [String] = []) async throws {
    let process = Process()
    process.executableURL = Binaries.url("spinekvd")
    process.arguments = arguments(node, more)
    try Data().write(to: logFile(node))
    let log = try FileHandle(forWritingTo: logFile(node))
    process.standardError = log
    process.standardOutput = log
    try process.run()
    processes[node] = process
    try await eventually("node \(node) answers: \(logText(node))") {
      try await self.admin(node, ["ping", "--timeout", "2"]).status == 0
    }
  }

  func processID(_ node: Int) -> pid_t? { processes[node]?.processIdentifier }

  func killHard(_ node: Int) {
    guard let process = processes.removeValue(forKey: node) else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Stops a node in order and returns its exit code.
  func stop(_ node: Int) -> Int32 {
    guard let process = processes.removeValue(forKey: node) else { return -1 }
    kill(process.processIdentifier, SIGTERM)
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : -2
  }

  // MARK: ring-admin

  func admin(_ node: Int, _ arguments: [String]) async throws -> Binaries.Result {
    try await Binaries.run("ring-admin", arguments + ["--node", "127.0.0.1:\(ports[node].http)"])
  }

  /// Runs a command until the cluster no longer refuses it: gossip takes a moment.
  func adminEventually(
    _ node: Int, _ arguments: [String], until isRight: (String) -> Bool = { _ in true }
  ) async throws {
    try await eventually("ring-admin \(arguments)") {
      let result = try await self.admin(node, arguments)
      return result.status == 0 && isRight(result.output)
    }
  }

  /// Creates a bucket type with the given properties, as JSON.
  func createType(_ name: String, _ properties: String) async throws {
    try await adminEventually(
      0, ["bucket-type", "create", name, "{\"props\":\(properties)}"])
  }

  /// A statistic of a node.
  func statistic(_ node: Int, _ name: String) async throws -> Int? {
    let result = try await admin(node, ["stat", name])
    return result.output.split(separator: ":").last.flatMap {
      Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
    }
  }

  /// Joins all nodes to the first and waits until the ring has settled.
  func form() async throws {
    for node in ports.indices.dropFirst() {
      try await adminEventually(node, ["cluster", "join", "127.0.0.1:\(ports[0].peer)"])
    }
    let joins = ports.count - 1
    try await adminEventually(0, ["cluster", "plan"]) {
      $0.split(separator: "\n").count { $0.hasPrefix("join ") } == joins
    }
    try await eventually("commit") {
      let plan = try await self.admin(0, ["cluster", "plan"])
      guard plan.status == 0 else { return false }
      return try await self.admin(0, ["cluster", "commit"]).status == 0
    }
    try await settled()
  }

  /// Waits until every running node sees a ready ring without transfers or hints.
  func settled() async throws {
    try await eventually("the ring settles") {
      for node in self.processes.keys.sorted() {
        let status = try await self.admin(node, ["ring-status"]).output
        let hints = try await self.statistic(node, "hints_pending")
        guard status.contains("Ring Ready: true"), status.contains("No pending changes."),
          status.contains("All nodes are up"), hints == 0
        else { return false }
      }
      return true
    }
  }
}

/// Tries again up to 400 times, a tenth of a second apart, which is long after anything here should
/// have happened.
///
/// Counted, not timed: on a machine that is busy with other tests a try may take a minute.
func eventually(
  _ what: @autoclosure () -> String, _ isTrue: () async throws -> Bool
) async throws {
  for _ in 0..<400 {
    if try await isTrue() { return }
    try await Task.sleep(for: .milliseconds(100))
  }
  throw TimedOut(description: "never: \(what())")
}

/// Calls a function that blocks on a thread of its own: the threads that tests share are few.
func onOwnThread<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
  }
}

struct TimedOut: Error, CustomStringConvertible {
  var description: String
}

/// The executables beside the test program.
enum Binaries {
  struct Result: Sendable {
    var status: Int32
    var output: String
    var errors: String
  }

  static func url(_ name: String) -> URL {
    URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appending(path: name)
  }

  static func run(
    _ name: String, _ arguments: [String], environment: [String: String] = [:]
  ) async throws -> Result {
    try await onOwnThread { try runToEnd(name, arguments, environment) }
  }

  private static func runToEnd(
    _ name: String, _ arguments: [String], _ environment: [String: String]
  ) throws -> Result {
    let process = Process()
    let output = Pipe()
    let errors = Pipe()
    process.executableURL = url(name)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // What these commands print fits in a pipe's buffer, so reading one after the other is safe.
    let outputData = output.fileHandleForReading.readDataToEndOfFile()
    let errorData = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus, output: String(decoding: outputData, as: UTF8.self),
      errors: String(decoding: errorData, as: UTF8.self))
  }
}

/// Ports that nobody listened on when asked.
enum FreePorts {
  static func find(_ count: Int) throws -> [Int] {
    var sockets: [Int32] = []
    defer { for one in sockets { close(one) } }
    return try (0..<count).map { _ in
      let one = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      guard one >= 0 else { throw TimedOut(description: "no socket") }
      sockets.append(one)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let port: UInt16? = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
          guard bind(one, raw, length) == 0, getsockname(one, raw, &length) == 0 else {
            return nil
          }
          return UInt16(
            bigEndian: UnsafeRawPointer(raw).loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        }
      }
      guard let port else { throw TimedOut(description: "no free port") }
      return Int(port)
    }
  }
}
