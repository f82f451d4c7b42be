public import KVBase
public import KVModel

/// One change of a register: what a client asks of a key in a consistent bucket.
///
/// The history of such a key is one line, so its clock has one entry, the number of the write:
/// equal clocks mean the same write. Every write is a compare-and-set: a context must equal the
/// present clock, and without one there must be nothing; only a delete without a context takes what
/// there is.
///
/// **Source**: reference sections 1.7, 1.8 and 3.7.
public struct ConditionalWrite: Hashable, Sendable {
  /// The actor of every write's dot.
  public static let actor = VnodeID(rawValue: StableHash.hash(Bytes("register".utf8)))

  /// What becomes of a value under this change.
  public enum Effect: Hashable, Sendable {
    /// The value after the change.
    case changed(RegisterValue)
    /// Nothing is to be written: the change is in the value, or there was nothing to do.
    case unchanged
    /// The condition does not hold.
    case refused(RequestFailure)
    /// The change was proposed before, and so many others followed that nobody can say whether it
    /// took place.
    case unknown
  }

  /// Distinguishes this change from every other; drawn at random.
  public let number: UInt64
  /// What the writer has seen.
  public let context: VersionVector
  /// What is written; a tombstone for a delete.
  public let content: Content
  /// Refuse with `matchFound` when a live object exists.
  public let ifNoneMatch: Bool
  /// Refuse with `modified` or `notFound` when the context is not the present clock.
  public let ifNotModified: Bool
  private let byteLimit: Int
  /// The version over which this change was first proposed.
  private var firstBase: UInt64?

  /// The change `number`; larger objects than `byteLimit` are refused.
  public init(
    number: UInt64, context: VersionVector, content: Content, ifNoneMatch: Bool,
    ifNotModified: Bool, byteLimit: Int
  ) {
    self.number = number
    self.context = context
    self.content = content
    self.ifNoneMatch = ifNoneMatch
    self.ifNotModified = ifNotModified
    self.byteLimit = byteLimit
  }

  /// What the change makes of `value`; repeated calls for later values recognise an earlier
  /// success.
  public mutating func effect(
    on value: RegisterValue, at now: Now
  ) throws(DecodingFailure) -> Effect {
    if value.recent.contains(number) { return .unchanged }
    let object = value.object.isEmpty ? KVObject() : try KVObject(encoded: value.object)
    let version = object.clock[Self.actor]
    if let firstBase, version >= firstBase + UInt64(RegisterValue.recentLimit) { return .unknown }
    let isAbsent = object.isEmpty || object.isDeleted
    if content.isTombstone, isAbsent { return .unchanged }
    if let refusal = refusal(over: object, isAbsent: isAbsent) { return .refused(refusal) }
    guard version < VersionVector.counterLimit else {
      return .refused(.tooLarge("the register counts too many writes"))
    }
    let next = written(over: object, version: version + 1, at: now)
    guard next.count <= byteLimit else {
      return .refused(.tooLarge("an object of \(next.count) bytes, over \(byteLimit)"))
    }
    if firstBase == nil { firstBase = version }
    return .changed(RegisterValue(object: next, recent: value.recent + [number]))
  }

  private func refusal(over object: KVObject, isAbsent: Bool) -> RequestFailure? {
    if ifNoneMatch, !isAbsent { return .matchFound }
    if ifNotModified, isAbsent { return .notFound }
    if context.isEmpty {
      return isAbsent || content.isTombstone ? nil : (ifNotModified ? .modified : .failed)
    }
    if ifNoneMatch || context == object.clock { return nil }
    return ifNotModified ? .modified : .failed
  }

  private func written(over object: KVObject, version: UInt64, at now: Now) -> Bytes {
    var stamped = content
    let latest = object.siblings.map(\.content.lastModified.microseconds).max() ?? 0
    stamped.lastModified = max(
      now.wallClock, WallClock(microseconds: latest < UInt64.max ? latest + 1 : latest))
    stamped.vtag = VTag.make(Self.actor, version, number, stamped.lastModified)
    let dot = Dot(actor: Self.actor, counter: version)
    return KVObject(
      clock: VersionVector([dot]), siblings: [Sibling(dot: dot, content: stamped)]
    ).encoded().bytes
  }
}
