import KVProtocol
import Foundation
import Glibc
public import Logging
import Synchronization

/// Writes the node's log: one line an event, for people or as JSON.
///
/// ```
/// 2026-01-02T03:04:05.678Z info  spinekv1@127.0.0.1 shard=0 handing partition 7 to …
/// {"time":"…","level":"info","node":"…","message":"…","shard":"0"}
/// ```
public struct ServerLogHandler: LogHandler {
  /// The least severe level that is written.
  public var logLevel: Logger.Level
  /// What every line of this handler carries.
  public var metadata: Logger.Metadata = [:]
  private let output: LogOutput
  private let isJSON: Bool
  private let label: String

  /// A handler for the log settings of a configuration.
  ///
  /// - Throws: `file` when the log file cannot be opened.
  public init(configuration: ServerConfiguration) throws(ServerError) {
    output = try LogOutput(path: configuration.logFile)
    isJSON = configuration.logFormat == "json"
    label = configuration.nodeName
    logLevel = Logger.Level(rawValue: configuration.logLevel) ?? .info
  }

  /// A part of ``metadata``.
  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  /// Writes one line.
  public func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    let pairs = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
    let time = Date().formatted(
      .iso8601.year().month().day().time(includingFractionalSeconds: true).dateTimeSeparator(
        .standard))
    output.write(
      isJSON
        ? jsonLine(time, event.level, "\(event.message)", pairs)
        : textLine(time, event.level, "\(event.message)", pairs))
  }

  private func textLine(
    _ time: String, _ level: Logger.Level, _ message: String, _ pairs: [(String, String)]
  ) -> String {
    let padded = level.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0)
    let context = pairs.map { " \($0.0)=\($0.1)" }.joined()
    // A line is a line: what peers and clients sent may not forge another.
    let flat = "\(message)".split(whereSeparator: \.isNewline).joined(separator: " | ")
    return "\(time)Z \(padded) \(label)\(context) \(flat)\n"
  }

  private func jsonLine(
    _ time: String, _ level: Logger.Level, _ message: String, _ pairs: [(String, String)]
  ) -> String {
    var fields = [
      ("time", time + "Z"), ("level", level.rawValue), ("node", label), ("message", message),
    ]
    fields += pairs
    let body = fields.map { "\(JSONValue.quoted($0.0)):\(JSONValue.quoted($0.1))" }
    return "{\(body.joined(separator: ","))}\n"
  }
}

/// The file or standard error that log lines go to.
private final class LogOutput: Sendable {
  private let descriptor: Mutex<Int32>

  init(path: String) throws(ServerError) {
    guard !path.isEmpty else {
      descriptor = Mutex(STDERR_FILENO)
      return
    }
    let opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    guard opened >= 0 else {
      throw ServerError(.file, String(cString: strerror(errno)), context: path)
    }
    descriptor = Mutex(opened)
  }

  deinit {
    descriptor.withLock { if $0 != STDERR_FILENO { _ = close($0) } }
  }

  /// Writes the line whole; a full disk loses log lines, not requests.
  func write(_ line: String) {
    var bytes = Array(line.utf8)[...]
    descriptor.withLock { descriptor in
      while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
      }
    }
  }
}
