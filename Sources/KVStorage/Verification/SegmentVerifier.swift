import KVBase

/// Reads a segment through: every record, and whether its index says the same.
final class SegmentVerifier {
  private struct Put: Hashable {
    var key: Bytes
    var byteCount: Int
    /// Before compression: what decides whether a value is separated.
    var valueByteCount: Int
  }

  private let path: String
  private let number: FileNumber
  private let kind: Segment.Kind
  private let log: VerificationLog
  private var puts: [Int: Put] = [:]
  private var index: SegmentIndex?
  private var indexOffset: Int?
  private var nextSequence: UInt64?
  private var damage: [(range: Range<Int>, error: StorageError)] = []

  init(path: String, number: FileNumber, kind: Segment.Kind, log: VerificationLog) {
    self.path = path
    self.number = number
    self.kind = kind
    self.log = log
  }

  /// Verifies the good part of the segment's file.
  ///
  /// With `seed`, which the records' checksums continue from, it goes on after a bad header.
  func run(_ bytes: Bytes, seed: UInt32? = nil, badHeader: StoreProblem.Severity = .damage) {
    log.report.segmentCount += 1
    log.report.byteCount += bytes.count
    do throws(StorageError) {
      let header = try JournalReader(path: path).header(bytes)
      guard header.number == number else {
        throw StorageError(.malformed, "the segment has another's header", path: path, offset: 0)
      }
      nextSequence = kind == .journal ? header.firstSequence.rawValue : nil
    } catch {
      log.add(error, badHeader)
      guard seed != nil else { return }
    }
    let seed = seed ?? JournalFormat.seed(bytes[...])
    bytes.withRaw { readRecords($0, seed) }
    reportDamage()
    compareIndex()
  }

  // MARK: Records

  private func readRecords(_ raw: RawBytes, _ seed: UInt32) {
    var offset = JournalFormat.headerByteCount
    while offset < raw.count {
      let rest = RawBytes(rebasing: raw[offset...])
      if let found = JournalFormat.indexOffset(footer: rest, seed: seed) {
        if found != indexOffset, damage.isEmpty {
          note("the footer does not point to the index", offset..<raw.count)
        }
        return
      }
      if rest.isAllZero { return }
      do throws(StorageError) {
        let record = try JournalRecord(raw, at: offset, seed: seed, path: path)
        try read(record)
        offset = record.end
      } catch {
        let next = nextRecord(raw, after: offset, seed) ?? raw.count
        damage.append((offset..<next, error))
        nextSequence = nil
        offset = next
      }
    }
  }

  private func read(_ record: JournalRecord) throws(StorageError) {
    guard indexOffset == nil else {
      throw StorageError(
        .malformed, "a record after the index", path: path, offset: record.offset)
    }
    if record.header.type == .index {
      indexOffset = record.offset
      index = SegmentIndex(decoding: record.payload)
      guard index == nil else { return }
      throw StorageError(
        .malformed, "the index does not follow its format", path: path, offset: record.offset)
    }
    let first = record.header.firstSequence
    if record.header.type == .batch, let expected = nextSequence, first != expected {
      note(
        "a record begins with #\(first) instead of #\(expected)", record.offset..<record.end,
        .sequenceGap)
    }
    let count = try record.forEachOperation { (entry, offset) throws(StorageError) in
      guard entry.kind == .put else { return }
      puts[offset] = Put(
        key: Bytes(entry.key), byteCount: entry.value.count, valueByteCount: entry.valueByteCount)
    }
    if record.header.type == .batch { nextSequence = first + UInt64(count) }
  }

  /// Where the next good record, or the footer, begins.
  ///
  /// Every position is tried, within a budget, since the damage may be to a length.
  private func nextRecord(_ raw: RawBytes, after offset: Int, _ seed: UInt32) -> Int? {
    var budget = 8 * raw.count
    let footer = raw.count - JournalFormat.footerByteCount
    for position in (offset + 1)..<max(offset + 1, raw.count) where budget > 0 {
      if let header = JournalFormat.RecordHeader(raw, at: position) {
        budget -= header.byteCount
        let bytes = raw.slice(position, header.byteCount)
        if JournalFormat.checksum(bytes, seed: seed) == header.checksum { return position }
      }
      let rest = RawBytes(rebasing: raw[position...])
      if position == footer, JournalFormat.indexOffset(footer: rest, seed: seed) != nil {
        return position
      }
    }
    return nil
  }

  private func note(
    _ message: String, _ range: Range<Int>, _ code: StorageError.Code = .malformed
  ) {
    damage.append(
      (range, StorageError(code, message, path: path, offset: range.lowerBound)))
  }

  // MARK: Index

  /// Logs the damage with the keys that the index has for it.
  private func reportDamage() {
    for (range, error) in damage {
      let keys = (index?.values ?? []).filter { range.contains($0.offset) }.map(\.key)
      log.add(
        error, lower: keys.min { $0.lexicographicallyPrecedes($1) },
        upper: keys.max { $0.lexicographicallyPrecedes($1) })
    }
  }

  private func compareIndex() {
    guard let index else { return }
    var smallest = Int.max
    for value in index.values {
      let put = puts.removeValue(forKey: value.offset)
      smallest = min(smallest, put?.valueByteCount ?? .max)
      let isDamaged = damage.contains { $0.range.contains(value.offset) }
      guard !isDamaged, put?.key != value.key || put?.byteCount != value.byteCount else { continue }
      report("the index has a value that no record has", value.offset, value.key)
    }
    // What is as large as a separated value is one too, and collection would lose it.
    if kind == .values { smallest = 0 }
    for (offset, put) in puts.sorted(by: { $0.key < $1.key }) where put.valueByteCount >= smallest {
      report("the index lacks a value", offset, put.key)
    }
  }

  private func report(_ message: String, _ offset: Int, _ key: Bytes) {
    log.add(
      StorageError(.malformed, message, path: path, offset: offset), lower: key, upper: key)
  }
}
