import KVBase

/// Decides what an entry found by a cursor means to a reader, and fetches its value.
struct EntryResolver {
  private let engine: Engine
  private let state: ReadState
  let sequence: UInt64
  private let hasNoRanges: Bool
  /// True when a range of keys is damaged, so that gaps between entries must be checked.
  let hasDamage: Bool

  @inline(__always)
  init(_ engine: Engine, _ state: ReadState, at sequence: UInt64) {
    self.engine = engine
    self.state = state
    self.sequence = sequence
    hasNoRanges = state.hasNoRanges
    hasDamage = state.version.ranges.hasDamage
  }

  /// False for a key whose newest entry, this one, says that it has no value.
  ///
  /// Throws `damagedRange` when a newer entry of the key may have been lost.
  @inline(__always)
  func isLive(_ entry: EntryView) throws(StorageError) -> Bool {
    if !hasNoRanges, try !isLiveInRanges(entry) { return false }
    if entry.kind == .delete { return false }
    return entry.expiry == 0 || entry.expiry > engine.fileSystem.secondsSinceEpoch
  }

  private func isLiveInRanges(_ entry: EntryView) throws(StorageError) -> Bool {
    let damaged = state.version.ranges.sequences(entry.key).damaged
    let deleted = state.deletedSequence(entry.key, at: sequence)
    if damaged >= entry.sequence, damaged > deleted { throw damage(at: entry.key) }
    return deleted < entry.sequence
  }

  /// Throws `damagedRange` when an entry of a key of which none was found may have been lost.
  @inline(__always)
  func requireKnown(_ key: RawBytes) throws(StorageError) {
    guard !state.version.ranges.isEmpty else { return }
    let damaged = state.version.ranges.sequences(key).damaged
    if damaged > state.deletedSequence(key, at: sequence) { throw damage(at: key) }
  }

  /// Throws `damagedRange` when entries with `lower <= key < upper`, or with any key from `lower`
  /// on, may have been lost.
  func requireUndamaged(_ lower: Bytes, _ upper: Bytes?) throws(StorageError) {
    if let mark = state.version.ranges.firstDamage(from: lower, to: upper) { throw damage(mark) }
  }

  var root: String { engine.root }

  /// A snapshot knows all segments that its entries refer to.
  static func unknownSegment(_ root: String) -> StorageError {
    StorageError(.missingFile, "an entry refers to a segment that does not exist", path: root)
  }

  private func damage(at key: RawBytes) -> StorageError {
    let mark = state.version.ranges.marks.first { $0.kind == .damaged && $0.contains(key) }
    return damage(mark)
  }

  private func damage(_ mark: RangeMark?) -> StorageError {
    var error = StorageError(
      .damagedRange, "entries of a range of keys are lost; see Store.damagedRanges()",
      path: engine.root)
    error.lowerKey = mark?.lower
    error.upperKey = mark?.upper
    return error
  }

  /// Replaces the buffer's contents by the part of the entry's value that the projection asks for;
  /// false when the value is in a segment that the state does not know.
  @inline(__always)
  func read(
    _ entry: EntryView, _ projection: Projection, into buffer: inout Bytes, fills: Bool
  ) throws(StorageError) -> Bool {
    if let inline = inlineValue(entry, projection) {
      buffer.replace(with: inline)
      return true
    }
    let pointer = try pointer(of: entry)
    if let block = try block(pointer, entry, fills: fills) {
      buffer.replace(with: block.value)
      return true
    }
    buffer.removeAll(keepingCapacity: true)
    return try engine.read(pointer, head: entry.headByteCount, state, into: &buffer)
  }

  private func pointer(of entry: EntryView) throws(StorageError) -> ValuePointer {
    if let pointer = entry.pointer { return pointer }
    throw StorageError(.malformed, "an entry does not refer to a value", path: engine.root)
  }

  /// How many values one scan may add to the cache.
  static let valuesCachedByScan = 32

  /// The value as the cache holds it, or will if `fills`; nil when it is to be read past the cache.
  private func block(
    _ pointer: ValuePointer, _ entry: EntryView, fills: Bool
  ) throws(StorageError) -> Block? {
    guard engine.environment.cache.hasRoom(for: pointer.valueByteCount) else { return nil }
    if let cached = engine.cachedValue(pointer) { return cached }
    return fills ? try engine.loadValue(pointer, head: entry.headByteCount, state) : nil
  }

  /// What the projection asks for where it lies in the entry; nil when the journal has it.
  @inline(__always)
  private func inlineValue(_ entry: EntryView, _ projection: Projection) -> RawBytes? {
    switch projection {
    case .keys: RawBytes(start: nil, count: 0)
    case .heads: entry.value.slice(0, entry.headByteCount)
    case .values: entry.kind == .reference ? nil : entry.value
    }
  }

  /// Replaces the buffer's contents like ``read(_:_:into:fills:)``, for a snapshot.
  @inline(__always)
  func copy(
    _ entry: EntryView, _ projection: Projection, into buffer: inout Bytes, fills: Bool
  ) throws(StorageError) {
    guard try read(entry, projection, into: &buffer, fills: fills) else {
      throw EntryResolver.unknownSegment(engine.root)
    }
  }

  /// Calls `body` with what the projection asks for, copied to the buffer only if neither the entry nor
  /// the cache holds it; for a snapshot.
  @inline(__always)
  func withValue<Result>(
    _ entry: EntryView, _ projection: Projection, _ buffer: inout Bytes, fills: Bool,
    _ body: (RawSpan) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    var result: Result?
    _ = try withValueIfKnown(entry, projection, &buffer, fills: fills) {
      (value) throws(StorageError) in result = try body(value)
    }
    guard let result else { throw EntryResolver.unknownSegment(engine.root) }
    return result
  }

  /// Calls `body` like ``withValue(_:_:_:fills:_:)``; false, and no call, when the value is in a segment
  /// that the state does not know.
  @inline(__always)
  func withValueIfKnown(
    _ entry: EntryView, _ projection: Projection, _ buffer: inout Bytes, fills: Bool,
    _ body: (RawSpan) throws(StorageError) -> Void
  ) throws(StorageError) -> Bool {
    if let inline = inlineValue(entry, projection) {
      try body(RawSpan(_unsafeBytes: inline))
      return true
    }
    let pointer = try pointer(of: entry)
    if let block = try block(pointer, entry, fills: fills) {
      defer { withExtendedLifetime(block) {} }
      try body(RawSpan(_unsafeBytes: block.value))
      return true
    }
    buffer.removeAll(keepingCapacity: true)
    guard try engine.read(pointer, head: entry.headByteCount, state, into: &buffer) else {
      return false
    }
    try buffer.withRaw { (value) throws(StorageError) in
      try body(RawSpan(_unsafeBytes: value))
    }
    return true
  }
}
