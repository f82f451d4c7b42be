import KVBase

/// Where reads look: replaced as a whole when a memtable is sealed or flushed, or files change.
final class ReadState: Sendable {
  let active: Memtable
  /// Sealed memtables, newest first.
  let immutables: [SealedMemtable]
  let version: Version
  /// The segments in which the values of all of these are.
  let segments: SegmentSet
  /// How many memtables have been flushed: while it stays the same, everything newer than this state
  /// is in memtables.
  let flushCount: Int
  let cursors = CursorPool()

  init(
    active: Memtable, immutables: [SealedMemtable], version: Version, segments: SegmentSet,
    flushCount: Int
  ) {
    self.active = active
    self.immutables = immutables
    self.version = version
    self.segments = segments
    self.flushCount = flushCount
  }

  /// This state with some parts replaced.
  func replacing(
    active: Memtable? = nil, immutables: [SealedMemtable]? = nil, version: Version? = nil,
    segments: SegmentSet? = nil, flushCount: Int? = nil
  ) -> ReadState {
    ReadState(
      active: active ?? self.active, immutables: immutables ?? self.immutables,
      version: version ?? self.version, segments: segments ?? self.segments,
      flushCount: flushCount ?? self.flushCount)
  }

  /// The newest entry of the key in memory whose sequence number is at most `sequence`.
  ///
  /// Its memory is only safe while the state lives.
  @inline(__always)
  func findInMemtables(_ key: RawBytes, at sequence: UInt64) -> EntryView? {
    if let entry = active.find(key, at: sequence) { return entry }
    for sealed in immutables {
      if let entry = sealed.memtable.find(key, at: sequence) { return entry }
    }
    return nil
  }

  /// True when nothing is said of any range.
  @inline(__always)
  var hasNoRanges: Bool {
    version.ranges.isEmpty && active.ranges.count == 0
      && immutables.allSatisfy { $0.memtable.ranges.count == 0 }
  }

  /// The newest operation, not after `sequence`, that deleted a range with the key; 0 for none.
  func deletedSequence(_ key: RawBytes, at sequence: UInt64) -> UInt64 {
    if hasNoRanges { return 0 }
    var newest = version.ranges.sequences(key).deleted
    newest = max(newest, active.ranges.deletedSequence(key, at: sequence))
    for sealed in immutables {
      newest = max(newest, sealed.memtable.ranges.deletedSequence(key, at: sequence))
    }
    return newest
  }
}

/// A memtable that gets no more entries, and the journal segments that hold the same.
struct SealedMemtable: Sendable {
  var memtable: Memtable
  var segments: [Segment]
  var lastSequence: SequenceNumber

  var lastSegment: FileNumber { segments.last?.number ?? FileNumber(0) }
}
