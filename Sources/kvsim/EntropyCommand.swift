import ArgumentParser
import Foundation
import KVSimulator
import KVStorage

/// `kvsim entropy`: the work of finding and repairing one object among many, on real stores.
struct EntropyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "entropy",
    abstract: "Measures how much work anti-entropy has with one differing object among many.",
    discussion: """
      Two vnodes of one group hold the same objects in two stores on disk, except for one. All
      times are of one thread, without the pauses that a node makes to spread the work.
      """)

  @Option(help: "The objects in each vnode.")
  var keys = 1_000_000
  @Option(help: "The bytes of each value.")
  var valueBytes = 100
  @Option(help: "An empty or absent directory for the stores; removed afterwards.")
  var directory = "/tmp/kvsim-entropy"

  func validate() throws {
    guard keys > 0, valueBytes >= 0 else { throw ValidationError("--keys must be positive.") }
  }

  func run() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var trial = try EntropyTrial(directory: directory, fileSystem: PosixFileSystem())
    let writes = 100_000
    try measure("write \(2 * keys) objects") { try trial.write(keys, byteCount: valueBytes) }
    let plain = try measure("write \(2 * writes) more, without trees") {
      try trial.write(writes, byteCount: valueBytes)
    }
    try measure("build two trees of \(keys + writes) objects") { try trial.build() }
    let counted = try measure("write \(2 * writes) more, with trees") {
      try trial.write(writes, byteCount: valueBytes)
    }
    let nanoseconds = Int(1e9 * (counted - plain) / Double(2 * writes))
    print("one update of a tree: \(nanoseconds) ns; one tree: \(trial.treeByteCount) bytes")
    for attempt in ["compare equal replicas", "find and repair one object", "compare again"] {
      if attempt.hasPrefix("find") { try trial.loseOne() }
      var result = EntropyTrial.Result()
      try measure(attempt) { result = try trial.exchange() }
      print(
        "  \(result.questionCount) questions, \(result.byteCount) bytes, "
          + "\(result.repairedCount) repaired, agreed: \(result.isAgreed)")
    }
    try trial.close()
  }

  @discardableResult
  private func measure(_ what: String, _ body: () throws -> Void) throws -> Double {
    let start = ContinuousClock.now
    try body()
    let seconds =
      Double(start.duration(to: .now).components.attoseconds) / 1e18
      + Double(start.duration(to: .now).components.seconds)
    print("\(what): \(Double(Int(seconds * 1000)) / 1000) s")
    return seconds
  }
}
