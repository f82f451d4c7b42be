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
      writer.append(batch, firstSequence: SequenceNumber(UInt64(index) + 1))
      writer.beginGroup(through: SequenceNumber(UInt64(index) + 1))
      try writer.writeGroup()
      _ = writer.endGroup()
      if index < synced { writer.durableOffset = writer.writtenOffset }
    }
    return (try fileSystem.readAll(writer.path), offsets)
  }

  private func read(
    _ bytes: Bytes, isLast: Bool = true
  ) throws -> (keys: [UInt8], contents: JournalReader.Contents) {
    let reader = JournalReader(path: "/j", isLast: isLast)
    let header = try #require(try reader.header(bytes))
    var keys: [UInt8] = []
    let contents = try reader.read(bytes, header) { (entry) throws(StorageError) in
      keys.append(entry.key[0])
    }
    return (keys, contents)
  }

  @Test func `what was appended is read back`() throws {
    let (bytes, _) = try segment(synced: 7)
    let (keys, contents) = try read(bytes, isLast: false)
    #expect(keys == [0, 1, 2, 3, 4, 5, 6])
    #expect(contents.recordCount == 7 && contents.tornByteCount == 0)
    #expect(contents.lastSequence == SequenceNumber(7))
  }

  @Test func `a segment cut at any byte loses only the records that are cut`() throws {
    let (bytes, offsets) = try segment(synced: 0)
    for count in JournalFormat.headerByteCount..<bytes.count {
      let complete = offsets.dropFirst().filter { $0 <= count }.count
      let (keys, contents) = try read(Bytes(bytes[..<count]))
      #expect(keys.count == complete, "cut at \(count)")
      #expect(contents.tornByteCount == count - offsets[complete], "cut at \(count)")
      if count > offsets[complete] {
        let error = #expect(throws: StorageError.self) {
          try read(Bytes(bytes[..<count]), isLast: false)
        }
        #expect(error?.isCorruption == true && error?.offset == offsets[complete])
      }
    }
    let header = JournalReader(path: "/j", isLast: true)
    for count in 0..<JournalFormat.headerByteCount {
      #expect(try header.header(Bytes(bytes[..<count])) == nil)
    }
  }

  @Test func `damage to synced records is an error, to the unsynced tail it is a torn write`()
    throws
  {
    let (bytes, offsets) = try segment(synced: 4)
    var random = SeededRandom(seed: 1)
    for offset in JournalFormat.headerByteCount..<bytes.count {
      var damaged = bytes
      damaged[offset] ^= UInt8(1) << UInt8(random.below(8))
      let record = offsets.lastIndex { $0 <= offset } ?? 0
      if record < 4 {
        let error = #expect(throws: StorageError.self, "at \(offset)") { try read(damaged) }
        #expect(error?.isCorruption == true && error?.path == "/j")
        #expect(error?.offset == offsets[record], "at \(offset)")
      } else {
        // Records 5 and later say that no more than the first 4 were durable.
        let (keys, contents) = try read(damaged)
        #expect(keys.count == record, "at \(offset)")
        #expect(contents.tornByteCount == bytes.count - offsets[record])
      }
    }
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
