import Foundation
import KVBase
import KVModel
import Testing

@testable import KVServer

/// The recorded exchanges of the reference server, replayed against sessions in this process.
///
/// The rules of comparison are those of `riak-replay.py`: what a server may choose is not compared,
/// and clocks and generated keys of the recording are replaced by those of this server.
@Suite struct RecordedExchangeTests {
  struct Case: Decodable {
    struct Step: Decodable {
      var req: String?
      var raw: String?
      var resp: [String]
      var closed: Bool?
    }

    var `case`: String
    var steps: [Step]
  }

  /// The messages of this server, bucket types' properties included.
  static let served: Set<UInt8> = [
    1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 29, 31, 32, 33, 40, 50, 52, 80, 82,
  ]

  static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "shared/data/riak-exchanges")

  static var hasRecordings: Bool { FileManager.default.fileExists(atPath: folder.path) }

  static func store() -> ObviousStore {
    let store = ObviousStore()
    for name in ["sib", "plain", "mr"] { store.createType(name) }
    store.createType("no_siblings") { $0.allowMult = false }
    store.createType("write_once") {
      $0.opaque = [Pair(key: Bytes("write_once".utf8), value: Bytes("true".utf8))]
    }
    for (name, type) in [
      ("counters", "counter"), ("sets", "set"), ("maps", "map"), ("hlls", "hll"),
      ("gsets", "gset"),
    ] {
      store.createType(name) {
        $0.opaque = [Pair(key: Bytes("datatype".utf8), value: Bytes(type.utf8))]
        if type == "hll" {
          $0.opaque.append(Pair(key: Bytes("hll_precision".utf8), value: Bytes("14".utf8)))
        }
      }
    }
    return store
  }

  static func lines(_ name: String) throws -> [String] {
    try String(contentsOf: folder.appending(path: name), encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  @Test(.enabled(if: hasRecordings, "the recordings are not beside the checkout"))
  func `every recorded edge case of the served messages is answered alike`() throws {
    let store = Self.store()
    var comparison = ExchangeComparison()
    var replayed = 0
    for line in try Self.lines("pb-edge-cases.jsonl") {
      let exchange = try JSONDecoder().decode(Case.self, from: Data(line.utf8))
      let codes = exchange.steps.compactMap {
        $0.req.flatMap { ExchangeComparison.bytes($0).first }
      }
      guard codes.allSatisfy(Self.served.contains) else { continue }
      replayed += 1
      let harness = SessionHarness(store: store)
      for step in exchange.steps {
        try replay(step, on: harness, &comparison, named: exchange.case)
      }
    }
    #expect(replayed >= 100)
  }

  private func replay(
    _ step: Case.Step, on harness: SessionHarness, _ comparison: inout ExchangeComparison,
    named name: String
  ) throws {
    let expected = step.resp.map(ExchangeComparison.bytes)
    harness.written = []
    if let raw = step.raw.map(ExchangeComparison.bytes) {
      var rest = raw[...]
      while rest.count >= 4 {
        let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let payload = Bytes(rest.dropFirst(4).prefix(length))
        rest = rest.dropFirst(4 + length)
        if length == 0 {
          harness.session.receivedBrokenFrame(nil)
        } else {
          harness.session.received(payload)
        }
      }
      #expect(harness.isClosed == (step.closed ?? false), "\(name)")
    } else if let request = step.req {
      harness.session.received(comparison.translated(ExchangeComparison.bytes(request)))
      // Where the recording has no answer there is nothing to compare.
      if expected.isEmpty { return }
    }
    #expect(comparison.agree(expected, harness.written), "\(name): \(harness.written)")
    comparison.remember(expected, harness.written)
  }

  struct Line: Decodable {
    var req: String
    var resp: [String]
  }

  @Test(
    .enabled(if: hasRecordings, "the recordings are not beside the checkout"),
    arguments: ["kv", "2i", "btypes", "datatypes"])
  func `the Python client's own suites are answered alike`(_ suite: String) throws {
    let harness = SessionHarness(store: Self.store())
    var comparison = ExchangeComparison()
    var replayed = 0
    for (number, line) in try Self.lines("pb-python-test_\(suite).jsonl").enumerated() {
      let exchange = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
      let request = ExchangeComparison.bytes(exchange.req)
      let expected = exchange.resp.filter { $0 != "scrubbed" }.map(ExchangeComparison.bytes)
      guard Self.served.contains(request[0]), !expected.isEmpty else { continue }
      harness.written = []
      harness.session.received(comparison.translated(request))
      replayed += 1
      #expect(
        comparison.agree(expected, harness.written),
        "request \(number): \(exchange.req.prefix(80)): \(harness.written)")
      comparison.remember(expected, harness.written)
    }
    #expect(replayed >= 100)
  }
}
