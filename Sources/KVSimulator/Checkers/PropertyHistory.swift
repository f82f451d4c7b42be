import KVModel

/// The changes of bucket properties that clients asked for.
struct PropertyHistory {
  /// One change.
  struct Change {
    /// The bucket.
    var bucket: BucketID
    /// What its properties were to be.
    var properties: BucketProperties
    /// The node that was asked.
    var node: Int
    /// When it was sent.
    var start: UInt64
    /// When it was acknowledged.
    var acknowledged: UInt64?
  }

  /// All changes, by number.
  private(set) var changes: [Change] = []

  /// A client asks for a change.
  mutating func begin(_ change: Change) -> Int {
    changes.append(change)
    return changes.count - 1
  }

  /// A change was acknowledged.
  mutating func acknowledge(_ number: Int, at time: UInt64) {
    changes[number].acknowledged = time
  }

  /// Holds what all members agree on against the changes: it must be one of them, and none that the
  /// same node replaced later.
  func checkFinal(
    _ properties: BucketProperties, of bucket: BucketID
  ) throws(SimulationFailure) {
    let candidates = changes.filter { $0.bucket == bucket }
    let isUntouched = properties == BucketProperties(untyped: bucket.isUntyped)
    if isUntouched, !candidates.contains(where: { $0.acknowledged != nil }) { return }
    let isExplained = candidates.contains { change in
      change.properties == properties
        && !candidates.contains { later in
          guard let end = change.acknowledged, later.acknowledged != nil else { return false }
          return later.node == change.node && later.start > end
        }
    }
    guard !isExplained else { return }
    throw SimulationFailure(
      checker: .properties,
      explanation: "bucket \(String(decoding: bucket.name, as: UTF8.self)) has n_val "
        + "\(properties.nVal), which no client set last through any node")
  }
}
