public import KVModel
import KVProtocol

/// Why a request to a cluster did not give an answer, or not the one hoped for.
public struct KVClientError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong.
  ///
  /// Numbers are stable; `Docs/Errors.md` says what to do about each.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The stable number.
    public var rawValue: UInt16

    /// The code with this number.
    public init(rawValue: UInt16) {
      self.rawValue = rawValue
    }

    /// No answer in time, from the node or of it.
    public static let timeout = Code(rawValue: 3001)
    /// The node has too much to do; nothing was done.
    public static let overload = Code(rawValue: 3002)
    /// Too few replicas answered for the quorum.
    public static let quorumUnsatisfied = Code(rawValue: 3003)
    /// The quorum or N makes no sense for the bucket.
    public static let invalidQuorum = Code(rawValue: 3004)
    /// Conditional put: a live object exists.
    public static let matchFound = Code(rawValue: 3005)
    /// Conditional put: the object has changed since it was read.
    public static let modified = Code(rawValue: 3006)
    /// Conditional put: there is no object.
    public static let notFound = Code(rawValue: 3007)
    /// The bucket type does not exist or is not active.
    public static let unknownBucketType = Code(rawValue: 3008)
    /// The object exceeds a limit of the server.
    public static let tooLarge = Code(rawValue: 3009)
    /// No vnode could take the request, or its disk refused.
    public static let unavailable = Code(rawValue: 3010)
    /// No endpoint could be reached.
    public static let connectionFailed = Code(rawValue: 3011)
    /// The connection broke after the request was sent.
    public static let connectionLost = Code(rawValue: 3012)
    /// The server sent what no server should.
    public static let protocolViolation = Code(rawValue: 3013)
    /// The server refused the request; the message is its text.
    public static let refused = Code(rawValue: 3014)
    /// The client has been closed.
    public static let clientClosed = Code(rawValue: 3015)
    /// Too many requests wait for a connection.
    public static let poolExhausted = Code(rawValue: 3016)
    /// An argument that no server would accept, such as an empty key.
    public static let invalidArgument = Code(rawValue: 3017)
    /// The calling task was cancelled.
    public static let cancelled = Code(rawValue: 3018)
    /// What is stored is no value of the type that was asked for.
    public static let undecodable = Code(rawValue: 3019)
    /// Removal from a data type, without saying what was seen, of what is not there.
    public static let notPresent = Code(rawValue: 3020)
    /// The bucket or what is stored in it is not of the data type that was asked for.
    public static let wrongDataType = Code(rawValue: 3021)
    /// A counter would leave the numbers it can hold.
    public static let counterOverflow = Code(rawValue: 3022)
    /// There are siblings, and the resolver does not choose among them.
    public static let unresolvedSiblings = Code(rawValue: 3023)
  }

  /// What went wrong.
  public var code: Code
  /// The details, for people.
  public var message: String
  /// The endpoint that was asked last, if any.
  public var endpoint: KVEndpoint?
  /// The server's own statement, when it made one that is known.
  public var failure: RequestFailure?
  /// True when a write may or may not have happened.
  public var isAmbiguous: Bool

  /// An error with these details.
  public init(
    _ code: Code, _ message: String, endpoint: KVEndpoint? = nil, failure: RequestFailure? = nil,
    isAmbiguous: Bool = false
  ) {
    self.code = code
    self.message = message
    self.endpoint = endpoint
    self.failure = failure
    self.isAmbiguous = isAmbiguous
  }

  /// The message, the endpoint and the number, for logs.
  public var description: String {
    "\(message)\(endpoint.map { " (from \($0))" } ?? "") (error \(code.rawValue))"
  }

  /// The error for a server's error text.
  init(text: String, endpoint: KVEndpoint, isWrite: Bool) {
    guard let failure = RequestFailure(text: text) else {
      self.init(Self.refusal(text), text, endpoint: endpoint)
      return
    }
    let (code, isAmbiguous) = Self.classify(failure)
    self.init(
      code, text, endpoint: endpoint, failure: failure, isAmbiguous: isWrite && isAmbiguous)
  }

  /// The code of a refusal that only its text tells from others.
  private static func refusal(_ text: String) -> Code {
    if text.hasPrefix("{precondition,{not_present,") { return .notPresent }
    if text.hasPrefix("{counter_overflow,") { return .counterOverflow }
    let isMismatch =
      text.hasPrefix("{type_mismatch,") || text.hasPrefix("Operation type is `")
      || text.hasSuffix(" is not a supported type")
    return isMismatch ? .wrongDataType : .refused
  }

  /// The code of a failure, and whether a write that failed so may have happened.
  private static func classify(_ failure: RequestFailure) -> (Code, isAmbiguous: Bool) {
    switch failure {
    case .timeout: (.timeout, true)
    case .overload: (.overload, false)
    case .dwUnsatisfied, .pwUnsatisfied, .nodeConfirmsUnsatisfied: (.quorumUnsatisfied, true)
    case .rUnsatisfied, .prUnsatisfied, .insufficientNodes, .insufficientVnodes:
      (.quorumUnsatisfied, false)
    case .nValViolation, .quorumViolation: (.invalidQuorum, false)
    case .matchFound: (.matchFound, false)
    case .modified, .failed: (.modified, false)
    case .notFound: (.notFound, false)
    case .unknownBucketType: (.unknownBucketType, false)
    case .tooLarge: (.tooLarge, false)
    case .allNodesDown: (.unavailable, false)
    case .storage: (.unavailable, true)
    case .refused: (.refused, false)
    }
  }

  /// True when the request has certainly not been performed and another node, or a moment, may
  /// help.
  var mayBeRetriedElsewhere: Bool {
    guard !isAmbiguous else { return false }
    return [.overload, .unavailable, .connectionFailed].contains(code)
      || failure.map { if case .insufficientVnodes = $0 { true } else { false } } ?? false
  }
}
