public import KVBase

/// Goes through the entries of a range of a snapshot, forward and backward.
///
/// Its place is between two entries: ``next()`` returns the entry behind the place and moves past
/// it, ``previous()`` the one before it, so after `next()` a call of `previous()` returns the same
/// entry. ``advance()`` and ``retreat()`` move likewise and copy nothing; what they moved past is
/// read with ``withKey(_:)`` and ``withValue(_:)``.
///
/// It holds one block per table it reads. Not thread-safe; one owner uses it.
public final class StoreIterator {
  /// Where the iterator is, in terms of its cursor.
  private enum Place {
    /// Before the cursor's entry, or behind it.
    case before, behind
    /// Before or behind the whole range, wherever the cursor is.
    case start, end
  }

  private let cursor: MergingCursor
  private let pool: CursorPool
  private let resolver: EntryResolver
  private let lower: Bytes
  private let upper: Bytes?
  private let projection: Projection
  private var place = Place.start
  private var isOnEntry = false
  private var buffer = Bytes()
  private var fetchedCount = 0
  /// The key of the last seek, until the next move.
  private var soughtKey: Bytes?
  /// After an error the cursor's position means nothing until the next seek.
  private var failure: StorageError?

  init(
    _ cursor: MergingCursor, _ pool: CursorPool, _ resolver: EntryResolver, _ lower: Bytes,
    _ upper: Bytes?, _ projection: Projection
  ) {
    self.cursor = cursor
    self.pool = pool
    self.resolver = resolver
    self.lower = lower
    self.upper = upper
    self.projection = projection
  }

  deinit { pool.give(cursor) }

  // MARK: Seeking

  /// Goes to before the first entry whose key is not before `key`; never out of the range.
  public func seek(_ key: Bytes) throws(StorageError) {
    restart(at: .start)
    guard lower.lexicographicallyPrecedes(key) else { return }
    if isBeyondUpper(key) { return place = .end }
    soughtKey = key
    try attempt { () throws(StorageError) in
      try key.withRaw { (key) throws(StorageError) in try cursor.seek(key) }
      place = cursor.isValid ? .before : .end
    }
  }

  /// Goes to behind the last entry whose key is not after `key`; never out of the range.
  public func seek(notAfter key: Bytes) throws(StorageError) {
    restart(at: .end)
    if isBeyondUpper(key) { return }
    if key.lexicographicallyPrecedes(lower) { return place = .start }
    soughtKey = key.successor
    try attempt { () throws(StorageError) in
      try key.withRaw { (key) throws(StorageError) in try cursor.seek(notAfter: key) }
      place = cursor.isValid ? .behind : .start
    }
  }

  private func isBeyondUpper(_ key: Bytes) -> Bool {
    upper.map { !key.lexicographicallyPrecedes($0) } ?? false
  }

  /// Goes to before the first entry of the range.
  public func seekToFirst() { restart(at: .start) }

  /// Goes to behind the last entry of the range.
  public func seekToLast() { restart(at: .end) }

  private func restart(at place: Place) {
    self.place = place
    isOnEntry = false
    failure = nil
    soughtKey = nil
  }

  private func attempt<Result>(
    _ body: () throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    if let failure { throw failure }
    isOnEntry = false
    do throws(StorageError) { return try body() } catch {
      failure = error
      throw error
    }
  }

  // MARK: Moving

  /// The entry behind the place; nil at the end of the range.
  public func next() throws(StorageError) -> Entry? { try advance() ? copy() : nil }

  /// The entry before the place; nil at the beginning of the range.
  public func previous() throws(StorageError) -> Entry? { try retreat() ? copy() : nil }

  /// Moves past the next entry; false at the end of the range.
  ///
  /// After an error, every move throws it again until a seek.
  public func advance() throws(StorageError) -> Bool {
    try attempt { () throws(StorageError) in
      let from = resolver.hasDamage ? boundary() : nil
      switch place {
      case .before: break
      case .behind: try cursor.next()
      case .start: try lower.withRaw { (lower) throws(StorageError) in try cursor.seek(lower) }
      case .end: return false
      }
      while cursor.isValid, !isAtUpper {
        isOnEntry = try resolver.isLive(cursor.entry)
        if isOnEntry { break }
        try cursor.next()
      }
      place = isOnEntry ? .behind : .end
      if let from {
        try resolver.requireUndamaged(from, isOnEntry ? Bytes(cursor.entry.key) : upper)
      }
      return isOnEntry
    }
  }

  /// Moves back past the entry before; false at the beginning of the range.
  public func retreat() throws(StorageError) -> Bool {
    try attempt { () throws(StorageError) in
      let to = resolver.hasDamage ? boundary() : nil
      switch place {
      case .before: try cursor.previous()
      case .behind: break
      case .start: return false
      case .end: try goToEnd()
      }
      while cursor.isValid, lower.withRaw({ compareKeys(cursor.entry.key, $0) }) >= 0 {
        isOnEntry = try resolver.isLive(cursor.entry)
        if isOnEntry { break }
        try cursor.previous()
      }
      place = isOnEntry ? .before : .start
      if resolver.hasDamage {
        try resolver.requireUndamaged(
          isOnEntry ? Bytes(cursor.entry.key).successor : lower, to)
      }
      return isOnEntry
    }
  }

  // MARK: Damage

  /// Where the next move begins: no key before it can be passed over; nil for behind all keys.
  private func boundary() -> Bytes? {
    defer { soughtKey = nil }
    if let soughtKey { return soughtKey }
    switch place {
    case .before: return Bytes(cursor.entry.key)
    case .behind: return Bytes(cursor.entry.key).successor
    case .start: return lower
    case .end: return upper
    }
  }

  private var isAtUpper: Bool {
    guard let upper else { return false }
    return upper.withRaw { compareKeys(cursor.entry.key, $0) } >= 0
  }

  private func goToEnd() throws(StorageError) {
    guard let upper else { return try cursor.seekToLast() }
    try upper.withRaw { (upper) throws(StorageError) in try cursor.seek(before: upper) }
  }

  // MARK: The entry moved past

  /// Calls `body` with the key of the entry that the last move went past.
  /// - Precondition: the last call to move returned true.
  public func withKey<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(isOnEntry, "the iterator has not moved past an entry")
    let key = cursor.entry.key
    return try body(RawSpan(_unsafeBytes: key))
  }

  /// Calls `body` with the value, or the part that the projection asks for, of the entry that the
  /// last move went past.
  /// - Precondition: the last call to move returned true.
  public func withValue<Result>(
    _ body: (RawSpan) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    precondition(isOnEntry, "the iterator has not moved past an entry")
    return try resolver.withValue(cursor.entry, projection, &buffer, fills: isShort(), body)
  }

  /// True for the first values fetched: a long scan must not fill the cache with what it passes.
  private func isShort() -> Bool {
    fetchedCount &+= 1
    return fetchedCount <= EntryResolver.valuesCachedByScan
  }

  /// How many of the value's first bytes are its head.
  /// - Precondition: the last call to move returned true.
  public var headByteCount: Int {
    precondition(isOnEntry, "the iterator has not moved past an entry")
    return cursor.entry.headByteCount
  }

  private func copy() throws(StorageError) -> Entry {
    var value = Bytes()
    try resolver.copy(cursor.entry, projection, into: &value, fills: isShort())
    return Entry(
      key: Bytes(cursor.entry.key), value: value, headByteCount: cursor.entry.headByteCount)
  }
}
