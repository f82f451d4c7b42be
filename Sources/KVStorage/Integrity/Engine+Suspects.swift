import KVBase
import Synchronization

/// Rewriting tables that are known to be damaged, before their turn.
extension Engine {
  private static let suspectLimit = 64

  func setDamageApart(in range: KeyRange) {
    suspectRanges.withLock { ranges in
      if ranges.count < Self.suspectLimit, !ranges.contains(range) { ranges.append(range) }
    }
    writeLock.withLock {
      writer.isWorkRequested = true
      writeLock.broadcast(.work)
    }
  }

  var isAnySuspect: Bool { suspectRanges.withLock { !$0.isEmpty } }

  func isSuspect(_ range: KeyRange) -> Bool { suspectRanges.withLock { $0.contains(range) } }

  /// Merges a damaged table of the first suspect range into the next level; false when none is left.
  ///
  /// The caller has the background lock.
  func rewriteSuspect() throws(StorageError) -> Bool {
    while let range = suspectRanges.withLock({ $0.first }) {
      if let compaction = damagedTable(in: range) {
        try CompactionJob(ledger, compaction).run { () throws(StorageError) in true }
        install()
        return true
      }
      suspectRanges.withLock { ranges in ranges.removeAll { $0 == range } }
    }
    return false
  }

  private func damagedTable(in range: KeyRange) -> Compaction? {
    let version = ledger.version
    for (level, tables) in version.levels.enumerated() {
      for table in tables
      where table.smallestKey.lexicographicallyPrecedes(range.upper)
        && !table.largestKey.lexicographicallyPrecedes(range.lower) && isDamaged(table)
      {
        // Of level 0 all tables move, so that no older entry overtakes a newer one.
        let inputs = level == 0 ? tables : [table]
        guard level + 1 < version.levels.count else {
          return Compaction(level: level, inputs: inputs, overlapped: [], outputLevel: level)
        }
        let smallest = inputs.map(\.smallestKey).min { $0.lexicographicallyPrecedes($1) } ?? []
        let largest = inputs.map(\.largestKey).max { $0.lexicographicallyPrecedes($1) } ?? []
        return Compaction(
          level: level, inputs: inputs,
          overlapped: version.levels[level + 1].filter { $0.overlaps(smallest, largest) },
          outputLevel: level + 1)
      }
    }
    return nil
  }

  private func isDamaged(_ file: TableFile) -> Bool {
    do throws(StorageError) {
      try file.table(environment).verify(
        byteCount: file.metadata.byteCount, checksum: file.metadata.checksum)
      return false
    } catch {
      return error.isCorruption
    }
  }
}
