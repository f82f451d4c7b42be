import KVBase

/// Describes the contents of one file line by line.
struct FileDump {
  let path: String
  let fileSystem: any FileSystem
  let body: (InspectionRecord) -> Void

  // MARK: SSTable

  func table(_ number: FileNumber) throws(StorageError) {
    let table = try Table(
      path: path, number: number, fileSystem: fileSystem, cache: BlockCache(byteLimit: 0))
    body(table.properties.record("table", number).with("fileBytes", try fileSystem.size(path)))
    let cursor = TableCursor(table, readsAll: true)
    cursor.onDamage = { body(InspectionRecord.damage($0.error)) }
    var block = -1
    try cursor.seek(RawBytes(start: nil, count: 0))
    while cursor.isValid {
      if block != cursor.blockFileOffset {
        block = cursor.blockFileOffset
        body(InspectionRecord("block").with("offset", block))
      }
      body(InspectionRecord.entry(cursor.entry))
      try cursor.next()
    }
  }

  // MARK: Segment

  func segment() throws(StorageError) {
    let bytes = try fileSystem.readAll(path)
    let header = try JournalReader(path: path).header(bytes)
    body(
      InspectionRecord("segment").with("number", header.number.rawValue)
        .with("firstSequence", header.firstSequence.rawValue).with("fileBytes", bytes.count))
    let seed = JournalFormat.seed(bytes[...])
    do throws(StorageError) {
      try bytes.withRaw { (raw) throws(StorageError) in try records(raw, seed) }
    } catch { body(InspectionRecord.damage(error)) }
  }

  private func records(_ raw: RawBytes, _ seed: UInt32) throws(StorageError) {
    var offset = JournalFormat.headerByteCount
    while offset < raw.count {
      let rest = RawBytes(rebasing: raw[offset...])
      if let index = JournalFormat.indexOffset(footer: rest, seed: seed) {
        body(InspectionRecord("footer").with("offset", offset).with("index", index))
        return
      }
      if rest.isAllZero {
        body(InspectionRecord("zeros").with("offset", offset).with("bytes", rest.count))
        return
      }
      let record = try JournalRecord(raw, at: offset, seed: seed, path: path)
      try describe(record)
      offset = record.end
    }
  }

  private func describe(_ record: JournalRecord) throws(StorageError) {
    body(
      InspectionRecord("record").with("offset", record.offset)
        .with("contents", "\(record.header.type)").with("sequence", record.header.firstSequence)
        .with("durable", record.header.durableSequence).with("bytes", record.header.byteCount))
    guard record.header.type == .index else {
      try record.forEachOperation { (entry, offset) in
        body(InspectionRecord.entry(entry, "operation").with("valueOffset", offset))
      }
      return
    }
    for value in SegmentIndex(decoding: record.payload)?.values ?? [] {
      body(
        InspectionRecord("value").with("key", bytes: value.key)
          .with("offset", value.offset).with("bytes", value.byteCount))
    }
  }

  // MARK: Manifest

  func manifest() throws(StorageError) {
    let bytes = try fileSystem.readAll(path)
    let (edits, torn) = try ManifestFormat.read(bytes, path: path)
    body(InspectionRecord("manifest").with("fileBytes", bytes.count).with("torn", torn))
    for (index, edit) in edits.enumerated() {
      body(numbers(edit, index))
      files(edit)
      for range in edit.removedRanges {
        body(InspectionRecord("removeRange").with("id", range.rawValue))
      }
      for range in edit.addedRanges {
        body(InspectionRecord.range(range, "addRange"))
      }
    }
  }

  private func numbers(_ edit: VersionEdit, _ index: Int) -> InspectionRecord {
    var record = InspectionRecord("edit").with("index", index)
    if let number = edit.nextFileNumber { record = record.with("nextFile", number) }
    if let sequence = edit.flushedSequence {
      record = record.with("flushed", sequence.rawValue)
    }
    if let number = edit.journalNumber { record = record.with("journal", number.rawValue) }
    return edit.isCleanShutdown ? record.with("clean", true) : record
  }

  private func files(_ edit: VersionEdit) {
    for removal in edit.removed {
      body(
        InspectionRecord("removeTable").with("number", removal.number.rawValue)
          .with("level", removal.level))
    }
    for added in edit.added {
      body(
        added.table.properties.record("addTable", added.table.number).with("level", added.level)
          .with("fileBytes", added.table.byteCount)
          .with("checksum", UInt64(added.table.checksum)))
    }
    for number in edit.removedSegments {
      body(InspectionRecord("removeSegment").with("number", number.rawValue))
    }
    for segment in edit.addedSegments {
      body(
        InspectionRecord("addSegment").with("number", segment.number.rawValue)
          .with("kind", "\(segment.kind)").with("fileBytes", segment.byteCount)
          .with("values", segment.valueCount).with("valueBytes", segment.valueByteCount))
    }
  }
}

extension TableFormat.Properties {
  fileprivate func record(_ kind: String, _ number: FileNumber) -> InspectionRecord {
    InspectionRecord(kind).with("number", number.rawValue).with("entries", entryCount)
      .with("tombstones", tombstoneCount).with("smallest", bytes: smallestKey)
      .with("largest", bytes: largestKey).with("smallestSequence", smallestSequence)
      .with("largestSequence", largestSequence)
  }
}
