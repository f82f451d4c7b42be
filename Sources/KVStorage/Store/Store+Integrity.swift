public import KVBase

/// Finding damage and getting over it.
extension Store {
  /// Reads files through and compares all checksums, a part at a time.
  ///
  /// Each call goes on where the last one stopped, and round again; it reads at least one file and then
  /// more until `byteLimit` bytes are read. The caller decides how often it is called, and so the rate.
  /// Safe beside all other calls; what it finds is reported, nothing is changed.
  public func scrub(byteLimit: Int = .max) throws(StorageError) -> ScrubReport {
    try engine.scrub(byteLimit: byteLimit)
  }

  /// The keys that damage named by an error of this store may concern: a block's or a whole table's
  /// range, or one key whose value is damaged; nil when the error is none of a live file.
  ///
  /// They are what must be fetched from elsewhere and written again.
  public func keyRange(of error: StorageError) -> KeyRange? { engine.keyRange(of: error) }

  /// The ranges of which entries are lost: a compaction came upon them and passed them over.
  ///
  /// Reads that would need them fail with `damagedRange`; newer entries of their keys are found.
  public func damagedRanges() throws(StorageError) -> [KeyRange] {
    try engine.requireOpen()
    return engine.readState.version.ranges.marks.filter { $0.kind == .damaged }
      .map { KeyRange(lower: $0.lower, upper: $0.upper) }
  }

  /// Has the background work rewrite the tables in which the range is damaged, without what cannot be
  /// read: that becomes one of the ``damagedRanges()`` and no scan beyond it fails any more.
  ///
  /// Returns at once; up to 64 ranges may wait, further ones are not taken.
  public func setDamageApart(in range: KeyRange) { engine.setDamageApart(in: range) }

  /// True while any range waits for that.
  public var isDamageWaiting: Bool { engine.isAnySuspect }

  /// True while the range waits for that.
  public func isDamageWaiting(in range: KeyRange) -> Bool {
    engine.isSuspect(range)
  }

  /// Says that everything the range should hold has been written again: what it held before the damage
  /// counts as deleted from now on, and reads no longer fail.
  ///
  /// What of a damaged range lies outside the one given stays damaged.
  public func resolveDamage(in range: KeyRange) throws(StorageError) {
    try engine.resolveDamage(in: range)
  }
}

/// The keys with `lower <= key < upper`.
public struct KeyRange: Hashable, Sendable {
  /// The first key.
  public var lower: Bytes
  /// The first key after the range.
  public var upper: Bytes

  /// The range between two keys.
  public init(lower: Bytes, upper: Bytes) {
    self.lower = lower
    self.upper = upper
  }

  /// The keys that are in both ranges; nil when there is none.
  public func intersection(_ other: KeyRange) -> KeyRange? {
    let lower = lower.lexicographicallyPrecedes(other.lower) ? other.lower : lower
    let upper = upper.lexicographicallyPrecedes(other.upper) ? upper : other.upper
    return lower.lexicographicallyPrecedes(upper) ? KeyRange(lower: lower, upper: upper) : nil
  }
}

/// What a part of a scrub found.
public struct ScrubReport: Hashable, Sendable {
  /// Files that were read through.
  public var fileCount = 0
  /// Bytes of them.
  public var byteCount = 0
  /// True when the call reached the last file, and the next one begins again.
  public var isAround = false
  /// What is damaged, each piece with its keys where they are known.
  public var damage: [StorageError] = []

  /// Nothing read.
  public init() {}
}
