import KVBase

/// A replica's whole knowledge of one key: the events it has seen and the contents still current.
///
/// The clock covers every event ever merged; a sibling is kept as long as no later write has seen
/// its dot. Merging is commutative, associative and idempotent, so replicas that have exchanged
/// their objects hold the same object.
///
/// **Invariants**: 1. siblings are sorted by dot, one each; 2. the clock contains every sibling's
/// dot.
///
/// **Source**: Preguiça et al., *Dotted Version Vectors* (2012); reference section 3.5.
public struct KVObject: Hashable, Sendable {
  /// Every event this object has seen.
  public private(set) var clock: VersionVector
  /// The current contents, sorted by dot.
  public private(set) var siblings: [Sibling]

  /// The object that has seen nothing.
  public init() {
    clock = VersionVector()
    siblings = []
  }

  /// An object from its parts, as decoded or built in a test; the clock grows to hold each dot.
  public init(clock: VersionVector, siblings: [Sibling]) {
    self.clock = clock
    self.siblings = siblings.sorted { $0.dot < $1.dot }
    for sibling in siblings { self.clock.include(sibling.dot) }
  }

  /// True when the object has seen no event.
  public var isEmpty: Bool { clock.isEmpty }

  /// True when every content is a tombstone, which clients see as not found.
  public var isDeleted: Bool { siblings.allSatisfy(\.content.isTombstone) }

  /// True when this object has seen every event of `other`.
  public func descends(_ other: KVObject) -> Bool { clock.descends(other.clock) }

  /// The union of what both have seen.
  ///
  /// A content survives when both hold it, or when the side that lacks it has never seen its dot.
  public func merging(_ other: KVObject) -> KVObject {
    var kept: [Sibling] = []
    for sibling in siblings
    where !other.clock.contains(sibling.dot)
      || other.siblings.contains(where: { $0.dot == sibling.dot })
    {
      kept.append(sibling)
    }
    for sibling in other.siblings where !clock.contains(sibling.dot) { kept.append(sibling) }
    return KVObject(clock: clock.merging(other.clock), siblings: kept)
  }

  /// Records a write that had seen `context`: contents it had seen go, concurrent ones stay.
  ///
  /// - Parameter floor: a count that the new event must exceed, because the actor may have counted
  ///   so far before it forgot the key.
  /// - Returns: the dot of the new event.
  @discardableResult
  public mutating func write(
    _ content: Content, context: VersionVector, by actor: VnodeID, above floor: UInt64 = 0
  ) -> Dot {
    let dot = Dot(actor: actor, counter: max(clock[actor], context[actor], floor) + 1)
    siblings.removeAll { context.contains($0.dot) }
    self = KVObject(
      clock: clock.merging(context), siblings: siblings + [Sibling(dot: dot, content: content)])
    return dot
  }

  /// Keeps only the newest content, for buckets without siblings: the latest by wall clock; on a tie
  /// a live value beats a tombstone and then the larger dot wins.
  public mutating func keepNewestSibling() {
    guard siblings.count > 1 else { return }
    let newest = siblings.max { a, b in
      (a.content.lastModified, a.content.isTombstone ? 0 : 1, a.dot)
        < (b.content.lastModified, b.content.isTombstone ? 0 : 1, b.dot)
    }
    siblings = newest.map { [$0] } ?? []
  }

  /// Drops contents for good: the clock still says that they have been seen.
  public mutating func forget(where isDead: (Content) -> Bool) {
    siblings.removeAll { isDead($0.content) }
  }

  /// The invariants of the type, checked in full; for tests and the simulator.
  public func checkInvariants() {
    for (a, b) in zip(siblings, siblings.dropFirst()) {
      precondition(a.dot < b.dot, "siblings \(a.dot) and \(b.dot) are out of order")
    }
    for sibling in siblings {
      precondition(clock.contains(sibling.dot), "the clock lacks \(sibling.dot)")
    }
  }
}
