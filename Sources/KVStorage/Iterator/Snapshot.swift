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

  /// An iterator over the entries with `lower <= key < upper`, ascending.
  public func iterator(
    from lower: Bytes = [], to upper: Bytes? = nil, _ projection: Projection = .values
  ) throws(StorageError) -> StoreIterator {
    let cursor = try engine.cursor(state, at: sequence.rawValue)
    let resolver = EntryResolver(engine, state, at: sequence.rawValue)
    return try StoreIterator(cursor, resolver, lower, upper, projection)
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

  /// Calls `body` for each entry with `lower <= key < upper`, ascending, until it returns false.
  public func forEach(
    from lower: Bytes = [], to upper: Bytes? = nil, _ projection: Projection = .values,
    _ body: (Entry) throws(StorageError) -> Bool
  ) throws(StorageError) {
    let iterator = try iterator(from: lower, to: upper, projection)
    while let entry = try iterator.next() {
      guard try body(entry) else { return }
    }
  }
}

/// Goes forward through the entries of a snapshot.
///
/// It holds one block per table it reads.
///
/// Not thread-safe; one owner uses it.
public final class StoreIterator {
  private let cursor: Cursor
  private let resolver: EntryResolver
  private let upper: Bytes?
  private let projection: Projection
  private var lastKey = RawBuffer()
  private var hasLast = false
  private var isStarted = false

  init(
    _ cursor: Cursor, _ resolver: EntryResolver, _ lower: Bytes, _ upper: Bytes?,
    _ projection: Projection
  ) throws(StorageError) {
    self.cursor = cursor
    self.resolver = resolver
    self.upper = upper
    self.projection = projection
    try seek(lower)
  }

  /// Goes to the first entry whose key is not before `key`, back or forth.
  public func seek(_ key: Bytes) throws(StorageError) {
    hasLast = false
    isStarted = false
    try key.withRaw { (key) throws(StorageError) in try cursor.seek(key) }
  }

  /// The next entry; nil at the end of the range.
  public func next() throws(StorageError) -> Entry? {
    guard try advance() else { return nil }
    let entry = cursor.entry
    var value = Bytes()
    guard try resolver.read(entry, projection, into: &value) else {
      throw EntryResolver.unknownSegment(resolver.root)
    }
    return Entry(key: Bytes(entry.key), value: value, headByteCount: entry.headByteCount)
  }

  /// Moves to the next live entry; false at the end of the range.
  func advance() throws(StorageError) -> Bool {
    if isStarted, cursor.isValid { try cursor.next() }
    isStarted = true
    while cursor.isValid {
      let entry = cursor.entry
      if let upper, upper.withRaw({ compareKeys(entry.key, $0) }) >= 0 {
        isStarted = false
        return false
      }
      // The newest entry of a key decides; the older ones that follow it are passed over.
      if !hasLast || compareKeys(lastKey.bytes, entry.key) != 0 {
        lastKey.removeAll()
        lastKey.append(entry.key)
        hasLast = true
        if try resolver.isLive(entry) { return true }
      }
      try cursor.next()
    }
    return false
  }
}
