package import KVBase

extension StorageFuzz {
  /// Valid files to mutate, one or more of every type, and their inner parts.
  package static func samples() -> [(name: String, bytes: Bytes)] {
    [
      ("table", sampleTable()), ("journal", sampleJournal()), ("manifest", sampleManifest()),
      ("current", ManifestFormat.current(StorePaths.manifestName(FileNumber(7)))),
      ("block", sampleBlock()), ("edit", sampleEdit().encode()),
      ("batch", sampleBatch().operations), ("reference", sampleReference()),
      ("index", sampleIndex()),
    ] + EncryptionFuzz.samples() + StoreFuzz.samples()
  }

  /// A journal record's batch: two puts and a delete.
  static func sampleBatch() -> WriteBatch {
    var batch = WriteBatch()
    batch.put(Bytes("alpha".utf8), Bytes("first value".utf8), headByteCount: 5)
    batch.put(Bytes("alphabet".utf8), Bytes("second".utf8))
    batch.delete(Bytes("beta".utf8))
    return batch
  }

  /// The bytes of a segment that holds the sample batch.
  static func sampleJournal() -> Bytes {
    written("/journal/000003.journal") { (fileSystem) throws(StorageError) in
      try fileSystem.createDirectory("/journal")
      let writer = try JournalWriter(
        directory: "/journal",
        header: .init(number: FileNumber(3), firstSequence: SequenceNumber(10)),
        fileSystem: fileSystem)
      let start = writer.append(
        sampleBatch(), firstSequence: SequenceNumber(10), durable: SequenceNumber(9))
      // The first value, as if it were large enough to be kept here only.
      Bytes("alpha".utf8).withRaw { writer.noteValue($0, offset: start + 9, byteCount: 11) }
      writer.seal(nextSequence: SequenceNumber(13), durable: SequenceNumber(9))
      writer.beginGroup(through: SequenceNumber(12))
      try writer.writeGroup(prefill: false)
    }
  }

  /// The bytes of a table that holds the sample batch.
  static func sampleTable() -> Bytes {
    written("/table") { (fileSystem) throws(StorageError) in
      var options = StoreOptions()
      options.compression = .none
      let builder = TableBuilder(file: try fileSystem.create("/table"), options: options)
      try sampleBatch().operations.withRaw { (operations) throws(StorageError) in
        var reader = BatchReader(operations)
        while !reader.isAtEnd, let entry = reader.next(sequence: 10) { try builder.append(entry) }
      }
      _ = try builder.finish()
    }
  }

  static func sampleEdit() -> VersionEdit {
    var properties = TableFormat.Properties()
    properties.entryCount = 3
    properties.tombstoneCount = 1
    properties.smallestSequence = 10
    properties.largestSequence = 12
    properties.smallestKey = Bytes("alpha".utf8)
    properties.largestKey = Bytes("beta".utf8)
    var edit = VersionEdit()
    edit.nextFileNumber = 9
    edit.flushedSequence = SequenceNumber(12)
    edit.journalNumber = FileNumber(8)
    edit.removed = [.init(level: 1, number: FileNumber(5))]
    edit.added = [
      .init(
        level: 0,
        table: TableMetadata(
          number: FileNumber(6), byteCount: 300, checksum: 0xDEAD_BEEF, properties: properties))
    ]
    edit.addedSegments = [
      SegmentMetadata(
        number: FileNumber(3), kind: .journal, byteCount: 160, valueCount: 1, valueByteCount: 11)
    ]
    edit.removedSegments = [FileNumber(2)]
    edit.addedRanges = [RangeMark(deleting: Bytes("b".utf8), Bytes("c".utf8), sequence: 9)]
    edit.removedRanges = [RangeMark.ID(rawValue: 6)]
    return edit
  }

  /// A reference to the first value of the sample journal, and its head.
  static func sampleReference() -> Bytes {
    var buffer = RawBuffer()
    let (key, value) = (Bytes("alpha".utf8), Bytes("first value".utf8))
    return key.withRaw { key in
      value.withRaw { value in
        let entry = EntryView(
          key: key, value: value, headByteCount: 5, sequence: 10, kind: .put)
        return Bytes(entry.separated(in: FileNumber(3), at: 67, &buffer).value)
      }
    }
  }

  /// The bytes of a manifest with one record.
  static func sampleManifest() -> Bytes {
    let header = ManifestFormat.header(FileNumber(7))
    let seed = CRC32C.checksum(header.dropLast(4))
    return header + ManifestFormat.record(sampleEdit(), seed: seed)
  }

  static func sampleBlock() -> Bytes {
    var builder = BlockBuilder(restartInterval: 2)
    sampleBatch().operations.withRaw { operations in
      var reader = BatchReader(operations)
      while !reader.isAtEnd, let entry = reader.next(sequence: 10) { builder.append(entry) }
    }
    return Bytes(builder.finish())
  }

  private static func written(
    _ path: String, _ write: (CrashableFileSystem) throws(StorageError) -> Void
  ) -> Bytes {
    let fileSystem = CrashableFileSystem()
    do throws(StorageError) {
      try write(fileSystem)
      return try fileSystem.readAll(path)
    } catch { preconditionFailure("a file system in memory failed: \(error)") }
  }

  /// The payload of an index record.
  private static func sampleIndex() -> Bytes {
    var builder = SegmentIndexBuilder()
    for (index, key) in ["alpha", "alphabet", "beta"].enumerated() {
      Bytes(key.utf8).withRaw { builder.append($0, offset: 60 + 20 * index, byteCount: 11) }
    }
    var buffer = RawBuffer()
    builder.finish(into: &buffer)
    return Bytes(buffer.bytes)
  }
}
