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
  private var deeperIndexes = [Int](repeating: 0, count: Version.levelCount)

  init(_ ledger: Ledger, _ compaction: Compaction) {
    self.ledger = ledger
    self.compaction = compaction
    version = ledger.version
  }

  /// Merges and installs the result.
  ///
  /// `interrupt` is called now and then: it may flush a memtable in between, and ends the job without
  /// effect by returning false.
  func run(interrupt: () throws(StorageError) -> Bool) throws(StorageError) {
    ledger.counters.compactions.wrappingAdd(1, ordering: .relaxed)
    let tables = compaction.isMove ? compaction.inputs.map(\.metadata) : try merge(interrupt)
    guard let tables else { return }
    var edit = VersionEdit()
    let level = compaction.level
    edit.removed += compaction.inputs.map { .init(level: level, number: $0.metadata.number) }
    edit.removed += compaction.overlapped.map {
      .init(level: level + 1, number: $0.metadata.number)
    }
    edit.added = tables.map { .init(level: level + 1, table: $0) }
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
        if entry.kind == .put || mayExistDeeper(entry.key) {
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
