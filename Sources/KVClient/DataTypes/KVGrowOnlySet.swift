public import KVBase
public import KVModel

/// A set whose elements are only added.
///
/// **Concurrency**: any task.
public struct KVGrowOnlySet: Sendable {
  let client: KVClient
  /// The set's name.
  public let key: ObjectKey

  /// The elements; none when nothing was added yet.
  public func elements(
    options: GetOptions = .init()
  ) async throws(KVClientError) -> Set<Bytes> {
    guard case .gset(let elements)? = try await client.fetch(.gset, at: key, options)?.value
    else { return [] }
    return Set(elements)
  }

  /// Adds elements; adding again what is there changes nothing, so it is repeated when its fate is
  /// unknown.
  public func add(
    _ elements: some Sequence<Bytes> & Sendable, options: PutOptions = .init()
  ) async throws(KVClientError) {
    let elements = Array(elements)
    guard !elements.isEmpty else { return }
    _ = try await client.update(.gset(adds: elements), at: key, context: nil, options, .always)
  }

  /// Adds elements given as text.
  public func add(_ elements: String...) async throws(KVClientError) {
    try await add(elements.map { Bytes($0.utf8) })
  }
}

/// An estimate of how many different elements were added, in a few kilobytes however many there are.
///
/// The error is about 0.8 % with the default precision of 14.
///
/// **Concurrency**: any task.
/// **Source**: Flajolet et al., *HyperLogLog* (2007).
public struct KVEstimate: Sendable {
  let client: KVClient
  /// The estimate's name.
  public let key: ObjectKey

  /// About how many different elements were added.
  public func count(options: GetOptions = .init()) async throws(KVClientError) -> UInt64 {
    guard case .hll(let count)? = try await client.fetch(.hll, at: key, options)?.value
    else { return 0 }
    return count
  }

  /// Adds elements; adding again what was added changes nothing, so it is repeated when its fate is
  /// unknown.
  public func add(
    _ elements: some Sequence<Bytes> & Sendable, options: PutOptions = .init()
  ) async throws(KVClientError) {
    let elements = Array(elements)
    guard !elements.isEmpty else { return }
    _ = try await client.update(.hll(adds: elements), at: key, context: nil, options, .always)
  }

  /// Adds elements given as text.
  public func add(_ elements: String...) async throws(KVClientError) {
    try await add(elements.map { Bytes($0.utf8) })
  }
}
