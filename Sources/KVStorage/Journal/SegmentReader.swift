import KVBase

/// Reads a segment that is complete: its index, or all of its records.
struct SegmentReader {
  private let segment: Segment

  init(_ segment: Segment) { self.segment = segment }

  private var path: String { segment.path }

  /// The index that was written when the segment was sealed, if it is to be used.
  ///
  /// Nil when the segment was not sealed, when the index is damaged, or when it lacks values that a
  /// replay with other options has separated since: the records say the same.
  func storedIndex(limit: Int = .max) throws(StorageError) -> SegmentIndex? {
    let byteCount = segment.readableByteCount
    let footerOffset = byteCount - JournalFormat.footerByteCount
    guard footerOffset >= JournalFormat.headerByteCount else { return nil }
    let header = try read(at: 0, JournalFormat.headerByteCount)
    let seed = JournalFormat.seed(header[...])
    let footer = try read(at: footerOffset, JournalFormat.footerByteCount)
    guard let offset = footer.withRaw({ JournalFormat.indexOffset(footer: $0, seed: seed) }),
      offset >= JournalFormat.headerByteCount, offset < footerOffset
    else { return nil }
    let bytes = try read(at: offset, footerOffset - offset)
    return bytes.withRaw { raw in
      guard let record = try? JournalRecord(raw, at: 0, seed: seed, path: path),
        record.header.type == .index,
        let index = SegmentIndex(decoding: record.payload, limit: limit),
        index.valueCount >= segment.metadata.valueCount
      else { return nil }
      return index
    }
  }

  /// Calls `body` for each record; throws for the first that is damaged.
  func forEachRecord(
    _ body: (JournalRecord) throws(StorageError) -> Void
  ) throws(StorageError) {
    let bytes = try read(at: 0, segment.readableByteCount)
    let header = try JournalReader(path: path).header(bytes)
    guard header.number == segment.number else {
      throw StorageError(.malformed, "the segment has another's header", path: path, offset: 0)
    }
    let seed = JournalFormat.seed(bytes[...])
    try bytes.withRaw { (raw) throws(StorageError) in
      var offset = JournalFormat.headerByteCount
      while offset < raw.count {
        if JournalFormat.isEnd(RawBytes(rebasing: raw[offset...]), seed: seed) { return }
        let record = try JournalRecord(raw, at: offset, seed: seed, path: path)
        try body(record)
        offset = record.end
      }
    }
  }

  private func read(at offset: Int, _ count: Int) throws(StorageError) -> Bytes {
    var bytes = Bytes()
    let pointer = ValuePointer(
      segment: segment.number, offset: offset, byteCount: count, checksum: 0)
    try segment.read(pointer, into: &bytes)
    return bytes
  }
}
