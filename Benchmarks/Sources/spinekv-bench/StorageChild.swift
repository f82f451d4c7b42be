import ArgumentParser
import Foundation

/// What a child process is to do.
enum ChildTask: String, ExpressibleByArgument {
  /// Fill, settle, overwrite ten times, settle, read; report writes, space and memory.
  case amplification
  /// Fill the journal and be killed.
  case crash
}

/// What ``ChildTask/amplification`` found.
struct AmplificationResult: Codable {
  var putCount = 0
  var seconds = 0.0
  var putByteCount = 0
  var liveByteCount = 0
  var writtenByteCount = 0
  var diskByteCount = 0
  var largestDiskByteCount = 0
  var baselineMemoryByteCount = 0
  var peakMemoryByteCount = 0
}

/// Runs one task on one engine in a process of its own.
struct StorageChildCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storage-child", abstract: "Used by 'storage'.", shouldDisplay: false)

  @Option var task: ChildTask
  @Option var engine: EngineKind
  @Option var directory: String
  @Option var valueSize: Int
  @Option var keyCount: Int
  @Option var result: String

  func run() throws {
    for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_DFL) }
    let workload = Workload(keyCount: keyCount, valueByteCount: valueSize, seconds: 0.5)
    switch task {
    case .amplification:
      let found = amplify(engine, workload)
      try JSONEncoder().encode(found).write(to: URL(fileURLWithPath: result))
    case .crash: crash(engine, workload)
    }
  }

  private func amplify(_ kind: EngineKind, _ workload: Workload) -> AmplificationResult {
    var result = AmplificationResult()
    ProcessFigures.resetPeak()
    result.baselineMemoryByteCount = ProcessFigures.residentByteCount()
    let engine = kind.open(directory, .tight)
    _ = workload.fill(engine, ascending: false)
    engine.settle()
    let written = ProcessFigures.writtenByteCount()
    let sampler = DiskUsageSampler(directory)
    let start = now()
    for pass in 0..<10 {
      result.putCount += workload.overwrite(engine, seed: UInt64(100 + pass)).operationCount
    }
    engine.settle()
    result.seconds = Double(now() - start) / 1e9
    result.writtenByteCount = ProcessFigures.writtenByteCount() - written
    result.largestDiskByteCount = sampler.finish()
    result.diskByteCount = DiskUsage.byteCount(of: directory)
    result.putByteCount = result.putCount * workload.entryByteCount
    result.liveByteCount = workload.keyCount * workload.entryByteCount
    _ = workload.read(engine, .value)
    _ = workload.readAll(engine)
    result.peakMemoryByteCount = ProcessFigures.peakResidentByteCount()
    engine.close()
    return result
  }

  private func crash(_ kind: EngineKind, _ workload: Workload) {
    let engine = kind.open(directory, .unflushed)
    _ = workload.fill(engine, ascending: false)
    workload.putSynced(engine)
    kill(getpid(), SIGKILL)
  }

  /// Starts this program again for one task and waits for it; true when it ended by itself.
  static func spawn(
    _ task: ChildTask, _ kind: EngineKind, directory: String, _ workload: Workload, result: String
  ) throws -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = [
      "storage-child", "--task", task.rawValue, "--engine", kind.rawValue, "--directory", directory,
      "--value-size", "\(workload.valueByteCount)", "--key-count", "\(workload.keyCount)",
      "--result", result,
    ]
    try process.run()
    Cleanup.note(child: process.processIdentifier)
    process.waitUntilExit()
    Cleanup.note(child: nil)
    if process.terminationReason == .uncaughtSignal { return false }
    guard process.terminationStatus == 0 else { stop("a child process failed") }
    return true
  }
}
