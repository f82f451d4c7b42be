package import KVBase

/// Feeds arbitrary bytes to every reader of the engine's formats.
///
/// The readers may refuse them with a typed error or accept them; they must never stop the process or
/// take memory that the bytes do not justify.
package enum StorageFuzz {
  /// Gives the bytes to all readers, as whole files and as parts whose checksums are right.
  package static func fuzzReaders(bytes: Bytes) {
    fuzzTable(bytes)
    fuzzTable(table(around: bytes))
    fuzzJournal(bytes)
    for type in [JournalFormat.RecordType.batch, .index, .values] {
      fuzzJournal(segment(around: bytes, type))
    }
    fuzzManifest(bytes)
    fuzzManifest(manifest(around: bytes))
    fuzzBlock(bytes)
    fuzzParts(bytes)
    EncryptionFuzz.fuzz(bytes)
    StoreFuzz.fuzz(bytes)
  }

  // MARK: Readers

  private static func fuzzTable(_ bytes: Bytes) {
    let fileSystem = CrashableFileSystem()
    do throws(StorageError) {
      try fileSystem.createFile("/table", contents: bytes)
      let table = try Table(
        path: "/table", number: FileNumber(1), fileSystem: fileSystem,
        cache: BlockCache(byteLimit: 1 << 16))
      try? table.verify(byteCount: bytes.count, checksum: 0)
      for key in [Bytes("alpha".utf8), [], Bytes(repeating: 0xFF, count: 9)] {
        try key.withRaw { (key) throws(StorageError) in
          _ = try table.find(key, hash: BloomFilter.hash(key))
        }
      }
      for readsAll in [false, true] {
        let cursor = TableCursor(table, readsAll: readsAll)
        try cursor.seek(RawBytes(start: nil, count: 0))
        // Overlapping handles may make a table look longer than its file.
        var steps = 0
        while cursor.isValid, steps < 100_000 {
          _ = cursor.entry.pointer
          try cursor.next()
          steps += 1
        }
        try cursor.seekToLast()
        while cursor.isValid, steps < 200_000 {
          try cursor.previous()
          steps += 1
        }
      }
    } catch {}
  }

  private static func fuzzJournal(_ bytes: Bytes) {
    let reader = JournalReader(path: "/journal")
    do throws(StorageError) {
      let expected = JournalFormat.Header(
        number: FileNumber(1), firstSequence: SequenceNumber(1))
      guard let (header, seed) = try reader.header(bytes, expecting: expected) else { return }
      _ = reader.durableSequence(bytes, seed: seed, from: 0)
      let memtable = Memtable()
      _ = try reader.read(bytes, header, seed: seed) { (entry, _) throws(StorageError) in
        if entry.kind != .deleteRange { memtable.insert(entry) }
      }
      let fileSystem = CrashableFileSystem()
      try fileSystem.createDirectory("/journal")
      let metadata = SegmentMetadata(
        number: header.number, kind: .journal, byteCount: bytes.count, valueCount: 1,
        valueByteCount: 1)
      let segment = Segment(metadata, directory: "/journal", fileSystem: fileSystem)
      try fileSystem.createFile(segment.path, contents: bytes)
      let index = try SegmentIndex(of: segment)
      var value = Bytes()
      for place in index.values.prefix(100) {
        let pointer = ValuePointer(
          segment: segment.number, offset: place.offset, byteCount: place.byteCount, checksum: 0)
        value.removeAll()
        // A length that the file does not justify must not be allocated; reads come from pointers
        // that a checksum guards, so only those of plausible length are tried.
        guard place.byteCount <= bytes.count else { continue }
        try? segment.read(pointer, into: &value)
        try? pointer.verify(value, segment.path)
      }
    } catch {}
  }

  private static func fuzzManifest(_ bytes: Bytes) {
    _ = try? ManifestFormat.manifestName(current: bytes, path: "/current")
    guard let (edits, _) = try? ManifestFormat.read(bytes, path: "/manifest") else { return }
    for edit in edits { _ = Version().applying(edit, ledger: "/") }
  }

  private static func fuzzBlock(_ bytes: Bytes) {
    for kind in [Block.Kind.data, .index, .filter] {
      guard let block = block(bytes, kind) else { continue }
      if let data = block.data { fuzzEntries(data, Bytes(bytes.prefix(5))) }
      if let index = block.index {
        for key in [Bytes(bytes.prefix(9)), Bytes("alpha".utf8), []] {
          key.withRaw { _ = index.handle(index.lastIndex(notAfter: $0)) }
        }
      }
      _ = block.filter?.mayContain(99)
      withExtendedLifetime(block) {}
    }
  }

  private static func fuzzEntries(_ data: DataBlock, _ key: Bytes) {
    var place = DataBlock.Place()
    while !data.isEnd(place), let entry = data.decode(at: place) { place = entry.end }
    for key in [key, Bytes("alpha".utf8), []] { key.withRaw { _ = data.search($0) } }
    var run = BlockRun()
    run.begin(data)
    var view = EntryView(
      key: data.bytes, value: data.bytes, headByteCount: 0, sequence: 0, kind: .delete)
    while run.nextWithLongerKey(&view) {}
    var backward = BackwardRun()
    while backward.fill(data, before: run.entryPlace), backward.pop(into: &run, &view) {}
  }

  private static func fuzzParts(_ bytes: Bytes) {
    _ = try? VersionEdit(decoding: bytes)
    var reader = ByteReader(bytes)
    while let mark = try? RangeMark(decoding: &reader) { _ = RangeMarks([mark, mark]) }
    bytes.withRaw { raw in
      var batch = BatchReader(raw)
      while !batch.isAtEnd, batch.next(sequence: 1) != nil {}
      _ = SegmentIndex(decoding: raw)
      _ = ValuePointer(decoding: raw)
      _ = EntryView(key: raw, value: raw, headByteCount: 5, sequence: 1, kind: .reference).pointer
      var directory = ByteReader(bytes)
      _ = (try? TableDirectory(decoding: &directory))?.count
    }
    for encoding: UInt8 in [0, 1, 2] {
      for size in [UInt32(bytes.count), UInt32(bytes.count) * 4, .max] {
        let stored = sealed(bytes, encoding, size)
        stored.withRaw { raw in
          let decoded = try? TableFormat.decodeBlock(raw, offset: 0, path: "/block", for: .data)
          decoded?.deallocate()
        }
      }
    }
  }

  // MARK: Good checksums around arbitrary bytes

  private static func block(_ bytes: Bytes, _ kind: Block.Kind) -> Block? {
    let memory = Block.allocate(bytes.count, for: kind)
    bytes.withRaw { memory.copyMemory(from: $0) }
    return Block(adopting: RawBytes(start: memory.baseAddress, count: bytes.count), as: kind)
  }

  private static func sealed(_ bytes: Bytes, _ encoding: UInt8, _ size: UInt32) -> Bytes {
    var writer = ByteWriter(capacity: bytes.count + 9)
    writer.write(raw: bytes)
    writer.write(encoding)
    writer.write(fixed: size)
    writer.write(fixed: CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// A table of two parts whose data block is the bytes and, as the bytes decide, its indexes too.
  private static func table(around bytes: Bytes) -> Bytes {
    let data = sealed(bytes, 0, UInt32(bytes.count))
    var builder = IndexBuilder()
    Bytes("alp".utf8).withRaw { builder.append($0, offset: 0) }
    let choice = bytes.first ?? 0
    let indexBytes = choice & 1 == 1 ? bytes : builder.finish(end: data.count)
    let index = sealed(indexBytes, 0, UInt32(indexBytes.count))
    let part = TableDirectory.Description(
      key: [], index: BlockHandle(offset: data.count, count: indexBytes.count),
      filter: BlockHandle(offset: 0, count: choice & 2 == 2 ? bytes.count : 0), entryCount: 2)
    let directoryBytes = TableDirectory.encode(choice & 4 == 4 ? [part] : [part, part])
    let directory = sealed(directoryBytes, 0, UInt32(directoryBytes.count))
    var properties = ByteWriter()
    TableFormat.Properties().encode(into: &properties)
    let described = sealed(properties.bytes, 0, UInt32(properties.count))
    let start = data.count + index.count
    let footer = TableFormat.Footer(
      directory: BlockHandle(offset: start, count: directoryBytes.count),
      properties: BlockHandle(offset: start + directory.count, count: properties.count))
    return data + index + directory + described + footer.encode()
  }

  /// A sealed segment whose only record holds the bytes; the footer takes it for the index.
  private static func segment(
    around payload: Bytes, _ type: JournalFormat.RecordType
  ) -> Bytes {
    let header = JournalFormat.Header(number: FileNumber(1), firstSequence: SequenceNumber(1))
      .encode()
    var writer = ByteWriter()
    writer.write(fixed: UInt32(payload.count))
    writer.write(type.rawValue)
    writer.write(fixed: UInt64(1))
    writer.write(fixed: UInt64(0))
    let seed = CRC32C.checksum(header.dropLast(4))
    let head = CRC32C.checksum(writer.bytes, continuing: seed)
    writer.write(fixed: CRC32C.checksum(payload, continuing: head))
    let footer = JournalFormat.footer(indexOffset: header.count, seed: seed)
    return header + writer.bytes + payload + footer
  }

  private static func manifest(around payload: Bytes) -> Bytes {
    let header = ManifestFormat.header(FileNumber(1))
    let seed = CRC32C.checksum(header.dropLast(4))
    return header + ManifestFormat.record(sampleEdit(), seed: seed)
      + ManifestFormat.record(payload: payload, seed: seed)
  }
}
