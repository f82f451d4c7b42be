import Foundation
import Testing

/// `kvstress` in short: real processes, real files, SIGKILL.
@Suite struct StressTests {
  /// The executables are built beside the test bundle.
  private static let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appendingPathComponent("kvstress").path
  private static let isBuilt = FileManager.default.isExecutableFile(atPath: executable)

  private let root = NSTemporaryDirectory() + "spinekv-stress-\(UUID().uuidString)"

  private func start(_ arguments: [String]) throws -> (Process, Pipe) {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: StressTests.executable)
    process.arguments =
      ["run", "--directory", root + "/store", "--maximum-life", "300", "--keys", "200"] + arguments
    process.standardOutput = output
    process.standardError = output
    try process.run()
    return (process, output)
  }

  private func finish(_ process: Process, _ output: Pipe) -> String {
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
  }

  @Test(.enabled(if: StressTests.isBuilt, "kvstress is not built"))
  func `killing writer and verifier, in turns, loses nothing durable`() throws {
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: root) }
    let (killed, ignored) = try start(["--rounds", "1000"])
    usleep(1_200_000)
    kill(killed.processIdentifier, SIGKILL)
    let first = finish(killed, ignored)
    #expect(killed.terminationReason == .uncaughtSignal, "\(first)")
    let (process, output) = try start(["--rounds", "6"])
    let text = finish(process, output)
    #expect(process.terminationStatus == 0, "\(text)")
    #expect(text.contains("going on after round"), "\(text)")
    #expect(text.contains("OK: "), "\(text)")
  }
}
