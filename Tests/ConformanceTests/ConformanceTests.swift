import Foundation
import Testing

/// Programs that were written for the reference system, against nodes of this build.
@Suite(.serialized) struct ConformanceTests {
  private static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  private static let scripts = root.appending(path: "Tests/ConformanceTests/Python")
  private static let shared = root.deletingLastPathComponent().appending(path: "shared")
  private static let replayer = shared.appending(path: "tools/riak-replay.py")
  private static let recordings = shared.appending(path: "data/riak-exchanges")
  private static let protobufRecordings = [
    "pb-edge-cases", "pb-python-test_2i", "pb-python-test_btypes", "pb-python-test_datatypes",
    "pb-python-test_kv",
  ].map { recordings.appending(path: "\($0).jsonl").path }

  /// The bucket types that the client's suites and the recordings use.
  private static let types = [
    ("sib", #"{"allow_mult":true}"#), ("no_siblings", #"{"allow_mult":false}"#),
    ("write_once", #"{"write_once":true}"#), ("plain", "{}"), ("mr", "{}"),
    ("counters", #"{"datatype":"counter"}"#), ("sets", #"{"datatype":"set"}"#),
    ("maps", #"{"datatype":"map"}"#), ("hlls", #"{"datatype":"hll"}"#),
    ("gsets", #"{"datatype":"gset"}"#),
  ]

  private static let python = URL(filePath: "/usr/bin/env")

  private static func hasRecording() -> Bool {
    protobufRecordings.allSatisfy { FileManager.default.fileExists(atPath: $0) }
  }

  private func say(_ text: String) {
    FileHandle.standardError.write(Data("conformance: \(text)\n".utf8))
  }

  private func script(_ name: String) -> String { Self.scripts.appending(path: name).path }

  /// The folder with the Python client, and its interpreter; nil, with the reason told, when it cannot
  /// be had.
  private func preparedClient() async throws -> (folder: URL, python: URL)? {
    let folder = Self.root.appending(path: ".build/conformance-python")
    say("preparing the Python client (the first time downloads it)")
    let outcome = try await ConformanceNodes.run(
      Self.python, ["python3", script("prepare.py"), folder.path])
    guard outcome.status == 0, let last = outcome.output.split(separator: "\n").last else {
      say("SKIPPED, the Python client cannot be prepared:\n\(outcome.output)")
      return nil
    }
    return (folder, URL(filePath: String(last)))
  }

  private func environment(_ folder: URL, _ nodes: ConformanceNodes) -> [String: String] {
    func port(_ addresses: [String]) -> String {
      String(addresses[0].split(separator: ":").last ?? "")
    }
    return [
      "PYTHONPATH": folder.appending(path: "riak-2.7.0").path, "PYTHONWARNINGS": "ignore",
      "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
      "RIAK_TEST_PB_PORT": port(nodes.addresses),
      "RIAK_TEST_HTTP_PORT": port(nodes.httpAddresses),
    ]
  }

  private func createTypes(_ nodes: ConformanceNodes) async throws {
    for (type, properties) in Self.types {
      try await nodes.admin(0, ["bucket-type", "create", type, "{\"props\":\(properties)}"])
    }
  }

  @Test(.timeLimit(.minutes(10)))
  func `the Python client does its daily work on a cluster of three`() async throws {
    guard let client = try await preparedClient() else { return }
    say("starting three nodes")
    let nodes = try await ConformanceNodes(3)
    let environment = environment(client.folder, nodes)
    let daily = try await ConformanceNodes.run(
      client.python, [script("basic.py")] + nodes.addresses, environment: environment)
    say("\n" + daily.output)
    #expect(daily.status == 0, "\(daily.output)")
    try await createTypes(nodes)
    for transport in ["pbc", "http"] {
      say("running the client's own suites over \(transport)")
      let suite = try await ConformanceNodes.run(
        client.python, [script("suite.py"), transport], environment: environment)
      say("\n" + suite.output)
      #expect(suite.status == 0, "\(suite.output)")
    }
  }

  @Test(
    .enabled(if: hasRecording(), "the recorded exchanges are not beside the checkout"),
    .timeLimit(.minutes(5)))
  func `recorded protobuf exchanges are answered like by the reference`() async throws {
    let version = try await ConformanceNodes.run(Self.python, ["python3", "--version"])
    guard version.status == 0 else { return say("SKIPPED, there is no python3") }
    say("starting one node")
    let nodes = try await ConformanceNodes(1)
    try await createTypes(nodes)
    let replay = try await ConformanceNodes.run(
      Self.python,
      ["python3", Self.replayer.path, "--pb", nodes.addresses[0], "--verbose"]
        + Self.protobufRecordings)
    say("\n" + replay.output)
    #expect(replay.status == 0, "\(replay.output)")
  }

  /// Recorded cases over HTTP that differ on purpose; Docs/Compatibility.md says why.
  private static let differingCases: Set = [
    "root", "root json", "put if-not-modified vclock",
  ]

  @Test(
    .enabled(if: hasRecording(), "the recorded exchanges are not beside the checkout"),
    .timeLimit(.minutes(5)))
  func `recorded HTTP exchanges are answered like by the reference, or differ on purpose`()
    async throws
  {
    let version = try await ConformanceNodes.run(Self.python, ["python3", "--version"])
    guard version.status == 0 else { return say("SKIPPED, there is no python3") }
    say("starting one node")
    let nodes = try await ConformanceNodes(1)
    try await createTypes(nodes)
    let replay = try await ConformanceNodes.run(
      Self.python,
      [
        "python3", Self.replayer.path, "--http", nodes.httpAddresses[0], "--verbose",
        Self.recordings.appending(path: "http-cases.jsonl").path,
      ])
    say("\n" + replay.output)
    let differing = replay.output.split(separator: "\n").compactMap { line in
      line.hasPrefix("DIFFERS ")
        ? line.dropFirst("DIFFERS ".count).prefix { $0 != ":" }.description : nil
    }
    #expect(Set(differing) == Self.differingCases, "\(replay.output)")
    #expect(replay.output.contains(" agree, \(differing.count) differ"), "\(replay.output)")
  }
}
