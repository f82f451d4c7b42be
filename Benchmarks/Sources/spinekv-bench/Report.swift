import Foundation

/// One line of a benchmark's result; nil where a figure does not apply.
struct BenchRow: Encodable {
  var name: String
  var operationsPerSecond: Double
  var p50: Double?
  var p99: Double?
  var p999: Double?
  var allocationsPerOperation: Double?
  var peer: String?
  var peerOperationsPerSecond: Double?

  var ratio: Double? { peerOperationsPerSecond.map { operationsPerSecond / $0 } }

  private enum CodingKeys: String, CodingKey {
    case name, peer, ratio
    case operationsPerSecond = "ops_per_s"
    case p50 = "p50_us"
    case p99 = "p99_us"
    case p999 = "p999_us"
    case allocationsPerOperation = "allocs_per_op"
    case peerOperationsPerSecond = "peer_ops_per_s"
  }

  /// Writes every key, `null` where there is no figure.
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(rounded(operationsPerSecond), forKey: .operationsPerSecond)
    try container.encode(p50.map(rounded), forKey: .p50)
    try container.encode(p99.map(rounded), forKey: .p99)
    try container.encode(p999.map(rounded), forKey: .p999)
    try container.encode(allocationsPerOperation.map(rounded), forKey: .allocationsPerOperation)
    try container.encode(peer, forKey: .peer)
    try container.encode(
      peerOperationsPerSecond.map(rounded), forKey: .peerOperationsPerSecond)
    try container.encode(ratio.map(rounded), forKey: .ratio)
  }

  private func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}

/// Prints rows as they come and writes them all to a file at the end.
struct BenchReport {
  private(set) var rows: [BenchRow] = []

  init() {
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

  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try encoder.encode(rows).write(to: URL(fileURLWithPath: path))
  }

  private func line(_ name: String, _ figures: [String]) -> String {
    let padded = figures.map { String(repeating: " ", count: max(0, 11 - $0.count)) + $0 }
    return name.padding(toLength: 26, withPad: " ", startingAt: 0) + padded.joined()
  }

  private func text(_ value: Double?, _ digits: Int) -> String {
    guard let value else { return "-" }
    return String(format: "%.\(digits)f", value)
  }
}
