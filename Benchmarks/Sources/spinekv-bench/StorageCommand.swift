import ArgumentParser
import Foundation

/// The storage engine and RocksDB on the same workloads with the same settings.
struct StorageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storage", abstract: "The storage engine beside RocksDB.")

  @Option(name: .customLong("json"), help: "Write the rows to this file.")
  var jsonPath: String?

  @Flag(help: "Fewer keys: under two minutes.")
  var quick = false

  @Option(help: "Where the stores are made; they are removed afterwards.")
  var directory = NSTemporaryDirectory()

  @Option(help: "Only value sizes of this many bytes.")
  var valueSize: [Int] = []

  @Option(help: "Only workloads whose name contains this.")
  var only: String?

  func run() throws {
    let root = directory + "/spinekv-bench-\(ProcessInfo.processInfo.processIdentifier)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    var report = BenchReport()
    let sizes = valueSize.isEmpty ? (quick ? [100, 1024] : [100, 1024, 8192]) : valueSize
    for size in sizes {
      let runner = StorageRunner(
        root: root, valueByteCount: size, keyCount: keyCount(size), seconds: quick ? 1.5 : 10)
      runner.run(only: only, &report)
    }
    if let jsonPath { try report.write(to: jsonPath) }
  }

  private func keyCount(_ valueByteCount: Int) -> Int {
    let bytes = quick ? 48 << 20 : 400 << 20
    return min(quick ? 300_000 : 2_000_000, bytes / (valueByteCount + 20))
  }
}
