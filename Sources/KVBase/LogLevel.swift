/// How much a log line matters.
public enum LogLevel: UInt8, Hashable, Sendable {
  /// Detail for developers.
  case debug
  /// A change of state.
  case info
  /// Something that needs an eye.
  case warning
  /// Something that needs a hand.
  case error
}
