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
    try await collect(bucketBatches(type: type))
  }

  /// The keys of a bucket in batches, as the cluster finds them; a key may come more than once.
  ///
  /// No more is read than is consumed.
  public func keyBatches(in bucket: BucketID) -> NameBatches {
    NameBatches(client: self, request: .listKeys(bucket, timeout: nil))
  }

  /// The buckets of a type in batches, as the cluster finds them; a bucket may come more than once.
  public func bucketBatches(type: Bytes = BucketID.defaultType) -> NameBatches {
    NameBatches(client: self, request: .listBuckets(type: type, timeout: nil))
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
  public func makeAsyncIterator() -> BatchIterator<Bytes> {
    BatchIterator(
      batches: ReplyBatches(client: client, request: request) { reply in
        switch reply {
        case .keys(let names, let done), .buckets(let names, let done): (names, done)
        default: nil
        }
      })
  }
}
