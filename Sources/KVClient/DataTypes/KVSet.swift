public import KVBase
public import KVModel

/// A set to which many clients add and from which they remove at once; of both at the same time the
/// addition wins.
///
/// ```swift
/// let tags = client.set(at: ObjectKey("page", in: BucketID(type: "sets", "tags")))
/// try await tags.add("draft", "swift")
/// if let present = try await tags.fetch() {
///   try await tags.remove("draft", from: present)
/// }
/// ```
///
/// A removal says what it has seen: it removes the additions that were read, and one that was made
/// since then stays.
///
/// **Concurrency**: any task.
public struct KVSet: Sendable {
  let client: KVClient
  /// The set's name.
  public let key: ObjectKey

  /// Reads the set.
  ///
  /// - Returns: the elements and the context to remove with; nil when there is no set.
  public func fetch(options: GetOptions = .init()) async throws(KVClientError) -> FetchedSet? {
    FetchedSet(key: key, try await client.fetch(.set, at: key, options))
  }

  /// Adds elements given as text.
  public func add(_ elements: String...) async throws(KVClientError) {
    try await update { for element in elements { $0.add(element) } }
  }

  /// Removes elements given as text, as far as `present` has seen them.
  public func remove(
    _ elements: String..., from present: FetchedSet
  ) async throws(KVClientError) {
    try await update(from: present) { for element in elements { $0.remove(element) } }
  }

  /// Adds and removes elements in one step.
  ///
  /// - Parameters:
  ///   - present: what the removals have seen. Without it they concern whatever the coordinating
  ///     replica holds, and one of an element that is not there fails.
  ///   - options: quorums; conditions are refused.
  ///   - idempotent: true when making the change twice does no harm, so that it may be repeated when
  ///     its fate is unknown. Twice is once, unless another client removes an element in between.
  ///   - change: says what to add and remove.
  /// - Returns: the set after it, if ``PutOptions/returnBody`` was set.
  /// - Throws: `notPresent` for a removal without `present`; nothing was changed.
  @discardableResult
  public func update(
    from present: FetchedSet? = nil, options: PutOptions = .init(), idempotent: Bool = false,
    _ change: (inout SetChange) -> Void
  ) async throws(KVClientError) -> FetchedSet? {
    var made = SetChange()
    change(&made)
    guard !made.isEmpty else { return nil }
    try check(present?.key)
    let after = try await client.update(
      .set(adds: made.adds, removes: made.removes), at: key, context: present?.context, options,
      idempotent || made.adds.isEmpty && present != nil ? .always : .never)
    return FetchedSet(key: key, after)
  }

  private func check(_ other: ObjectKey?) throws(KVClientError) {
    guard other == nil || other == key else {
      throw KVClientError(.invalidArgument, "what was fetched is another set")
    }
  }
}

/// A set as read.
public struct FetchedSet: Hashable, Sendable {
  /// The set's name.
  public let key: ObjectKey
  /// The elements.
  public let elements: Set<Bytes>
  /// What this read has seen.
  public let context: CausalContext?

  /// The elements as text; what is no UTF-8 in them is replaced.
  public var strings: Set<String> { Set(elements.map { String(decoding: $0, as: UTF8.self) }) }

  /// True when the element, as UTF-8, is in the set.
  public func contains(_ element: String) -> Bool { elements.contains(Bytes(element.utf8)) }

  init?(key: ObjectKey, _ fetched: FetchedDataType?) {
    guard let fetched, case .set(let elements) = fetched.value else { return nil }
    self.key = key
    self.elements = Set(elements)
    context = fetched.context
  }
}

/// A change of a set; of several words about one element the last counts.
public struct SetChange: Hashable, Sendable {
  private var isAdded: [Bytes: Bool] = [:]

  /// A change that changes nothing yet.
  public init() {}

  /// Adds an element.
  public mutating func add(_ element: Bytes) { isAdded[element] = true }

  /// Adds an element given as text.
  public mutating func add(_ element: String) { add(Bytes(element.utf8)) }

  /// Removes an element.
  public mutating func remove(_ element: Bytes) { isAdded[element] = false }

  /// Removes an element given as text.
  public mutating func remove(_ element: String) { remove(Bytes(element.utf8)) }

  var isEmpty: Bool { isAdded.isEmpty }
  var adds: [Bytes] { elements(true) }
  var removes: [Bytes] { elements(false) }

  private func elements(_ wanted: Bool) -> [Bytes] {
    isAdded.filter { $0.value == wanted }.keys.sorted { $0.lexicographicallyPrecedes($1) }
  }
}
