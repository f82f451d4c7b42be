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
  /// How long a connection may lie idle before it is asked whether it still works.
  public var healthCheckInterval: Duration = .seconds(10)
  /// Where requests about one key are sent.
  public var routing = KVRouting.primaries
  /// How old the knowledge of where keys lie may become; changed rings are noticed so late.
  ///
  /// Learning costs at most a question per partition of the ring in this time, and none for partitions
  /// whose keys nobody asks for.
  public var topologyRefresh: Duration = .seconds(60)
  /// When a read that takes long is asked of a second node.
  public var hedging = KVHedging.off
  /// Who is told what the client does.
  public var observer: (any ClientObserver)?
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

/// Where requests about one key are sent.
public struct KVRouting: Hashable, Sendable {
  private enum Kind {
    case primaries
    case anyNode
  }

  private let kind: Kind

  /// To a node that holds the key, when one is known and well, which saves the cluster a step.
  ///
  /// With one endpoint the same as ``anyNode``.
  public static let primaries = KVRouting(kind: .primaries)
  /// To the endpoint with the least to do; right when endpoints are load balancers.
  public static let anyNode = KVRouting(kind: .anyNode)
}

/// When a read that takes long is asked of a second node.
///
/// The second request is paid from the retry budget, a fifth of all requests.
public struct KVHedging: Hashable, Sendable {
  enum Kind: Hashable {
    case off
    case after(Duration)
    case observed(quantile: Double, atLeast: Duration)
  }

  let kind: Kind

  /// Never.
  public static let off = KVHedging(kind: .off)

  /// After this time.
  public static func after(_ delay: Duration) -> KVHedging { KVHedging(kind: .after(delay)) }

  /// After the time in which the given share of recent reads was answered, measured by this client.
  ///
  /// Begins when a hundred reads have been measured.
  ///
  /// - Precondition: the quantile is between 0 and 1.
  public static func observed(
    quantile: Double = 0.99, atLeast: Duration = .milliseconds(5)
  ) -> KVHedging {
    precondition((0...1).contains(quantile), "a quantile of \(quantile)")
    return KVHedging(kind: .observed(quantile: quantile, atLeast: atLeast))
  }
}
