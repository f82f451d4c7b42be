public import KVModel

/// A map whose fields converge each by itself: counters, sets, registers, flags and maps in the map.
///
/// ```swift
/// let patient = client.map(at: ObjectKey("9434765919", in: BucketID(type: "maps", "patients")))
/// try await patient.update {
///   $0.assign("Ada", toRegister: "name")
///   $0.increment(counter: "visits")
///   $0.add("nuts", toSet: "allergies")
///   $0.update(map: "address") { $0.assign("Leeds", toRegister: "town") }
/// }
/// if let present = try await patient.fetch() {
///   print(present.fields.text("name") ?? "?", present.fields.counter("visits") ?? 0)
///   try await patient.update(from: present) { $0.remove(.map("address")) }
/// }
/// ```
///
/// Removals (of fields, of elements of sets) and clearing a flag say what they have seen, as with
/// ``KVSet``: what others changed since then stays.
///
/// **Concurrency**: any task.
public struct KVMap: Sendable {
  let client: KVClient
  /// The map's name.
  public let key: ObjectKey

  /// Reads the map.
  ///
  /// - Returns: the fields and the context to remove with; nil when there is no map.
  public func fetch(options: GetOptions = .init()) async throws(KVClientError) -> FetchedMap? {
    FetchedMap(key: key, try await client.fetch(.map, at: key, options))
  }

  /// Changes fields in one step: removals first, then the rest.
  ///
  /// - Parameters:
  ///   - present: what the removals have seen. Without it they concern whatever the coordinating
  ///     replica holds, and one of a field or element that is not there fails.
  ///   - options: quorums; conditions are refused.
  ///   - idempotent: true when making the change twice does no harm, so that it may be repeated when
  ///     its fate is unknown. Counters would count twice.
  ///   - change: says what to change.
  /// - Returns: the map after it, if ``PutOptions/returnBody`` was set.
  /// - Throws: `notPresent` for a removal without `present`; nothing was changed. `invalidArgument` for
  ///   maps more than 32 deep and for steps of a counter that leave 64 bits together.
  @discardableResult
  public func update(
    from present: FetchedMap? = nil, options: PutOptions = .init(), idempotent: Bool = false,
    _ change: (inout MapChange) -> Void
  ) async throws(KVClientError) -> FetchedMap? {
    var made = MapChange()
    change(&made)
    guard !made.isEmpty else { return nil }
    guard present == nil || present?.key == key else {
      throw KVClientError(.invalidArgument, "what was fetched is another map")
    }
    let after = try await client.update(
      .map(try made.operation()), at: key, context: present?.context, options,
      idempotent ? .always : .never)
    return FetchedMap(key: key, after)
  }
}

/// A map as read.
public struct FetchedMap: Hashable, Sendable {
  /// The map's name.
  public let key: ObjectKey
  /// The fields.
  public let fields: MapFields
  /// What this read has seen.
  public let context: CausalContext?

  init?(key: ObjectKey, _ fetched: FetchedDataType?) {
    guard let fetched, case .map(let values) = fetched.value else { return nil }
    self.key = key
    fields = MapFields(values)
    context = fetched.context
  }
}
