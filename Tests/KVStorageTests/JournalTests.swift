import KVBase
import Testing

@testable import KVStorage

@Suite struct JournalTests {
  private static let sizes = [10, 300, 1, 80, 1000, 5, 40]

  /// A segment of one record per size; those before `synced` were synced one by one.
  private func segment(synced: Int) throws -> (bytes: Bytes, offsets: [Int]) {
    let fileSystem = CrashableFileSystem()
    try fileSystem.createDirectory("/journal")
    let writer = try JournalWriter(
      directory: "/journal", header: .init(number: FileNumber(1), firstSequence: SequenceNumber(1)),
      fileSystem: fileSystem)
    var offsets: [Int] = []
    for (index, size) in JournalTests.sizes.enumerated() {
      var batch = WriteBatch()
      batch.put([UInt8(index)], Bytes(repeating: UInt8(index), count: size))
      offsets.append(writer.writtenOffset)
      let sequence = SequenceNumber(UInt64(index) + 1)
      let durable = SequenceNumber(UInt64(min(index, synced)))
      _ = writer.append(batch, firstSequence: sequence, durable: durable)
      writer.beginGroup(through: sequence)
      try writer.writeGroup(prefill: false)
      _ = writer.endGroup()
    }
    return (try fileSystem.readAll(writer.path), offsets)
  }

  private func read(
    _ bytes: Bytes
  ) throws -> (keys: [UInt8], contents: JournalReader.Contents) {
    let reader = JournalReader(path: "/j")
    let header = try reader.header(bytes)
    let seed = JournalFormat.seed(bytes[...])
    var keys: [UInt8] = []
    let contents = try reader.read(bytes, header, seed: seed) {
      (entry, offset) throws(StorageError) in
      keys.append(entry.key[0])
      let value = bytes[offset..<offset + entry.value.count]
      #expect(Bytes(value) == Bytes(entry.value), "the value is not where it is said to be")
    }
    return (keys, contents)
  }

  @Test func `what was appended is read back`() throws {
    let (bytes, _) = try segment(synced: 7)
    let (keys, contents) = try read(bytes)
    #expect(keys == [0, 1, 2, 3, 4, 5, 6])
    #expect(contents.recordCount == 7 && contents.damage == nil)
    #expect(contents.lastSequence == SequenceNumber(7))
    #expect(contents.endOffset == bytes.count)
  }

  @Test func `a segment cut at any byte loses only the records that are cut`() throws {
    let (bytes, offsets) = try segment(synced: 0)
    for count in JournalFormat.headerByteCount..<bytes.count {
      let complete = offsets.dropFirst().filter { $0 <= count }.count
      let (keys, contents) = try read(Bytes(bytes[..<count]))
      #expect(keys.count == complete, "cut at \(count)")
      #expect(contents.endOffset == offsets[complete], "cut at \(count)")
      // A record whose first bytes are zero cannot be told from zeros written ahead.
      if count > offsets[complete] + 3 { #expect(contents.damage != nil, "cut at \(count)") }
      if let damage = contents.damage {
        #expect(damage.isCorruption && damage.offset == offsets[complete])
      }
    }
    let header = JournalReader(path: "/j")
    for count in 0..<JournalFormat.headerByteCount {
      let expected = JournalFormat.Header(
        number: FileNumber(1), firstSequence: SequenceNumber(1))
      #expect(try header.header(Bytes(bytes[..<count]), expecting: expected) == nil)
    }
  }

  @Test func `records appended after a sync vouch for what was synced`() throws {
    let (bytes, offsets) = try segment(synced: 4)
    var random = SeededRandom(seed: 1)
    for offset in JournalFormat.headerByteCount..<bytes.count {
      var damaged = bytes
      damaged[offset] ^= UInt8(1) << UInt8(random.below(8))
      let record = offsets.lastIndex { $0 <= offset } ?? 0
      let (keys, contents) = try read(damaged)
      #expect(keys.count == record, "at \(offset)")
      let damage = try #require(contents.damage, "at \(offset)")
      #expect(damage.isCorruption && damage.path == "/j" && damage.offset == offsets[record])
      let durable = JournalReader(path: "/j").durableSequence(
        damaged, seed: JournalFormat.seed(bytes[...]), from: offsets[record])
      // Records 5 and later say that no more than the first 4 operations were durable.
      #expect((durable >= UInt64(record + 1)) == (record < 4), "at \(offset)")
    }
  }

  @Test func `zeros written ahead are the end of a segment, not damage`() throws {
    let (bytes, _) = try segment(synced: 7)
    let (keys, contents) = try read(bytes + Bytes(repeating: 0, count: 1000))
    #expect(keys.count == 7 && contents.damage == nil && contents.endOffset == bytes.count)
  }

  @Test func `a record of another segment does not pass`() throws {
    let (bytes, _) = try segment(synced: 7)
    var other = JournalFormat.Header(number: FileNumber(2), firstSequence: SequenceNumber(1))
      .encode()
    other += bytes[JournalFormat.headerByteCount...]
    #expect(try read(other).keys.isEmpty)
  }

  @Test func `a missing record is a gap in the sequence`() throws {
    let (bytes, offsets) = try segment(synced: 7)
    var shortened = bytes
    shortened.removeSubrange(offsets[2]..<offsets[3])
    let error = #expect(throws: StorageError.self) { try read(shortened) }
    #expect(error?.code == .sequenceGap && error?.offset == offsets[2])
  }
}
