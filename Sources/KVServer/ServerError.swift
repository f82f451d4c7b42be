/// Why a node could not start, keep running or stop in order.
///
/// The codes are stable and listed in `Docs/Errors.md`.
public struct ServerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A stable number between 4000 and 4999.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The number in `Docs/Errors.md`.
    public var rawValue: UInt16

    /// The code with this number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A setting is unknown or has a wrong value.
    public static let configuration = Code(rawValue: 4001)
    /// The configuration file cannot be read.
    public static let configurationFile = Code(rawValue: 4002)
    /// The data directory belongs to a node with other fixed settings.
    public static let identityMismatch = Code(rawValue: 4003)
    /// Another process uses the data directory.
    public static let locked = Code(rawValue: 4004)
    /// A listener's address is taken or not this machine's.
    public static let bind = Code(rawValue: 4005)
    /// A shard's store could not be opened, synced or closed.
    public static let store = Code(rawValue: 4006)
    /// A file of the node itself could not be read or written.
    public static let file = Code(rawValue: 4007)
    /// The node did not stop within the time allowed.
    public static let stopTimeout = Code(rawValue: 4008)
  }

  /// What kind of failure it is.
  public var code: Code
  /// What happened, in words an operator can act on.
  public var message: String
  /// The file, address or setting concerned.
  public var context: String?

  /// An error of the given parts.
  public init(_ code: Code, _ message: String, context: String? = nil) {
    self.code = code
    self.message = message
    self.context = context
  }

  /// The place, the message and the code.
  public var description: String {
    let place = context.map { "\($0): " } ?? ""
    return "\(place)\(message) (error \(code.rawValue))"
  }
}
