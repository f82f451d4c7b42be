import Foundation
import Testing

/// `kvstress` in short: real processes, real files, SIGKILL.
@Suite struct StressTests {
  /// The executables are built beside the test bundle.
  private static let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appendingPathComponent("kvstress").path
  private static let isBuilt = FileManager.default.isExecutableFile(atPath: executable)

  @Test(.enabled(if: StressTests.isBuilt, "kvstress is not built"))
  func `five kills of a writing process lose nothing acknowledged`() throws {
    let directory = NSTemporaryDirectory() + "spinekv-stress-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: StressTests.executable)
    process.arguments = [
      "run", "--directory", directory, "--rounds", "5", "--maximum-life", "300", "--keys", "200",
    ]
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: data, as: UTF8.self)
    #expect(process.terminationStatus == 0, "\(text)")
    #expect(text.contains("OK: 5 rounds"), "\(text)")
  }
}
