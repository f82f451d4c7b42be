import ArgumentParser
import Foundation
import KVBase
import KVStorage
import Synchronization

/// The parent: starts the writer, kills it, opens the store and reads all of it.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Kills the writer in each round and verifies the store.",
    discussion: "Example: kvstress run --directory /tmp/stress --rounds 200")

  @Option(help: "The store's directory; there must be no store in it yet.")
  var directory: String

  @Option(help: "How often to kill.")
  var rounds = 200

  @Option(help: "The longest life of a writer, in milliseconds.")
  var maximumLife = 800

  @OptionGroup var workload: Workload

  func run() throws {
    var random = SeededRandom(seed: workload.seed)
    var verifier = Verifier(workload: workload)
    var summary = Summary()
    guard !FileManager.default.fileExists(atPath: directory + "/ledger") else {
      throw ValidationError("\(directory) already holds a store")
    }
    let start = ContinuousClock.now
    for round in 1...max(1, rounds) {
      let life = 20 + random.below(max(1, maximumLife - 20))
      let acknowledged = try killedWriter(round: round, milliseconds: life)
      let store = try Store.open(
        at: directory, fileSystem: PosixFileSystem(), options: Workload.options(.manual))
      let problems = try verifier.verify(store, round: round, acknowledged)
      summary.add(store.openReport, acknowledged)
      if !problems.isEmpty {
        for problem in problems.prefix(20) { print("round \(round): \(problem)") }
        print("FAILED in round \(round) of \(rounds), seed \(workload.seed)")
        throw ExitCode(1)
      }
      if random.chance(0.5) { try store.close() }
      if round % 10 == 0 || round == rounds {
        print("round \(round)/\(rounds): \(summary) \(verifier.keyCount) keys")
      }
    }
    let seconds = (ContinuousClock.now - start).components.seconds
    print("OK: \(rounds) rounds, \(summary) nothing acknowledged lost, no torn value, \(seconds) s")
  }

  /// Runs the writer for a while and returns the last step each thread reported as durable.
  private func killedWriter(round: Int, milliseconds: Int) throws -> [Int] {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = [
      "write", "--directory", directory, "--round", "\(round)", "--seed", "\(workload.seed)",
      "--threads", "\(workload.threads)", "--keys", "\(workload.keys)",
    ]
    process.standardOutput = pipe
    try process.run()
    let reader = AcknowledgementReader(pipe.fileHandleForReading, threads: workload.threads)
    usleep(UInt32(milliseconds) * 1000)
    guard process.isRunning else {
      print("the writer ended by itself in round \(round) with status \(process.terminationStatus)")
      throw ExitCode(2)
    }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    return reader.finish()
  }
}

/// Collects the writer's reports while it runs, so that it never waits for the pipe.
private final class AcknowledgementReader: Sendable {
  private let last: Mutex<[Int]>
  private let done = DispatchSemaphore(value: 0)

  init(_ handle: FileHandle, threads: Int) {
    last = Mutex(Array(repeating: 0, count: threads))
    Thread { [self] in
      var rest = Bytes()
      while let data = try? handle.read(upToCount: 9 * 1024), !data.isEmpty {
        rest += data
        var reader = ByteReader(rest)
        while let thread = try? reader.readByte(), let number = try? reader.readFixed(UInt64.self) {
          last.withLock { $0[Int(thread)] = max($0[Int(thread)], Int(number)) }
        }
        rest.removeFirst(rest.count / 9 * 9)
      }
      done.signal()
    }.start()
  }

  func finish() -> [Int] {
    done.wait()
    return last.withLock { $0 }
  }
}

private struct Summary: CustomStringConvertible {
  var acknowledged = 0
  var replayed = 0
  var torn = 0

  mutating func add(_ report: OpenReport, _ numbers: [Int]) {
    acknowledged += numbers.reduce(0, +)
    replayed += report.recordsReplayed
    torn += report.tornJournalByteCount > 0 ? 1 : 0
  }

  var description: String {
    "\(acknowledged) acknowledged batches, \(replayed) replayed, \(torn) torn journals,"
  }
}
