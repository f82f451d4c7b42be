public import KVBase
import Synchronization

/// A key and the part of its value that was asked for.
public struct Entry: Hashable, Sendable {
  /// The key.
  public var key: Bytes
  /// The value, its head, or nothing, by the projection.
  public var value: Bytes
  /// How many of the value's first bytes are its head.
  public var headByteCount: Int

  /// An entry of these parts.
  public init(key: Bytes, value: Bytes, headByteCount: Int) {
    self.key = key
    self.value = value
    self.headByteCount = headByteCount
  }
}

/// The store as it was at one moment.
///
/// It refers to memtables and tables instead of copying them; while it lives their memory and disk
/// space stay in use, also beyond the store's ``Store/close()``.
///
/// **Concurrency**: immutable; any thread may read.
public final class Snapshot: Sendable {
  private let engine: Engine
  private let state: ReadState

  /// The last write it contains.
  public let sequence: SequenceNumber

  init(_ engine: Engine) throws(StorageError) {
    try engine.requireOpen()
    self.engine = engine
    // Only a state that is still current after the sequence was read knows all segments that the
    // entries up to it refer to.
    var state = engine.readState
    var sequence = engine.visible.load(ordering: .acquiring)
    while true {
      let now = engine.readState
      if now === state { break }
      state = now
      sequence = engine.visible.load(ordering: .acquiring)
    }
    self.state = state
    self.sequence = SequenceNumber(sequence)
  }

  /// The value of a key; nil when it had none.
  public func get(_ key: Bytes) throws(StorageError) -> Bytes? { try find(key, .values) }

  /// The head of a key's value; nil when it had none.
  public func head(_ key: Bytes) throws(StorageError) -> Bytes? { try find(key, .heads) }

  private func find(_ key: Bytes, _ projection: Projection) throws(StorageError) -> Bytes? {
    var value = Bytes()
    switch try engine.find(key, projection, state, at: sequence.rawValue, into: &value) {
    case .found: return value
    case .absent: return nil
    case .unknownSegment: throw EntryResolver.unknownSegment(engine.root)
    }
  }

  /// An iterator over the entries with `lower <= key < upper`, before the first of them.
  public func iterator(
    from lower: Bytes = [], to upper: Bytes? = nil, _ projection: Projection = .values
  ) throws(StorageError) -> StoreIterator {
    StoreIterator(
      try engine.cursor(state, at: sequence.rawValue), state.cursors,
      EntryResolver(engine, state, at: sequence.rawValue), lower, upper, projection)
  }

  /// An iterator over the entries whose key begins with `prefix`, before the first of them.
  public func iterator(
    prefix: Bytes, _ projection: Projection = .values
  ) throws(StorageError) -> StoreIterator {
    try iterator(from: prefix, to: prefix.upperBound, projection)
  }

  /// The entries with `lower <= key < upper`, ascending, at most `limit` of them.
  public func scan(
    from lower: Bytes = [], to upper: Bytes? = nil, limit: Int = .max,
    _ projection: Projection = .values
  ) throws(StorageError) -> [Entry] {
    var entries: [Entry] = []
    guard limit > 0 else { return entries }
    try forEach(from: lower, to: upper, projection) { (entry) throws(StorageError) in
      entries.append(entry)
      return entries.count < limit
    }
    return entries
  }

  /// The entries whose key begins with `prefix`, ascending, at most `limit` of them.
  public func scan(
    prefix: Bytes, limit: Int = .max, _ projection: Projection = .values
  ) throws(StorageError) -> [Entry] {
    try scan(from: prefix, to: prefix.upperBound, limit: limit, projection)
  }

  /// Calls `body` for each entry with `lower <= key < upper`, ascending, until it returns false.
  ///
  /// Allocates nothing per entry unless `body` keeps it.
  public func forEach(
    from lower: Bytes = [], to upper: Bytes? = nil, _ projection: Projection = .values,
    _ body: (Entry) throws(StorageError) -> Bool
  ) throws(StorageError) {
    var entry = Entry(key: [], value: [], headByteCount: 0)
    var visited = 0
    try visit(from: lower, to: upper) { (found, resolver) throws(StorageError) in
      visited &+= 1
      entry.key.replace(with: found.key)
      try resolver.copy(
        found, projection, into: &entry.value,
        fills: visited <= EntryResolver.valuesCachedByScan)
      entry.headByteCount = found.headByteCount
      return try body(entry)
    }
  }

  /// Calls `body` with key and value, where they lie in memory, for each entry with
  /// `lower <= key < upper`, ascending, until it returns false.
  public func forEachSpan(
    from lower: Bytes = [], to upper: Bytes? = nil, _ projection: Projection = .values,
    _ body: (_ key: RawSpan, _ value: RawSpan) throws(StorageError) -> Bool
  ) throws(StorageError) {
    var buffer = Bytes()
    var visited = 0
    try visit(from: lower, to: upper) { (found, resolver) throws(StorageError) in
      visited &+= 1
      let fills = visited <= EntryResolver.valuesCachedByScan
      return try resolver.withValue(found, projection, &buffer, fills: fills) {
        (value) throws(StorageError) in
        try body(RawSpan(_unsafeBytes: found.key), value)
      }
    }
  }

  /// Calls `body` for each live entry of a range, ascending, until it returns false.
  @inline(__always)
  private func visit(
    from lower: Bytes, to upper: Bytes?,
    _ body: (EntryView, EntryResolver) throws(StorageError) -> Bool
  ) throws(StorageError) {
    let cursor = try engine.cursor(state, at: sequence.rawValue)
    defer { state.cursors.give(cursor) }
    let resolver = EntryResolver(engine, state, at: sequence.rawValue)
    try lower.withRaw { (lower) throws(StorageError) in try cursor.seek(lower) }
    // Where the gap before the next entry begins, if gaps may hide what is damaged.
    var gap = resolver.hasDamage ? lower : nil
    while cursor.isValid {
      let entry = cursor.entry
      if let upper, upper.withRaw({ compareKeys(entry.key, $0) }) >= 0 { break }
      if try resolver.isLive(entry) {
        if let start = gap {
          let key = Bytes(entry.key)
          try resolver.requireUndamaged(start, key)
          gap = key.successor
        }
        guard try body(entry, resolver) else { return }
      }
      try cursor.next()
    }
    if let gap { try resolver.requireUndamaged(gap, upper) }
  }
}
