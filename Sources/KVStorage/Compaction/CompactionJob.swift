import KVBase
import Synchronization

/// Merges the tables of a compaction into new tables of the output level.
///
/// A large one is cut into key ranges that are merged side by side. Snapshots do not matter here: they
/// keep the old tables.
final class CompactionJob {
  private let ledger: Ledger
  private let compaction: Compaction

  init(_ ledger: Ledger, _ compaction: Compaction) {
    self.ledger = ledger
    self.compaction = compaction
  }

  /// Merges and installs the result.
  ///
  /// `interrupt` is called now and then: it may flush a memtable in between, and ends the job without
  /// effect by returning false.
  func run(interrupt: () throws(StorageError) -> Bool) throws(StorageError) {
    ledger.counters.compactions.wrappingAdd(1, ordering: .relaxed)
    var edit = VersionEdit()
    switch compaction.kind {
    case .merge:
      guard let result = try merge(interrupt) else { return }
      edit.added = result.tables.map { .init(level: compaction.outputLevel, table: $0) }
      edit.addedRanges = result.damaged.map {
        RangeMark(
          damaged: $0.lower, $0.upper, sequence: $0.sequence, number: ledger.fileNumbers.take())
      }
    case .move:
      edit.added = compaction.inputs.map {
        .init(level: compaction.outputLevel, table: $0.metadata)
      }
    case .drop: break
    }
    let level = compaction.level
    edit.removed += compaction.inputs.map { .init(level: level, number: $0.metadata.number) }
    edit.removed += compaction.overlapped.map {
      .init(level: level + 1, number: $0.metadata.number)
    }
    try ledger.apply(edit)
    if let last = compaction.inputs.last, level > 0 {
      ledger.compactionPointers[level] = last.largestKey
    }
  }

  /// The tables of all parts, in key order, and what could not be read; nil when the job was
  /// interrupted.
  private func merge(
    _ interrupt: () throws(StorageError) -> Bool
  ) throws(StorageError) -> (tables: [TableMetadata], damaged: [BlockDamage])? {
    let now = ledger.fileSystem.secondsSinceEpoch
    let bounds = splitKeys()
    let parts = (0...bounds.count).map { index in
      CompactionPart(
        ledger, compaction, from: index == 0 ? [] : bounds[index - 1],
        to: index < bounds.count ? bounds[index] : nil, now: now)
    }
    do throws(StorageError) {
      guard try run(parts, interrupt) else {
        for part in parts { part.output.discard() }
        return nil
      }
      let tables = parts.flatMap(\.output.tables)
      if !tables.isEmpty { try ledger.fileSystem.syncDirectory(ledger.directory) }
      count(tables)
      return (tables, parts.flatMap(\.damaged))
    } catch {
      for part in parts { part.output.discard() }
      throw error
    }
  }

  /// Runs the first part on this thread, which alone may flush, and the others on threads of their
  /// own, or one after the other where the store has no threads.
  private func run(
    _ parts: [CompactionPart], _ interrupt: () throws(StorageError) -> Bool
  ) throws(StorageError) -> Bool {
    guard ledger.options.background == .thread, parts.count > 1 else {
      for part in parts { guard try part.run(interrupt) else { return false } }
      return true
    }
    let control = PartControl()
    var threads: [PosixThread] = []
    var isComplete = false
    do throws(StorageError) {
      for part in parts.dropFirst() { threads.append(try PosixThread { control.run(part) }) }
      isComplete = try parts[0].run { () throws(StorageError) in
        if control.isStopped { return false }
        return try interrupt()
      }
    } catch { control.stop(with: error) }
    if !isComplete { control.stop(with: nil) }
    for thread in threads { thread.join() }
    if let failure = control.failure { throw failure }
    return isComplete
  }

  /// Keys at which the compaction is cut: first keys of its tables that leave about as many bytes to
  /// each part, and at least two tables' worth.
  private func splitKeys() -> [Bytes] {
    let files = (compaction.inputs + compaction.overlapped)
      .sorted { $0.smallestKey.lexicographicallyPrecedes($1.smallestKey) }
    let total = files.reduce(0) { $0 + $1.metadata.byteCount }
    let count = min(
      ledger.options.compactionThreadCount, total / (2 * ledger.options.tableByteLimit))
    guard count > 1 else { return [] }
    var keys: [Bytes] = []
    var passed = 0
    for file in files {
      if passed >= total * (keys.count + 1) / count, keys.last != file.smallestKey {
        keys.append(file.smallestKey)
      }
      passed += file.metadata.byteCount
    }
    return keys.filter { !$0.isEmpty }
  }

  private func count(_ tables: [TableMetadata]) {
    let read = (compaction.inputs + compaction.overlapped).reduce(0) { $0 + $1.metadata.byteCount }
    let written = tables.reduce(0) { $0 + $1.byteCount }
    ledger.counters.compactionReadBytes.wrappingAdd(read, ordering: .relaxed)
    ledger.counters.compactionBytes.wrappingAdd(written, ordering: .relaxed)
  }
}

/// Lets the parts of a compaction stop together.
private final class PartControl: Sendable {
  private let stopped = Atomic<Bool>(false)
  private let first = Mutex<StorageError?>(nil)

  var isStopped: Bool { stopped.load(ordering: .relaxed) }
  var failure: StorageError? { first.withLock { $0 } }

  func stop(with failure: StorageError?) {
    stopped.store(true, ordering: .relaxed)
    guard let failure else { return }
    first.withLock { if $0 == nil { $0 = failure } }
  }

  func run(_ part: CompactionPart) {
    do throws(StorageError) { _ = try part.run { !isStopped } } catch { stop(with: error) }
  }
}
