/// What a client does, as it happens: the place for metrics, traces and logs.
///
/// Every method has an empty default; implement those you want. They are called on the tasks and event
/// loops that do the work, so they must return soon and must not call the client.
/// `Docs/Client.md` shows bridges to metrics and traces.
///
/// **Concurrency**: called from any thread, several at once.
public protocol ClientObserver: Sendable {
  /// A request began; retries and hedges belong to it.
  func requestBegan(_ request: ObservedRequest)
  /// The request ended, once for each that began.
  func requestEnded(_ request: ObservedRequest, _ end: ObservedEnd)
  /// An attempt failed, and another begins.
  func requestRetried(_ request: ObservedRequest, after failure: KVClientError)
  /// A node took long to answer a read, so another is asked as well.
  func readHedged(_ request: ObservedRequest, slow: KVEndpoint, other: KVEndpoint)
  /// A connection was opened.
  func connectionOpened(_ endpoint: KVEndpoint)
  /// A connection is gone, whoever closed it.
  func connectionClosed(_ endpoint: KVEndpoint)
  /// An endpoint could not be reached or did not answer; it is left alone while others are there.
  func endpointFailed(_ endpoint: KVEndpoint, _ reason: String)
  /// An endpoint that failed answers again.
  func endpointRecovered(_ endpoint: KVEndpoint)
}

extension ClientObserver {
  /// Does nothing.
  public func requestBegan(_ request: ObservedRequest) {}
  /// Does nothing.
  public func requestEnded(_ request: ObservedRequest, _ end: ObservedEnd) {}
  /// Does nothing.
  public func requestRetried(_ request: ObservedRequest, after failure: KVClientError) {}
  /// Does nothing.
  public func readHedged(_ request: ObservedRequest, slow: KVEndpoint, other: KVEndpoint) {}
  /// Does nothing.
  public func connectionOpened(_ endpoint: KVEndpoint) {}
  /// Does nothing.
  public func connectionClosed(_ endpoint: KVEndpoint) {}
  /// Does nothing.
  public func endpointFailed(_ endpoint: KVEndpoint, _ reason: String) {}
  /// Does nothing.
  public func endpointRecovered(_ endpoint: KVEndpoint) {}
}

/// A request as observers see it.
public struct ObservedRequest: Hashable, Sendable {
  /// Unique within the client: what belongs together has the same.
  public var id: UInt64
  /// What is done.
  public var operation: ClientOperation
  /// The bucket type it is about, if any.
  public var bucketType: String?
}

/// How a request ended.
public struct ObservedEnd: Hashable, Sendable {
  /// The endpoint that answered or was asked last.
  public var endpoint: KVEndpoint?
  /// The name of the node there, when it is known.
  public var node: String?
  /// Nil for success.
  public var failure: KVClientError?
  /// From its beginning to its end, waiting for a connection included.
  public var duration: Duration
}

/// A kind of request, by a name that fits metrics.
public struct ClientOperation: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The name, such as `get`.
  public var rawValue: String

  /// The operation of this name.
  public init(rawValue: String) { self.rawValue = rawValue }

  /// The name.
  public var description: String { rawValue }

  /// Ask whether a node is there.
  public static let ping = ClientOperation(rawValue: "ping")
  /// Ask a node who it is.
  public static let serverInfo = ClientOperation(rawValue: "server_info")
  /// Read an object.
  public static let get = ClientOperation(rawValue: "get")
  /// Write an object.
  public static let put = ClientOperation(rawValue: "put")
  /// Delete an object.
  public static let delete = ClientOperation(rawValue: "delete")
  /// List buckets.
  public static let listBuckets = ClientOperation(rawValue: "list_buckets")
  /// List keys.
  public static let listKeys = ClientOperation(rawValue: "list_keys")
  /// Read a bucket's properties.
  public static let properties = ClientOperation(rawValue: "properties")
  /// Set or reset a bucket's properties.
  public static let setProperties = ClientOperation(rawValue: "set_properties")
  /// Query an index.
  public static let index = ClientOperation(rawValue: "index")
  /// Read a data type.
  public static let fetchDataType = ClientOperation(rawValue: "fetch_data_type")
  /// Change a data type.
  public static let updateDataType = ClientOperation(rawValue: "update_data_type")
  /// Ask where an object lies.
  public static let preferenceList = ClientOperation(rawValue: "preference_list")
}
