public import KVBase
public import KVModel
import KVProtocol

/// Which terms of a secondary index are asked for.
public struct IndexRange: Hashable, Sendable {
  /// The index: a name that ends in `_int` for whole numbers in decimal, in `_bin` for bytes.
  public var index: String
  /// The smallest term.
  public var lower: Bytes
  /// The largest term; nil for the smallest alone.
  public var upper: Bytes?
  /// A regular expression that terms must match besides; not for numbers.
  public var pattern: String?

  /// One term.
  public static func term(_ term: String, of index: String) -> IndexRange {
    IndexRange(index: index, lower: Bytes(term.utf8), upper: nil)
  }

  /// The terms from `lower` through `upper`, perhaps only those that match a pattern.
  public static func terms(
    from lower: String, through upper: String, of index: String, matching pattern: String? = nil
  ) -> IndexRange {
    IndexRange(
      index: index, lower: Bytes(lower.utf8), upper: Bytes(upper.utf8), pattern: pattern)
  }

  /// The numbers of a range.
  public static func numbers(_ range: ClosedRange<Int>, of index: String) -> IndexRange {
    terms(from: "\(range.lowerBound)", through: "\(range.upperBound)", of: index)
  }

  /// The range with these parts.
  public init(index: String, lower: Bytes, upper: Bytes?, pattern: String? = nil) {
    self.index = index
    self.lower = lower
    self.upper = upper
    self.pattern = pattern
  }
}

/// An object that has a term that was asked for.
public struct IndexMatch: Hashable, Sendable {
  /// The object's key.
  public var key: Bytes
  /// The term, of a range; nil when one term was asked for.
  public var term: Bytes?
}

/// Some matches of a query, in the order of the index.
public struct IndexPage: Hashable, Sendable {
  /// The matches: at most as many as were asked for.
  public var matches: [IndexMatch]
  /// Where the next page begins; nil when this is the last.
  public var continuation: IndexContinuation?

  /// Where a query goes on; opaque, and good for as long as the bucket lives.
  public struct IndexContinuation: Hashable, Sendable {
    /// The bytes as the server sent them.
    public var bytes: Bytes

    /// The continuation that a server sent as these bytes.
    public init(bytes: Bytes) { self.bytes = bytes }
  }
}

extension KVClient {
  /// The objects with terms in a range, in batches, in the order of the index.
  ///
  /// No more is read than is consumed. The cost is that of the matches, and a message to about a third
  /// of the partitions.
  public func matches(of range: IndexRange, in bucket: BucketID) -> IndexMatches {
    IndexMatches(client: self, request: .index(range.request(bucket, limit: nil, after: nil)))
  }

  /// Up to `limit` objects with terms in a range, in the order of the index.
  ///
  /// ```swift
  /// var page = try await client.page(of: .numbers(1940...1949, of: "born_int"), in: bucket, limit: 50)
  /// while let continuation = page.continuation {
  ///   page = try await client.page(
  ///     of: .numbers(1940...1949, of: "born_int"), in: bucket, limit: 50, after: continuation)
  /// }
  /// ```
  ///
  /// - Throws: `refused` for an index whose name says no kind of term, or a pattern that is none.
  public func page(
    of range: IndexRange, in bucket: BucketID, limit: Int,
    after continuation: IndexPage.IndexContinuation? = nil
  ) async throws(KVClientError) -> IndexPage {
    try check(bucket)
    guard limit > 0 else {
      throw KVClientError(.invalidArgument, "a page of \(limit) matches")
    }
    var request = range.request(bucket, limit: limit, after: continuation)
    request.isStreamed = false
    let (reply, endpoint) = try await perform(
      .index(request), .always, isWrite: false, timeout: nil)
    guard case .indexHits(let hits, let next, _) = reply else {
      throw unexpected(reply, endpoint, isWrite: false)
    }
    return IndexPage(
      matches: hits.map { IndexMatch(key: $0.key, term: $0.term) },
      continuation: next.map(IndexPage.IndexContinuation.init))
  }
}

extension IndexRange {
  fileprivate func request(
    _ bucket: BucketID, limit: Int?, after continuation: IndexPage.IndexContinuation?
  ) -> WireIndexQuery {
    WireIndexQuery(
      bucket: bucket, index: Bytes(index.utf8), lower: lower, upper: upper, pattern: pattern,
      limit: limit, continuation: continuation?.bytes)
  }
}

/// Matches of an index query, in batches, while they arrive.
///
/// An iteration holds a connection until its end; one that is dropped before closes it.
public struct IndexMatches: AsyncSequence, Sendable {
  /// Some matches.
  public typealias Element = [IndexMatch]
  /// What ends a query early.
  public typealias Failure = KVClientError

  let client: KVClient
  let request: WireRequest

  /// Starts the query with the first call of the iterator's `next`.
  public func makeAsyncIterator() -> BatchIterator<IndexMatch> {
    BatchIterator(
      batches: ReplyBatches(client: client, request: request) { reply in
        guard case .indexHits(let hits, _, let done) = reply else { return nil }
        return (hits.map { IndexMatch(key: $0.key, term: $0.term) }, done)
      })
  }
}
