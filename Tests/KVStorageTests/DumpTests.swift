import KVBase
import KVStorage
import Testing

/// What `ring-admin store dump` and `stats` print of a small store, compared as a whole.
@Suite struct DumpTests {
  /// Two tables, a segment with a separated value, and a journal to be replayed.
  private func build() throws -> CrashableFileSystem {
    let fileSystem = CrashableFileSystem()
    fileSystem.setSecondsSinceEpoch(1000)
    var options = StoreOptions()
    options.separationByteCount = 100
    options.compression = .none
    var store = try Store.open(at: "/s", fileSystem: fileSystem, options: options)
    var batch = WriteBatch()
    batch.put(bytes("a\\b"), bytes("small"), headByteCount: 2)
    batch.put([0, 1, 0x22], Bytes(repeating: 7, count: 150), headByteCount: 3)
    batch.put(bytes("gone"), bytes("x"), expiry: 2000)
    try store.write(batch)
    try store.close()
    store = try Store.open(at: "/s", fileSystem: fileSystem, options: options)
    batch = WriteBatch()
    batch.delete(bytes("a\\b"))
    batch.put([0, 1], bytes("new"))
    try store.write(batch)
    try store.close()
    store = try Store.open(at: "/s", fileSystem: fileSystem, options: options)
    batch = WriteBatch()
    batch.put(bytes("z"), bytes("last"))
    batch.deleteRange(bytes("y"), bytes("z"))
    try store.write(batch)
    fileSystem.setSecondsSinceEpoch(2000)
    var random = SeededRandom(seed: 1)
    return fileSystem.crash(random: &random)
  }

  private func entries(
    _ fileSystem: CrashableFileSystem, from lower: Bytes = [], to upper: Bytes? = nil
  ) throws -> [InspectionRecord] {
    var records: [InspectionRecord] = []
    try StoreInspector(at: "/s", fileSystem: fileSystem).dumpEntries(from: lower, to: upper) {
      records.append($0)
      return true
    }
    return records
  }

  private func file(_ fileSystem: CrashableFileSystem, _ path: String) throws -> String {
    var lines: [String] = []
    try StoreInspector.dumpFile(path, fileSystem: fileSystem) { lines.append($0.text) }
    return lines.joined(separator: "\n")
  }

