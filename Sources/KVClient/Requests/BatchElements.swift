public import KVBase

/// The items of a listing or query one by one, while its batches arrive.
///
/// An iteration holds a connection until its end; one that is dropped before closes it.
public struct BatchElements<Item: Sendable>: AsyncSequence, Sendable {
  /// One item.
  public typealias Element = Item
  /// What ends it early.
  public typealias Failure = KVClientError

  let batches: @Sendable () -> BatchIterator<Item>

  /// Starts it with the first call of the iterator's `next`.
  public func makeAsyncIterator() -> Iterator { Iterator(batches: batches()) }

  /// One run, for one task.
  public struct Iterator: AsyncIteratorProtocol {
    let batches: BatchIterator<Item>
    private var batch: ArraySlice<Item> = []

    init(batches: BatchIterator<Item>) { self.batches = batches }

    /// The next item; nil at the end.
    public mutating func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(KVClientError) -> Item? {
      while batch.isEmpty {
        guard let next = try await batches.next(isolation: actor) else { return nil }
        batch = next[...]
      }
      return batch.removeFirst()
    }
  }
}

extension NameBatches {
  /// The names one by one.
  public var elements: BatchElements<Bytes> { BatchElements { makeAsyncIterator() } }
}

extension IndexMatches {
  /// The matches one by one.
  public var elements: BatchElements<IndexMatch> { BatchElements { makeAsyncIterator() } }
}
