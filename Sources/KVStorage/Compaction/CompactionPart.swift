import KVBase

/// The merge of one key range of a compaction.
///
/// Only the newest entry of each key goes on; a tombstone is dropped when no level below the output
/// can hold its key.
///
/// **Concurrency**: one thread runs it, then the compaction's thread reads ``output``.
final class CompactionPart: @unchecked Sendable {
  // Handed from thread to thread, as said above, by starting and joining.
  let output: TableOutput
  /// What could not be read: it is passed over, and recorded with the result.
  private(set) var damaged: [BlockDamage] = []
  private let ledger: Ledger
  private let compaction: Compaction
  private let version: Version
  private let lower: Bytes
  private let upper: Bytes?
  private let now: UInt64
  private var deeperIndexes = [Int](repeating: 0, count: Version.levelCount)

  /// Takes the keys with `lower <= key < upper`.
  init(
    _ ledger: Ledger, _ compaction: Compaction, from lower: Bytes, to upper: Bytes?, now: UInt64
  ) {
    output = TableOutput(ledger)
    self.ledger = ledger
    self.compaction = compaction
    version = ledger.version
    self.lower = lower
    self.upper = upper
    self.now = now
  }

  /// Writes the part's tables; false when `interrupt`, called now and then, said to stop.
  func run(_ interrupt: () throws(StorageError) -> Bool) throws(StorageError) -> Bool {
    let cursor = MergingCursor(inputCursors())
    let bounds = RangeBounds(version.ranges)
    var seen = 0
    try lower.withRaw { (key) throws(StorageError) in try cursor.seek(key) }
    while cursor.isValid, !isBeyondEnd(cursor.entry.key) {
      seen &+= 1
      if seen & 1023 == 0, try !interrupt() { return false }
      // The cursor gives the newest entry of each key only.
      if let entry = surviving(cursor.entry) { try write(entry, bounds) }
      try cursor.next()
    }
    try output.finishTable()
    return true
  }

  private func write(_ entry: EntryView, _ bounds: RangeBounds) throws(StorageError) {
    // A table on one side of a deleted range no longer says that it may hold keys within.
    if bounds.isCrossed(by: entry.key) { try output.finishTable() }
    let builder = try output.builder()
    try builder.append(entry)
    if builder.byteCount >= ledger.options.tableByteLimit { try output.finishTable() }
  }

  @inline(__always)
  private func isBeyondEnd(_ key: RawBytes) -> Bool {
    upper.map { $0.withRaw { compareKeys($0, key) } <= 0 } ?? false
  }

  private func inputCursors() -> [Cursor] {
    let runs = compaction.inputs.map { [$0] } + [compaction.overlapped]
    return runs.filter { !$0.isEmpty }.map { files in
      let cursor = LevelCursor(files, ledger.environment, readsAll: true)
      cursor.onDamage = { [unowned self] in damaged.append($0) }
      return cursor
    }
  }

  /// What goes on of the newest entry of a key: an entry that counts as deleted goes on, as a
  /// tombstone, only while an older one may lie deeper.
  private func surviving(_ entry: EntryView) -> EntryView? {
    if !version.ranges.isEmpty,
      version.ranges.sequences(entry.key).deleted > entry.sequence
    {
      // Whatever lies deeper is older and counts as deleted too.
      return nil
    }
    if entry.kind != .delete, !entry.isExpired(at: now) { return entry }
    guard mayExistDeeper(entry.key) else { return nil }
    return EntryView(
      key: entry.key, value: RawBytes(start: nil, count: 0), headByteCount: 0,
      sequence: entry.sequence, kind: .delete)
  }

  /// True when a level below the output may hold the key.
  ///
  /// Keys are asked for in ascending order.
  private func mayExistDeeper(_ key: RawBytes) -> Bool {
    let first = compaction.outputLevel + 1
    for level in first..<max(first, Version.levelCount) {
      let tables = version.levels[level]
      while deeperIndexes[level] < tables.count, tables[deeperIndexes[level]].isBefore(key) {
        deeperIndexes[level] += 1
      }
      if deeperIndexes[level] < tables.count, tables[deeperIndexes[level]].contains(key) {
        return true
      }
    }
    return false
  }
}

/// The ends of deleted ranges, to be crossed in ascending order.
private final class RangeBounds {
  private var bounds: [Bytes]

  init(_ ranges: RangeMarks) {
    bounds = Set(ranges.marks.filter { $0.kind == .deleted }.flatMap { [$0.lower, $0.upper] })
      .sorted { $1.lexicographicallyPrecedes($0) }
  }

  /// True when the key is the first one not before some end.
  func isCrossed(by key: RawBytes) -> Bool {
    var isCrossed = false
    while let next = bounds.last, next.withRaw({ compareKeys($0, key) }) <= 0 {
      bounds.removeLast()
      isCrossed = true
    }
    return isCrossed
  }
}
