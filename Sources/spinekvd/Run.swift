import ArgumentParser
import Dispatch
import Foundation
import KVServer
import Logging

/// `spinekvd [run]`: runs a node until it is told to stop.
struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a node until SIGTERM or SIGINT (the default).")

  @OptionGroup var flags: ConfigurationFlags

  func run() async throws {
    let configuration = try flags.load()
    do throws(ServerError) {
      let handler = try ServerLogHandler(configuration: configuration)
      let logger = Logger(label: "spinekvd") { _ in handler }
      // Asked for before the start, so that a signal during recovery is not lost.
      let stop = StopSignal()
      let node = try await NodeRuntime.start(configuration, logger: logger)
      let pidFile = try PIDFile(path: configuration.pidFile)
      await stop.wait()
      defer { pidFile.remove() }
      try await node.stop()
    } catch {
      throw Failure(error).reported()
    }
  }
}

/// Waits for SIGTERM or SIGINT.
private struct StopSignal {
  private let stream: AsyncStream<Void>
  private let sources: [any DispatchSourceSignal]

  init() {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    self.stream = stream
    sources = [SIGTERM, SIGINT].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { continuation.yield() }
      source.resume()
      return source
    }
  }

  func wait() async {
    for await _ in stream { return }
  }
}

/// The file with the process id.
private struct PIDFile {
  private let path: String

  init(path: String) throws(ServerError) {
    self.path = path
    guard !path.isEmpty else { return }
    let text = "\(ProcessInfo.processInfo.processIdentifier)\n"
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw ServerError(.file, "\(error.localizedDescription)", context: path)
    }
  }

  func remove() {
    if !path.isEmpty { try? FileManager.default.removeItem(atPath: path) }
  }
}
