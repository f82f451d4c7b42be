import ArgumentParser
@_spi(Benchmarks) import KVProtocol

/// The hot messages of the client protocol, read and written by hand and by the generated code.
struct CodecCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "codec",
    abstract: "Get and put messages by hand, with the generated code as the peer.",
    discussion: """
      Each case runs several times, by hand and by the generated code in turn; the medians are told.
      """)

  @Option(name: .customLong("json"), help: "Write the rows to this file.")
  var jsonPath: String?

  @Flag(help: "Short runs.")
  var quick = false

  @Option(help: "Runs of each case; the median is told.")
  var runs = 5

  func run() throws {
    var report = BenchReport(jsonPath: jsonPath)
    let seconds = quick ? 0.2 : 1.0
    for trial in CodecTrial.cases(valueSizes: [100, 1024, 8192, 102_400]) {
      guard trial.operation() == trial.generated(), trial.operation() >= 0 else {
        throw ValidationError("\(trial.name): the outcomes differ")
      }
      var own: [Measurement] = []
      var peer: [Measurement] = []
      for _ in 0..<max(1, runs) {
        own.append(Self.measure(seconds, trial.operation))
        peer.append(Self.measure(seconds, trial.generated))
      }
      let (mine, theirs) = (Self.median(own), Self.median(peer))
      var row = BenchRow(
        name: trial.name, operationsPerSecond: mine.operationsPerSecond,
        p50: mine.percentile(0.5), p99: mine.percentile(0.99), p999: mine.percentile(0.999),
        allocationsPerOperation: mine.allocationsPerOperation, peer: "swift-protobuf",
        peerOperationsPerSecond: theirs.operationsPerSecond)
      row.more["peer_allocs_per_op"] = theirs.allocationsPerOperation
      try report.add([row])
    }
  }

  private static func measure(_ seconds: Double, _ operation: () -> Int) -> Measurement {
    var sum = 0
    let result = Measurement.run(limit: seconds, stride: 64) { _ in sum &+= operation() }
    precondition(sum != 0, "the work was left out")
    return result
  }

  private static func median(_ runs: [Measurement]) -> Measurement {
    runs.sorted { $0.operationsPerSecond < $1.operationsPerSecond }[runs.count / 2]
  }
}

extension Measurement {
  fileprivate var allocationsPerOperation: Double {
    Double(allocationCount) / Double(max(1, operationCount))
  }
}
