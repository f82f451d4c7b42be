public import KVBase
public import KVModel

/// Makes one value of several that were written concurrently.
///
/// A key has siblings when writers did not see each other's writes. A resolver decides what they mean
/// together; readers see only its result, and the next write that is based on a read replaces them.
/// It must give the same for any order of the siblings, for other readers see another, and should give
/// the same when some of them were merged before: a union does, a sum does not. A delete beside a
/// value does not count: the value stays.
///
/// - `.newest` keeps the value written last, by the servers' clocks; the others are lost.
/// - `.merging { a, b in … }` merges two at a time; use it when values can be united.
/// - `.merging(all:)` has all of them at once.
/// - `.refusing` fails with `unresolvedSiblings`, for buckets in which siblings are a mistake.
public struct ValueResolver<Value: Sendable>: Sendable {
  /// One of the siblings.
  public struct Version: Sendable {
    /// The value.
    public var value: Value
    /// When it was written, by the clock of the node that took it.
    public var lastModified: WallClock
  }

  /// Of two or more versions, the value; nil to refuse.
  let resolve: @Sendable ([Version]) -> Value?

  /// Keeps the value written last; of equal times, the one with the greater bytes.
  public static var newest: ValueResolver {
    // The versions come sorted by their bytes.
    ValueResolver { versions in
      versions.reduce(versions[0]) { $1.lastModified >= $0.lastModified ? $1 : $0 }.value
    }
  }

  /// Fails with `unresolvedSiblings`.
  public static var refusing: ValueResolver { ValueResolver { _ in nil } }

  /// Merges the values two at a time.
  public static func merging(
    _ merge: @escaping @Sendable (Value, Value) -> Value
  ) -> ValueResolver {
    ValueResolver { versions in
      versions.dropFirst().reduce(versions[0].value) { merge($0, $1.value) }
    }
  }

  /// Makes one value of all of them, two or more.
  public static func merging(
    all merge: @escaping @Sendable ([Version]) -> Value
  ) -> ValueResolver {
    ValueResolver { merge($0) }
  }
}

extension SiblingResolver where Self == LastWriteWins {
  /// Keeps the sibling that was written last by the servers' clocks; the others are lost.
  public static var newest: LastWriteWins { LastWriteWins() }
}

extension SiblingResolver where Self == ClosureResolver {
  /// Resolves with a closure: of two or more siblings, the content to go on with; nil to delete.
  public static func merging(
    _ body: @escaping @Sendable ([Content]) -> Content?
  ) -> ClosureResolver {
    ClosureResolver(body)
  }
}
