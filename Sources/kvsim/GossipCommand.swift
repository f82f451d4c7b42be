import ArgumentParser
import Glibc
import KVSimulator

/// `kvsim gossip`: how many rounds news takes, by the size of the cluster.
struct GossipCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gossip",
    abstract:
      "Measures how fast ring, properties and failures become known in clusters of each size.",
    discussion: """
      A round is the time of one message, 10 ms. Each figure is the median of several seeds.

      EXAMPLES
        kvsim gossip --nodes 3..200
        kvsim gossip --nodes 3..200 --loss 0.2 --seeds 1..9
      """)

  @Option(help: "The sizes of clusters: from the first to the last in steps of about 1.6 times.")
  var nodes = SeedRange(first: 3, last: 200)
  @Option(help: "The share of messages that are lost.") var loss = 0.0
  @Option(help: "The seeds: FIRST..LAST, or one.") var seeds = SeedRange(first: 1, last: 3)

  func validate() throws {
    guard nodes.first >= 2, nodes.last <= 512 else {
      throw ValidationError("A cluster has 2 to 512 members here.")
    }
    guard (0..<1).contains(loss) else { throw ValidationError("--loss must be 0 to below 1.") }
  }

  private var sizes: [Int] {
    var sizes: [Int] = []
    var size = Double(nodes.first)
    while size < Double(nodes.last) {
      sizes.append(Int(size.rounded()))
      size = max(size * 1.6, size + 1)
    }
    return sizes + [Int(nodes.last)]
  }

  func run() throws {
    print(
      "nodes log2  ring properties  detection  messages  idle msg/s  idle B/s   rounds of the ring")
    var isComplete = true
    for size in sizes {
      let runs = (seeds.first...seeds.last).map { seed in
        GossipRun(nodeCount: size, loss: loss, seed: seed)
      }
      isComplete = isComplete && runs.allSatisfy { $0.ringRounds != nil && $0.detection != nil }
      print(row(size, runs))
    }
    if !isComplete { throw ExitCode(1) }
  }

  private func row(_ size: Int, _ runs: [GossipRun]) -> String {
    let ring = median(runs.map { Double($0.ringRounds ?? 9999) })
    let properties = median(runs.map { Double($0.propertyRounds ?? 9999) })
    let detection = median(runs.map { Double($0.detection ?? 0) / 1e9 })
    let cells = [
      padded(size, 5), padded(tenths(log2(Double(size))), 5), padded(Int(ring), 6),
      padded(Int(properties), 11), padded(tenths(detection) + " s", 11),
      padded(tenths(median(runs.map(\.ringMessages))), 10),
      padded(tenths(median(runs.map(\.idleMessages))), 12),
      padded(Int(median(runs.map(\.idleBytes))), 10),
    ]
    return cells.joined() + "   " + String(repeating: "#", count: min(60, Int(ring)))
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  private func tenths(_ value: Double) -> String {
    let scaled = Int((value * 10).rounded())
    return "\(scaled / 10).\(scaled % 10)"
  }

  private func padded(_ value: some CustomStringConvertible, _ width: Int) -> String {
    let text = value.description
    return String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
