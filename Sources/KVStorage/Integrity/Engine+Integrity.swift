import KVBase
import Synchronization

/// Scrubbing, locating and resolving damage.
extension Engine {
  func scrub(byteLimit: Int) throws(StorageError) -> ScrubReport {
    try requireOpen()
    let state = readState
    let tables = state.version.levels.joined().map { ScrubbedFile.table($0) }
    let segments = state.segments.segments.filter { $0.metadata.byteCount > 0 }
      .map { ScrubbedFile.segment($0) }
    let files = (tables + segments).sorted { $0.number < $1.number }
    let start = scrubPosition.load(ordering: .relaxed)
    var report = ScrubReport()
    for file in files where file.number.rawValue > start {
      guard report.byteCount < byteLimit else { return report }
      report.damage += try damage(in: file)
      report.fileCount += 1
      report.byteCount += file.byteCount
      scrubPosition.store(file.number.rawValue, ordering: .relaxed)
    }
    scrubPosition.store(0, ordering: .relaxed)
    report.isAround = true
    return report
  }

  private enum ScrubbedFile {
    case table(TableFile)
    case segment(Segment)

    var number: FileNumber {
      switch self {
      case .table(let file): file.metadata.number
      case .segment(let segment): segment.number
      }
    }

    var byteCount: Int {
      switch self {
      case .table(let file): file.metadata.byteCount
      case .segment(let segment): segment.metadata.byteCount
      }
    }
  }

  private func damage(in file: ScrubbedFile) throws(StorageError) -> [StorageError] {
    do throws(StorageError) {
      switch file {
      case .table(let file):
        try file.table(environment).verify(
          byteCount: file.metadata.byteCount, checksum: file.metadata.checksum)
      case .segment(let segment): try SegmentReader(segment).forEachRecord { _ in }
      }
      return []
    } catch {
      guard error.isCorruption else { throw error }
      switch file {
      case .table(let file): return damagedPieces(of: file, error)
      case .segment(let segment): return damagedValues(of: segment, error)
      }
    }
  }

  /// The blocks of a table that cannot be read; the whole file's error when each of them can.
  private func damagedPieces(of file: TableFile, _ whole: StorageError) -> [StorageError] {
    var found: [StorageError] = []
    let cursor = LevelCursor([file], environment, readsAll: true)
    cursor.onDamage = { damage in
      var error = damage.error
      error.lowerKey = damage.lower
      error.upperKey = damage.upper
      found.append(error)
    }
    do throws(StorageError) {
      try cursor.seek(RawBytes(start: nil, count: 0))
      while cursor.isValid { try cursor.next() }
    } catch { found.append(error) }
    return found.isEmpty ? [whole] : found
  }

  /// The live values of a segment that cannot be read; the record's error when each of them can.
  private func damagedValues(of segment: Segment, _ whole: StorageError) -> [StorageError] {
    let state = readState
    guard let index = try? SegmentIndex(of: segment) else { return [whole] }
    var found: [StorageError] = []
    var buffer = Bytes()
    for value in index.values {
      guard let reference = try? reference(to: value, in: segment, state) else { continue }
      do throws(StorageError) {
        buffer.removeAll(keepingCapacity: true)
        try segment.read(reference.pointer, into: &buffer)
        try reference.pointer.verify(buffer, segment.path)
      } catch {
        var error = error
        error.lowerKey = value.key
        error.upperKey = value.key.successor
        found.append(error)
      }
    }
    return found.isEmpty ? [whole] : found
  }

  // MARK: Locating

  func keyRange(of error: StorageError) -> KeyRange? {
    if let lower = error.lowerKey, let upper = error.upperKey {
      return KeyRange(lower: lower, upper: upper)
    }
    let state = readState
    if let file = state.version.levels.joined().first(where: { $0.path == error.path }) {
      let piece = damagedPieces(of: file, error).first {
        $0.offset == error.offset && $0.lowerKey != nil
      }
      return KeyRange(
        lower: piece?.lowerKey ?? file.smallestKey,
        upper: piece?.upperKey ?? file.largestKey.successor)
    }
    guard let segment = state.segments.segments.first(where: { $0.path == error.path }),
      let index = try? SegmentIndex(of: segment),
      let value = index.values.first(where: { $0.offset == error.offset })
    else { return nil }
    return KeyRange(lower: value.key, upper: value.key.successor)
  }

  // MARK: Resolving

  func resolveDamage(in range: KeyRange) throws(StorageError) {
    backgroundLock.lock()
    defer { backgroundLock.unlock() }
    try requireOpen()
    var edit = VersionEdit()
    for mark in ledger.version.ranges.marks where mark.kind == .damaged {
      guard let both = KeyRange(lower: mark.lower, upper: mark.upper).intersection(range) else {
        continue
      }
      edit.removedRanges.append(mark.id)
      edit.addedRanges.append(part(of: mark, .deleted, both.lower, both.upper))
      for rest in [(mark.lower, both.lower), (both.upper, mark.upper)] where rest.0 != rest.1 {
        edit.addedRanges.append(part(of: mark, .damaged, rest.0, rest.1))
      }
    }
    guard !edit.removedRanges.isEmpty else { return }
    try ledger.apply(edit)
    install()
  }
  /// The part of a mark between two keys, under a number of its own.
  private func part(
    of mark: RangeMark, _ kind: RangeMark.Kind, _ lower: Bytes, _ upper: Bytes
  ) -> RangeMark {
    // An odd number keeps it apart from the ids of range deletes, which are even.
    RangeMark(
      id: RangeMark.ID(rawValue: ledger.fileNumbers.take().rawValue &<< 1 | 1), kind: kind,
      lower: lower, upper: upper, sequence: mark.sequence)
  }
}
