public import KVBase
public import KVModel
import KVProtocol

/// What a node says about itself.
public struct ServerInfo: Hashable, Sendable {
  /// The node's name.
  public var node: String
  /// Its version.
  public var version: String
}

extension KVClient {
  /// Asks any node whether it is there.
  public func ping() async throws(KVClientError) {
    let (reply, endpoint) = try await perform(.ping, .always, isWrite: false, timeout: nil)
    guard case .pong = reply else { throw unexpected(reply, endpoint, isWrite: false) }
  }

  /// Asks any node who it is.
  public func serverInfo() async throws(KVClientError) -> ServerInfo {
    let (reply, endpoint) = try await perform(.serverInfo, .always, isWrite: false, timeout: nil)
    guard case .serverInfo(let node, let version) = reply else {
      throw unexpected(reply, endpoint, isWrite: false)
    }
    return ServerInfo(node: node, version: version)
  }

  /// The bucket's properties: its own over its type's over the defaults.
  public func properties(of bucket: BucketID) async throws(KVClientError) -> BucketProperties {
    try check(bucket)
    let (reply, endpoint) = try await perform(
      .properties(bucket), .always, isWrite: false, timeout: nil)
    guard case .properties(let properties) = reply else {
      throw unexpected(reply, endpoint, isWrite: false)
    }
    return properties
  }

  /// Sets the bucket's properties.
  ///
  /// Start from those that ``properties(of:)`` gives.
  public func setProperties(
    _ properties: BucketProperties, of bucket: BucketID
  ) async throws(KVClientError) {
    try check(bucket)
    try await change(.setProperties(bucket, properties))
  }

  /// Returns the bucket's properties to its type's.
  public func resetProperties(of bucket: BucketID) async throws(KVClientError) {
    try check(bucket)
    try await change(.resetProperties(bucket))
  }

  private func change(_ request: WireRequest) async throws(KVClientError) {
    let (reply, endpoint) = try await perform(request, .always, isWrite: true, timeout: nil)
    guard case .propertiesStored = reply else { throw unexpected(reply, endpoint, isWrite: true) }
  }

  /// Every key of a bucket, each once, sorted.
  ///
  /// Costs the cluster a walk over all of the bucket.
  ///
  /// - Throws: `tooLarge` beyond ``KVClientConfiguration/listingLimit``.
  public func keys(in bucket: BucketID) async throws(KVClientError) -> [Bytes] {
    try await collect(keyBatches(in: bucket))
  }

  /// Every bucket of a type that holds a key, each once, sorted; costs as much as listing keys.
  ///
  /// - Throws: `tooLarge` beyond ``KVClientConfiguration/listingLimit``.
  public func buckets(
    type: Bytes = BucketID.defaultType
  ) async throws(KVClientError) -> [Bytes] {
    try await collect(NameBatches(client: self, request: .listBuckets(type: type, timeout: nil)))
  }

  /// The keys of a bucket in batches, as the cluster finds them; a key may come more than once.
  ///
  /// No more is read than is consumed.
  public func keyBatches(in bucket: BucketID) -> NameBatches {
    NameBatches(client: self, request: .listKeys(bucket, timeout: nil))
  }

  private func collect(_ batches: NameBatches) async throws(KVClientError) -> [Bytes] {
    var names: Set<Bytes> = []
    let iterator = batches.makeAsyncIterator()
    while let batch = try await iterator.next() {
      names.formUnion(batch)
      guard names.count <= configuration.listingLimit else {
        await iterator.cancel()
        throw KVClientError(
          .tooLarge, "the listing has more than \(configuration.listingLimit) names")
      }
    }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }
}

/// Names of a listing, in batches, while they arrive.
///
/// An iteration holds a connection until its end; one that is dropped before closes it.
public struct NameBatches: AsyncSequence, Sendable {
  /// Some names.
  public typealias Element = [Bytes]
  /// What ends a listing early.
  public typealias Failure = KVClientError

  let client: KVClient
  let request: WireRequest

  /// Starts the listing with the first call of the iterator's `next`.
  public func makeAsyncIterator() -> Iterator {
    Iterator(client: client, request: request)
  }

  /// One run of a listing, for one task.
  public final class Iterator: AsyncIteratorProtocol {
    private let client: KVClient
    private let request: WireRequest
    private var connection: ClientConnection?
    private var isDone = false

    init(client: KVClient, request: WireRequest) {
      self.client = client
      self.request = request
    }

    deinit {
      guard let connection else { return }
      let pool = client.pool
      Task { await pool.discard(connection) }
    }

    /// The next names; nil at the end.
    public func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(KVClientError) -> [Bytes]? {
      while !isDone {
        let connection = try await started()
        let names: [Bytes]
        switch await connection.next(
          before: ContinuousClock.now + client.configuration.listingTimeout)
        {
        case .failure(let failure):
          await cancel()
          throw KVClientError(failure, endpoint: connection.endpoint, isWrite: false)
        case .success(let frame): names = try await read(frame, connection)
        }
        if !names.isEmpty { return names }
      }
      return nil
    }

    /// Ends the listing before its end.
    func cancel(isolation actor: isolated (any Actor)? = #isolation) async {
      isDone = true
      guard let connection else { return }
      self.connection = nil
      await client.pool.discard(connection)
    }

    private func started(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(KVClientError) -> ClientConnection {
      if let connection { return connection }
      let opened = try await client.pool.acquire(
        before: ContinuousClock.now + client.configuration.requestTimeout, avoiding: [])
      connection = opened
      guard opened.send(request.payload) else {
        await cancel()
        throw KVClientError(
          .connectionFailed, "the connection was closed", endpoint: opened.endpoint)
      }
      return opened
    }

    private func read(
      _ frame: Bytes, _ connection: ClientConnection,
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(KVClientError) -> [Bytes] {
      let reply: WireReply
      do throws(ProtocolFailure) {
        reply = try WireReply(payload: frame)
      } catch {
        await cancel()
        throw KVClientError(.protocolViolation, error.text, endpoint: connection.endpoint)
      }
      switch reply {
      case .keys(let names, let done), .buckets(let names, let done):
        if done { await finish() }
        return names
      case .error(let text):
        await finish()
        throw KVClientError(text: text, endpoint: connection.endpoint, isWrite: false)
      default:
        await cancel()
        throw client.unexpected(reply, connection.endpoint, isWrite: false)
      }
    }

    private func finish(isolation actor: isolated (any Actor)? = #isolation) async {
      isDone = true
      guard let connection else { return }
      self.connection = nil
      await client.pool.release(connection)
    }
  }
}
