/// Where a node listens for clients.
public struct KVEndpoint: Hashable, Sendable, CustomStringConvertible {
  /// A name or address.
  public var host: String
  /// The protobuf port.
  public var port: Int

  /// The endpoint at `host` and `port`.
  public init(host: String, port: Int = 8087) {
    self.host = host
    self.port = port
  }

  /// Reads `host:port`; nil when the port is missing or no number.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    self.init(host: String(text[..<colon]), port: Int(port))
  }

  /// `host:port`.
  public var description: String { "\(host):\(port)" }
}

/// How a client finds and uses a cluster.
public struct KVClientConfiguration: Sendable {
  /// The nodes to talk to; any of a cluster's nodes can take any request.
  public var endpoints: [KVEndpoint]
  /// Connections kept to each node at most; a connection carries one request at a time.
  public var connectionsPerEndpoint = 16
  /// Requests that may wait for a connection; further ones fail with `poolExhausted`.
  public var waitingRequests = 4096
  /// How long a request may take in all, retries included, unless its options say otherwise.
  public var requestTimeout: Duration = .seconds(10)
  /// How long one attempt of a request that may be repeated may take; nil for half of
  /// ``requestTimeout``.
  ///
  /// A node that hangs costs a read that much.
  public var attemptTimeout: Duration?
  /// How long the silence within a listing may last.
  public var listingTimeout: Duration = .seconds(60)
  /// How long opening a connection may take.
  public var connectTimeout: Duration = .seconds(2)
  /// How often a request is tried at most.
  public var attempts = 3
  /// The pause before the second attempt; it doubles with each further one.
  public var retryPause: Duration = .milliseconds(20)
  /// How long an endpoint is left alone after it could not be reached; it doubles up to
  /// ``longestEndpointPause`` with each further failure.
  public var endpointPause: Duration = .milliseconds(100)
  /// See ``endpointPause``.
  public var longestEndpointPause: Duration = .seconds(5)
  /// Keys or bucket names that a listing into an array may hold.
  public var listingLimit = 1_000_000

  /// The configuration for these endpoints, with the defaults given above.
  ///
  /// - Precondition: there is at least one endpoint.
  public init(endpoints: [KVEndpoint]) {
    precondition(!endpoints.isEmpty, "a client needs at least one endpoint")
    self.endpoints = endpoints
  }
}
