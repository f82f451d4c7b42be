import KVBase

/// Reads an SSTable through: its checksum, its blocks, the order of its keys, and whether index, filter
/// and properties agree with the entries.
final class TableVerifier {
  private let file: TableFile
  private let environment: TableEnvironment
  private let flushedSequence: SequenceNumber
  private let log: VerificationLog
  private var found = TableFormat.Properties()
  private var lastKey: Bytes?
  private var isComplete = true
  private var isOrdered = true
  private var unfiltered: (count: Int, first: Bytes)?

  init(
    _ file: TableFile, _ environment: TableEnvironment, flushed: SequenceNumber,
    log: VerificationLog
  ) {
    self.file = file
    self.environment = environment
    flushedSequence = flushed
    self.log = log
  }

  private var metadata: TableMetadata { file.metadata }
  private var path: String { file.path }

  func run() {
    log.report.tableCount += 1
    log.report.byteCount += metadata.byteCount
    let table: Table
    do throws(StorageError) {
      guard try environment.fileSystem.exists(path) else {
        throw StorageError(.missingFile, "an SSTable that the manifest names is missing")
      }
      table = try Table(
        path: path, number: metadata.number, fileSystem: environment.fileSystem,
        cache: environment.cache)
    } catch {
      report(error, file.smallestKey, file.largestKey)
      log.noteUnread(file.smallestKey, file.largestKey)
      return
    }
    do throws(StorageError) {
      try table.verify(byteCount: metadata.byteCount, checksum: metadata.checksum)
    } catch { report(error, file.smallestKey, file.largestKey) }
    do throws(StorageError) { try readEntries(table) } catch { report(error) }
    compareProperties(table)
  }

  // MARK: Entries

  private func readEntries(_ table: Table) throws(StorageError) {
    let cursor = TableCursor(table, readsAll: true)
    cursor.onDamage = { [unowned self] damage in
      isComplete = false
      report(damage.error, damage.lower, damage.upper)
      log.noteUnread(damage.lower, damage.upper)
    }
    try cursor.seek(RawBytes(start: nil, count: 0))
    while cursor.isValid {
      check(cursor.entry, cursor, table)
      try cursor.next()
    }
    if let unfiltered {
      report(
        malformed("index or filter lacks \(unfiltered.count) keys"), unfiltered.first,
        file.largestKey)
    }
  }

  private func check(_ entry: EntryView, _ cursor: TableCursor, _ table: Table) {
    let key = Bytes(entry.key)
    let place = cursor.blockFileOffset
    log.report.entryCount += 1
    if isOrdered, let lastKey, !lastKey.lexicographicallyPrecedes(key) {
      isOrdered = false
      report(malformed("keys do not ascend", place), lastKey, key)
    }
    if entry.kind == .reference, entry.pointer == nil {
      report(malformed("an entry does not refer to a value", place), key, key)
    }
    if entry.kind == .deleteRange {
      report(malformed("a range delete in a table", place), key, key)
    }
    if case .absent? = try? table.find(entry.key, hash: BloomFilter.hash(entry.key)) {
      unfiltered = ((unfiltered?.count ?? 0) + 1, unfiltered?.first ?? key)
    }
    note(entry, key)
    lastKey = key
  }

  private func note(_ entry: EntryView, _ key: Bytes) {
    if found.entryCount == 0 { found.smallestKey = key }
    found.entryCount += 1
    if entry.kind == .delete { found.tombstoneCount += 1 }
    found.smallestSequence = min(found.smallestSequence, entry.sequence)
    found.largestSequence = max(found.largestSequence, entry.sequence)
    found.largestKey = key
  }

  // MARK: Properties

  private func compareProperties(_ table: Table) {
    let stated = table.properties
    if stated != metadata.properties {
      report(malformed("the table is not the one the manifest names"))
    }
    if stated.largestSequence > flushedSequence.rawValue {
      report(
        malformed("it holds #\(stated.largestSequence), but only \(flushedSequence) is flushed"))
    }
    guard isComplete, isOrdered else { return }
    found.lastExpiry = stated.lastExpiry
    if found != stated {
      report(malformed("its properties do not agree with its entries"))
    }
  }

  private func malformed(_ message: String, _ offset: Int? = nil) -> StorageError {
    StorageError(.malformed, message, path: path, offset: offset)
  }

  private func report(_ error: StorageError, _ lower: Bytes? = nil, _ upper: Bytes? = nil) {
    log.add(error, path: path, lower: lower, upper: upper)
  }
}
