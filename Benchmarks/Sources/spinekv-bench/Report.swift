import Foundation

/// One line of a benchmark's result; nil where a figure does not apply.
struct BenchRow: Encodable {
  var name: String
  var operationsPerSecond: Double?
  var p50: Double?
  var p99: Double?
  var p999: Double?
  var allocationsPerOperation: Double?
  var peer: String?
  var peerOperationsPerSecond: Double?
  /// More figures, by their key in the JSON.
  var more: [String: Double] = [:]

  var ratio: Double? {
    guard let operationsPerSecond, let peerOperationsPerSecond else { return nil }
    return operationsPerSecond / peerOperationsPerSecond
  }

  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(_ name: String) { stringValue = name }
    init(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
  }

  /// Writes every key, `null` where there is no figure.
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(name, forKey: Key("name"))
    try container.encode(operationsPerSecond.map(rounded), forKey: Key("ops_per_s"))
    try container.encode(p50.map(rounded), forKey: Key("p50_us"))
    try container.encode(p99.map(rounded), forKey: Key("p99_us"))
    try container.encode(p999.map(rounded), forKey: Key("p999_us"))
    try container.encode(allocationsPerOperation.map(rounded), forKey: Key("allocs_per_op"))
    try container.encode(peer, forKey: Key("peer"))
    try container.encode(peerOperationsPerSecond.map(rounded), forKey: Key("peer_ops_per_s"))
    try container.encode(ratio.map(rounded), forKey: Key("ratio"))
    for (key, value) in more { try container.encode(rounded(value), forKey: Key(key)) }
  }

  private func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}

/// Prints rows as they come, and keeps the file with all of them up to date.
struct BenchReport {
  private(set) var rows: [BenchRow] = []
  private let jsonPath: String?

  init(jsonPath: String? = nil) {
    self.jsonPath = jsonPath
    print(
      line(
        "workload", ["ops/s", "p50 us", "p99 us", "p99.9 us", "allocs/op", "peer ops/s", "ratio"]))
  }

  mutating func add(_ row: BenchRow) {
    rows.append(row)
    let figures = [
      text(row.operationsPerSecond, 0), text(row.p50, 1), text(row.p99, 1), text(row.p999, 1),
      text(row.allocationsPerOperation, 2), text(row.peerOperationsPerSecond, 0),
      text(row.ratio, 2),
    ]
    print(line(row.name, figures))
    fflush(nil)
  }

  /// Adds rows and writes the file anew, so that an interrupted run leaves what it has found.
  mutating func add(_ rows: [BenchRow]) throws {
    for row in rows { add(row) }
    if let jsonPath { try write(to: jsonPath) }
  }

  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try encoder.encode(rows).write(to: URL(fileURLWithPath: path))
  }

  private func line(_ name: String, _ figures: [String]) -> String {
    let padded = figures.map { String(repeating: " ", count: max(0, 11 - $0.count)) + $0 }
    return name.padding(toLength: 42, withPad: " ", startingAt: 0) + padded.joined()
  }
}

/// A figure with so many digits after the point; a dash where there is none.
func text(_ value: Double?, _ digits: Int) -> String {
  guard let value else { return "-" }
  return String(format: "%.\(digits)f", value)
}