  @Test func `entries of a range are printed one a line, older and expired ones too`() throws {
    let fileSystem = try build()
    let expected = #"""
      range id=14 kind="deleted" lower="y" upper="z" sequence=7
      entry key="\x00\x01" sequence=5 kind="put" bytes=3 head=0 in="L0" live=true
      entry key="\x00\x01\x22" sequence=2 kind="reference" bytes=150 segment=1 offset=78 head=3 in="L0" live=true
      entry key="a\\b" sequence=4 kind="delete" in="L0" live=false
      entry key="a\\b" sequence=1 kind="put" bytes=5 head=2 in="L0" live=false
      entry key="gone" sequence=3 kind="put" bytes=1 head=0 expiry=2000 in="L0" live=false
      entry key="z" sequence=6 kind="put" bytes=4 head=0 in="journal" live=true
      """#
    #expect(try entries(fileSystem).map(\.text).joined(separator: "\n") == expected)
    #expect(
      try entries(fileSystem, from: bytes("a\\b"), to: bytes("gone")).map(\.json) == [
        #"{"type":"entry","key":"a\\\\b","sequence":4,"kind":"delete","in":"L0","live":false}"#,
        #"{"type":"entry","key":"a\\\\b","sequence":1,"kind":"put","bytes":5,"head":2,"in":"L0","live":false}"#,
      ])
  }

  @Test func `a segment's records, values and index are printed`() throws {
    let fileSystem = try build()
    let sealed = #"""
      segment number=1 firstSequence=1 fileBytes=296
      record offset=32 contents="batch" sequence=1 durable=0 bytes=207
      operation key="a\\b" sequence=1 kind="put" bytes=5 head=2 valueOffset=65
      operation key="\x00\x01\x22" sequence=2 kind="put" bytes=150 head=3 valueOffset=78
      operation key="gone" sequence=3 kind="put" bytes=1 head=0 expiry=2000 valueOffset=238
      record offset=239 contents="index" sequence=4 durable=3 bytes=33
      value key="\x00\x01\x22" offset=78 bytes=150
      footer offset=272 index=239
      """#
    #expect(try file(fileSystem, "/s/journal/000001.journal") == sealed)
    let open = #"""
      segment number=7 firstSequence=6 fileBytes=524361
      record offset=32 contents="batch" sequence=6 durable=5 bytes=41
      operation key="z" sequence=6 kind="put" bytes=4 head=0 valueOffset=63
      operation key="y" sequence=7 kind="deleteRange" upper="z" valueOffset=72
      zeros offset=73 bytes=524288
      """#
    #expect(try file(fileSystem, "/s/journal/000007.journal") == open)
    fileSystem.corrupt("/s/journal/000001.journal", at: 100, mask: 1)
    let damaged = try file(fileSystem, "/s/journal/000001.journal")
    #expect(damaged.contains(#"damage message="1001 checksumMismatch: damaged record"#))
  }

  @Test func `tables, manifest and CURRENT are printed`() throws {
    let fileSystem = try build()
    let table = #"""
      table number=6 entries=2 tombstones=1 smallest="\x00\x01" largest="a\\b" smallestSequence=4 largestSequence=5 fileBytes=164
      block offset=0 bytes=24 last="a\\b"
      entry key="\x00\x01" sequence=5 kind="put" bytes=3 head=0
      entry key="a\\b" sequence=4 kind="delete"
      """#
    #expect(try file(fileSystem, "/s/ledger/000006.sst") == table)
    let manifest = #"""
      manifest fileBytes=90 torn=0
      edit index=0 nextFile=9 flushed=5 journal=7
      addTable number=6 entries=2 tombstones=1 smallest="\x00\x01" largest="a\\b" smallestSequence=4 largestSequence=5 level=0 fileBytes=164 checksum=1670613413
      addTable number=3 entries=3 tombstones=0 smallest="\x00\x01\x22" largest="gone" smallestSequence=1 largestSequence=3 level=0 fileBytes=195 checksum=833641839
      addSegment number=1 kind="journal" fileBytes=296 values=1 valueBytes=150
      """#
    #expect(try file(fileSystem, "/s/ledger/MANIFEST-000008") == manifest)
    #expect(
      try file(fileSystem, "/s/ledger/CURRENT") == #"current manifest="MANIFEST-000008""#)
    let error = #expect(throws: StorageError.self) { try file(fileSystem, "/s/LOCK") }
    #expect(error?.code == .notFound)
  }

  @Test func `the figures of a small store are exact`() throws {
    let figures = try StoreInspector(at: "/s", fileSystem: try build()).figures()
    #expect(figures.levels.map(\.level) == [0] && figures.levels[0].files == 2)
    #expect(figures.levels[0].bytes == 164 + 195)
    #expect(figures.levels[0].entries == 5 && figures.levels[0].tombstones == 1)
    #expect(figures.segments.map(\.number) == [1] && figures.segments[0].kind == "journal")
    #expect(figures.segments[0].bytes == 296 && figures.segments[0].values == 1)
    #expect(figures.segments[0].liveValues == 1 && figures.segments[0].liveBytes == 150)
    #expect(figures.partitions.map(\.partition) == [1, 0x7A00])
    #expect(figures.partitions.map(\.keys) == [2, 1])
    #expect(figures.partitions.map(\.bytes) == [2 + 3 + 3 + 150, 1 + 4])
    #expect(figures.replaySegments == 1 && figures.replayBytes == 524_361)
    #expect(figures.keys == 3 && figures.liveBytes == 163)
    #expect(figures.fileBytes == 359 + 296 + 524_361)
  }

  @Test func `escaped text and bytes correspond`() {
    let all = Bytes(0...255)
    #expect(unescapedBytes(escapedText(all)) == all)
    #expect(escapedText([0, 0x0A, 0x5C, 0x22, 0x41, 0x7F]) == #"\x00\x0a\\\x22A\x7f"#)
    #expect(unescapedBytes("é") == Bytes("é".utf8))
    for text in [#"\"#, #"\x"#, #"\x0"#, #"\xzz"#, #"\n"#] { #expect(unescapedBytes(text) == nil) }
  }
}
