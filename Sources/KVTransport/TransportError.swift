/// A socket that could not be opened.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong.
  ///
  /// Numbers are stable.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The stable number.
    public var rawValue: UInt16

    /// The code with this number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The address could not be listened on.
    public static let bindFailed = Code(rawValue: 4901)
    /// The other side refused, or cannot be reached.
    public static let connectFailed = Code(rawValue: 4902)
    /// The other side did not answer in time.
    public static let connectTimedOut = Code(rawValue: 4903)
  }

  /// What went wrong.
  public var code: Code
  /// What was tried, and the operating system's words.
  public var message: String

  /// An error with this code and message.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The message and the number, for logs.
  public var description: String { "\(message) (error \(code.rawValue))" }
}
