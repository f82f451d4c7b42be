import Foundation
import Testing

/// Runs the built `kvsim`, which runs each seed in two processes and compares the digests.
@Suite struct DeterminismTests {
  @Test func `two processes give every seed the same digest`() throws {
    let executable = try #require(Self.productsDirectory).appending(path: "kvsim")
    try #require(
      FileManager.default.isExecutableFile(atPath: executable.path),
      "\(executable.path) is not built")
    let process = Process()
    process.executableURL = executable
    process.arguments = ["run", "--seeds", "1..4", "--time", "6", "--check-determinism"]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(text)")
    #expect(text.contains("digests of 4 seeds are equal"), "\(text)")
  }

  /// Where the test bundle lies, and the executables beside it.
  private static var productsDirectory: URL? {
    CommandLine.arguments.lazy
      .map { URL(filePath: $0).deletingLastPathComponent() }
      .first { FileManager.default.isExecutableFile(atPath: $0.appending(path: "kvsim").path) }
      ?? Bundle.allBundles.map(\.bundleURL).first { $0.pathExtension == "xctest" }?
      .deletingLastPathComponent()
  }
}
