import Foundation
import Glibc
import Testing

/// A command that ended: its exit status and what it printed.
struct Outcome {
  var status: Int32
  var output: String
}

struct ConformanceFailure: Error, CustomStringConvertible {
  var description: String
}

/// Nodes of this build, as processes on free ports in a directory of their own.
final class ConformanceNodes {
  private struct Ports {
    var client: Int
    var http: Int
    var peer: Int
  }

  private let directory: URL
  private let ports: [Ports]
  private var processes: [Process] = []

  /// Starts `count` nodes and makes them one cluster.
  init(_ count: Int) async throws {
    directory = FileManager.default.temporaryDirectory.appending(
      path: "spinekv-conformance-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let free = try Self.freePorts(3 * count)
    ports = (0..<count).map {
      Ports(client: free[3 * $0], http: free[3 * $0 + 1], peer: free[3 * $0 + 2])
    }
    for node in 0..<count { try await start(node) }
    if count > 1 { try await form() }
  }

  deinit {
    for process in processes where process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(at: directory)
  }

  /// The HTTP addresses.
  var httpAddresses: [String] { ports.map { "127.0.0.1:\($0.http)" } }
  /// The protobuf addresses.
  var addresses: [String] { ports.map { "127.0.0.1:\($0.client)" } }

  /// Runs ring-admin against a node until it is not refused; what is staged or gossiped takes a while.
  @discardableResult
  func admin(
    _ node: Int, _ arguments: [String], until isRight: (String) -> Bool = { _ in true }
  ) async throws -> String {
    var last = Outcome(status: -1, output: "")
    for _ in 0..<400 {
      last = try await Self.run(
        Self.binary("ring-admin"), arguments + ["--node", "127.0.0.1:\(ports[node].http)"])
      if last.status == 0, isRight(last.output) { return last.output }
      try await Task.sleep(for: .milliseconds(100))
    }
    throw ConformanceFailure(
      description: "ring-admin \(arguments) exits with \(last.status): \(last.output)")
  }

  private func start(_ node: Int) async throws {
    let log = directory.appending(path: "node\(node).log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    let process = Process()
    process.executableURL = Self.binary("spinekvd")
    process.arguments = [
      "--name", "spinekv\(node + 1)@127.0.0.1",
      "--data-dir", directory.appending(path: "node\(node)").path,
      "--client", "127.0.0.1:\(ports[node].client)", "--http", "127.0.0.1:\(ports[node].http)",
      "--peer", "127.0.0.1:\(ports[node].peer)",
    ]
    process.standardError = try FileHandle(forWritingTo: log)
    process.standardOutput = process.standardError
    try process.run()
    processes.append(process)
    try await admin(node, ["ping"])
  }

  private func form() async throws {
    for node in ports.indices.dropFirst() {
      try await admin(node, ["cluster", "join", "127.0.0.1:\(ports[0].peer)"])
    }
    let joins = ports.count - 1
    try await admin(0, ["cluster", "plan"]) { plan in
      plan.split(separator: "\n").count { $0.hasPrefix("join ") } == joins
    }
    try await admin(0, ["cluster", "commit"])
    for node in ports.indices {
      try await admin(node, ["ring-status"]) {
        $0.contains("Ring Ready: true") && $0.contains("No pending changes.")
      }
    }
  }

  /// A program beside this test.
  static func binary(_ name: String) -> URL {
    URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appending(path: name)
  }

  /// Runs a program to its end; its output goes through a file, so that it may be long.
  static func run(
    _ program: URL, _ arguments: [String], environment: [String: String] = [:]
  ) async throws -> Outcome {
    try await withCheckedThrowingContinuation { continuation in
      // The threads that tests share are few, and suites take minutes.
      Thread.detachNewThread {
        continuation.resume(with: Result { try runToEnd(program, arguments, environment) })
      }
    }
  }

  private static func runToEnd(
    _ program: URL, _ arguments: [String], _ environment: [String: String]
  ) throws -> Outcome {
    let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    _ = FileManager.default.createFile(atPath: file.path, contents: nil)
    defer { try? FileManager.default.removeItem(at: file) }
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = try FileHandle(forWritingTo: file)
    process.standardError = process.standardOutput
    try process.run()
    process.waitUntilExit()
    let output = String(decoding: try Data(contentsOf: file), as: UTF8.self)
    return Outcome(status: process.terminationStatus, output: output)
  }

  private static func freePorts(_ count: Int) throws -> [Int] {
    var sockets: [Int32] = []
    defer { for one in sockets { close(one) } }
    return try (0..<count).map { _ in
      let one = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      guard one >= 0 else { throw ConformanceFailure(description: "no socket") }
      sockets.append(one)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let isBound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(one, $0, length) == 0 && getsockname(one, $0, &length) == 0
        }
      }
      guard isBound else { throw ConformanceFailure(description: "no free port") }
      return Int(UInt16(bigEndian: address.sin_port))
    }
  }
}
