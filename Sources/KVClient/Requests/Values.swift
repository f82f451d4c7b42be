public import KVBase
public import KVModel

/// What a client has seen of an object's history: opaque bytes from a fetch, given back with a write.
public struct CausalContext: Hashable, Sendable {
  /// The bytes as the server sent them.
  public var bytes: Bytes

  /// The context that a server sent as these bytes.
  public init(bytes: Bytes) { self.bytes = bytes }
}

/// An object as read: its present contents and the context to write with.
public struct FetchedObject: Hashable, Sendable {
  /// The object's name.
  public var key: ObjectKey
  /// One content, or several that were written concurrently; tombstones of concurrent deletes are
  /// among them.
  public var siblings: [Content]
  /// What this read has seen.
  public var context: CausalContext

  /// An object with these parts.
  public init(key: ObjectKey, siblings: [Content], context: CausalContext) {
    self.key = key
    self.siblings = siblings
    self.context = context
  }

  /// The siblings that are values, not tombstones.
  public var live: [Content] { siblings.filter { !$0.isTombstone } }

  /// The content, when there is exactly one that is no tombstone.
  public var value: Content? { live.count == 1 ? live[0] : nil }
}

/// An object as written.
public struct StoredObject: Hashable, Sendable {
  /// The object's name, with the key that the server made up when none was given.
  public var key: ObjectKey
  /// The object after the write, if ``PutOptions/returnBody`` was set.
  public var siblings: [Content]
  /// What a reader of ``siblings`` has seen, if they were asked for.
  public var context: CausalContext?
}

/// Decides what the contents of concurrent writes mean together.
///
/// Resolving must not depend on the order of the siblings: other clients see another.
public protocol SiblingResolver: Sendable {
  /// The one content to go on with; nil means that the object is deleted.
  ///
  /// - Parameter siblings: two or more, tombstones included.
  func resolve(_ siblings: [Content]) -> Content?
}

/// Keeps the sibling that was written last by the servers' clocks; the others are lost.
public struct LastWriteWins: SiblingResolver {
  /// A resolver; it has no settings.
  public init() {}

  /// The sibling with the latest time; of equal times, the one with the greater value.
  public func resolve(_ siblings: [Content]) -> Content? {
    let latest = siblings.max { a, b in
      a.lastModified == b.lastModified
        ? a.value.lexicographicallyPrecedes(b.value) : a.lastModified < b.lastModified
    }
    return latest.flatMap { $0.isTombstone ? nil : $0 }
  }
}

/// A resolver made of a closure.
public struct ClosureResolver: SiblingResolver {
  private let body: @Sendable ([Content]) -> Content?

  /// Resolves with `body`.
  public init(_ body: @escaping @Sendable ([Content]) -> Content?) { self.body = body }

  /// What the closure returns.
  public func resolve(_ siblings: [Content]) -> Content? { body(siblings) }
}
