public import KVModel

/// A number that many clients count up and down at once without losing a step.
///
/// ```swift
/// let visits = client.counter(at: ObjectKey("home", in: BucketID(type: "counters", "pages")))
/// try await visits.increment()
/// try await visits.increment(by: -3)
/// let count = try await visits.count()
/// ```
///
/// **Concurrency**: any task.
public struct KVCounter: Sendable {
  let client: KVClient
  /// The counter's name.
  public let key: ObjectKey

  /// The count; 0 when nothing was counted yet.
  ///
  /// Exact: counts may leave the numbers of 64 bits; their limit is 2^96.
  public func count(options: GetOptions = .init()) async throws(KVClientError) -> Int128 {
    guard case .counter(let count)? = try await client.fetch(.counter, at: key, options)?.value
    else { return 0 }
    return count
  }

  /// Counts up, or down by a negative number.
  ///
  /// A step whose fate is unknown is never repeated, for it might count twice: it fails with
  /// ``KVClientError/isAmbiguous`` set.
  ///
  /// - Returns: the count after it, if ``PutOptions/returnBody`` was set.
  /// - Throws: `counterOverflow` beyond 2^96; nothing was counted.
  @discardableResult
  public func increment(
    by amount: Int = 1, options: PutOptions = .init()
  ) async throws(KVClientError) -> Int128? {
    let after = try await client.update(
      .counter(Int64(amount)), at: key, context: nil, options, .never)
    guard case .counter(let count)? = after?.value else { return nil }
    return count
  }
}
