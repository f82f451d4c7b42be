import KVBase
import Synchronization

/// Merges the tables of a compaction into new tables of the next level.
///
/// Only the newest entry of each key goes on; a tombstone is dropped when no level below the output
/// can hold its key. Snapshots do not matter here: they keep the old tables.
final class CompactionJob {
  private let ledger: Ledger
  private let compaction: Compaction
  private let version: Version
  private let now: UInt64
  private var deeperIndexes = [Int](repeating: 0, count: Version.levelCount)

  init(_ ledger: Ledger, _ compaction: Compaction) {
    self.ledger = ledger
    self.compaction = compaction
    version = ledger.version
    now = ledger.fileSystem.secondsSinceEpoch
  }

  /// Merges and installs the result.
  ///
  /// `interrupt` is called now and then: it may flush a memtable in between, and ends the job without
  /// effect by returning false.
  func run(interrupt: () throws(StorageError) -> Bool) throws(StorageError) {
    ledger.counters.compactions.wrappingAdd(1, ordering: .relaxed)
    let tables: [TableMetadata]?
    switch compaction.kind {
    case .merge: tables = try merge(interrupt)
    case .move: tables = compaction.inputs.map(\.metadata)
    case .drop: tables = []
    }
    guard let tables else { return }
    var edit = VersionEdit()
    let level = compaction.level
    edit.removed += compaction.inputs.map { .init(level: level, number: $0.metadata.number) }
    edit.removed += compaction.overlapped.map {
      .init(level: compaction.outputLevel, number: $0.metadata.number)
    }
    edit.added = tables.map { .init(level: compaction.outputLevel, table: $0) }
    try ledger.apply(edit)
    if let last = compaction.inputs.last, level > 0 {
      ledger.compactionPointers[level] = last.largestKey
    }
  }

  private func merge(
    _ interrupt: () throws(StorageError) -> Bool
  ) throws(StorageError) -> [TableMetadata]? {
    let output = TableOutput(ledger)
    do throws(StorageError) {
      guard try mergeEntries(into: output, interrupt) else {
        output.discard()
        return nil
      }
      let tables = try output.finish()
      count(tables)
      return tables
    } catch {
      output.discard()
      throw error
    }
  }

  private func mergeEntries(
    into output: TableOutput, _ interrupt: () throws(StorageError) -> Bool
  ) throws(StorageError) -> Bool {
    let cursor = MergingCursor(try inputCursors())
    let bounds = RangeBounds(version.ranges)
    var lastKey = RawBuffer()
    var hasLast = false
    var seen = 0
    try cursor.seek(RawBytes(start: nil, count: 0))
    while cursor.isValid {
      seen &+= 1
      if seen & 1023 == 0, try !interrupt() { return false }
      let entry = cursor.entry
      if !hasLast || compareKeys(lastKey.bytes, entry.key) != 0 {
        lastKey.removeAll()
        lastKey.append(entry.key)
        hasLast = true
        if let entry = surviving(entry) {
          // A table on one side of a deleted range no longer says that it may hold keys within.
          if bounds.isCrossed(by: entry.key) { try output.finishTable() }
          let builder = try output.builder()
          try builder.append(entry)
          if builder.byteCount >= ledger.options.tableByteLimit { try output.finishTable() }
        }
      }
      try cursor.next()
    }
    return true
  }

  private func inputCursors() throws(StorageError) -> [Cursor] {
    var cursors: [Cursor] = []
    for file in compaction.inputs {
      cursors.append(TableCursor(try file.table(ledger.environment), readsAll: true))
    }
    if !compaction.overlapped.isEmpty {
      cursors.append(LevelCursor(compaction.overlapped, ledger.environment, readsAll: true))
    }
    return cursors
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
    for level in compaction.outputLevel + 1..<max(compaction.outputLevel + 1, Version.levelCount) {
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

  private func count(_ tables: [TableMetadata]) {
    let read = (compaction.inputs + compaction.overlapped).reduce(0) { $0 + $1.metadata.byteCount }
    let written = tables.reduce(0) { $0 + $1.byteCount }
    ledger.counters.compactionReadBytes.wrappingAdd(read, ordering: .relaxed)
    ledger.counters.compactionBytes.wrappingAdd(written, ordering: .relaxed)
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
