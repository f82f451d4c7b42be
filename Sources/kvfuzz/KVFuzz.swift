import ArgumentParser
import Foundation
import KVBase

/// `kvfuzz`: gives damaged bytes to everything that reads bytes from outside.
@main
struct KVFuzz: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvfuzz",
    abstract:
      "Gives damaged inputs to the readers of frames, storage files, configuration or queries.",
    discussion: """
      Inputs follow from the seed and a number, which a crash prints; --only runs that one again.

      EXAMPLES
        kvfuzz frames --seconds 300 --seed 1
        kvfuzz storage --seed 1 --only 4711
      """)

  /// What can be fuzzed.
  enum TargetName: String, ExpressibleByArgument, CaseIterable {
    case frames
    case storage
    case config
    case queries

    var target: any FuzzTarget {
      switch self {
      case .frames: FrameTarget()
      case .storage: StorageTarget()
      case .config: ConfigurationTarget()
      case .queries: QueryTarget()
      }
    }
  }

  @Argument(help: "What to fuzz.") var target: TargetName
  @Option(help: "How long to run, in seconds.") var seconds = 60
  @Option(help: "Decides all inputs.") var seed: UInt64 = 1
  @Option(help: "A directory of further inputs to mutate.") var corpus: String?
  @Option(help: "Run only the input with this number.") var only: UInt64?

  func run() throws {
    let fuzzer = Fuzzer(target: target.target, seed: seed, corpus: try corpusInputs())
    if let only {
      let input = fuzzer.input(only)
      say("input \(only), \(input.count) bytes: \(input.map { String($0, radix: 16) })")
      say(fuzzer.target.run(input) ? "accepted" : "refused")
      return
    }
    say("\(target.rawValue): \(seconds) s with seed \(seed)")
    let report = fuzzer.run(for: .seconds(seconds)) { report in
      say(
        "\(report.elapsed.components.seconds) s  \(report.executions) executions  "
          + "\(report.perSecond)/s")
    }
    say(report.summary(target.rawValue))
  }

  /// Prints a line at once, also into a file.
  private func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
  }

  private func corpusInputs() throws -> [Bytes] {
    guard let corpus else { return [] }
    let folder = URL(filePath: corpus)
    return try FileManager.default.contentsOfDirectory(atPath: corpus).sorted().map {
      Bytes(try Data(contentsOf: folder.appending(path: $0)))
    }
  }
}
