import KVBase
import Testing

@testable import KVStorage

/// The bytes of every format.
///
/// The same bytes are explained in Docs/Formats.md; a change here is a new format version.
@Suite struct FormatTests {
  private func hex(_ bytes: Bytes) -> String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  @Test func `golden bytes of a journal segment`() {
    #expect(
      hex(StorageFuzz.sampleJournal()) == """
        5350494e454a4e4c000000020000000000000003000000000000000aac2ef35d0000002d01000000\
        000000000a0000000000000009baf4fd5e030105616c7068610b0566697273742076616c75650108\
        616c70686162657406007365636f6e640004626574610000000902000000000000000d0000000000\
        0000098ae5c9d70105616c706861430b0000000000000066000000009c2b1b6e5350494e454a4958
        """)
  }

  @Test func `golden bytes of an SSTable`() {
    #expect(
      hex(StorageFuzz.sampleTable()) == """
        0005510b05616c70686105035106006265740004506265746166697273742076616c75657365636f\
        6e6400000000000000000000001900000001000000003aea25054f00200000100080000000040000\
        41201000000000000000000000000000000000400000002010000000000100000800000008000000\
        3000100000000000001000020600000000429bcc578c000000000000000000000000000000000000\
        00000000004300000000616c7068610000000100000005000000002947b09fee0105616c7068618e\
        0129434203000000000d7cc37ad60301000a0a05616c70686104626574610000000010d41729d400\
        000000000000c00000000d00000000000000d6000000100000000000000000000000000000000000\
        000000000000000000000218b036c45350494e45535354
        """)
  }

  @Test func `golden bytes of a manifest and of CURRENT`() {
    #expect(
      hex(StorageFuzz.sampleManifest()) == """
        5350494e454d414e00000002000000000000000717b69d2100000035054245670109020c03080501\
        05040006ac02deadbeef0301000a0c05616c70686104626574610802070003a001010b0a06091201\
        0162016309
        """)
    let current = String(decoding: ManifestFormat.current("MANIFEST-000007"), as: UTF8.self)
    #expect(current == "MANIFEST-000007 1483918946\n")
  }

  @Test func `the documented bytes are the golden ones`() throws {
    let root = try #require("\(#filePath)".split(separator: "/Tests/").first)
    let formats = try PosixFileSystem().readAll("\(root)/Docs/Formats.md")
    let digits = String(decoding: formats, as: UTF8.self).filter { !" \n`".contains($0) }
    for sample in [
      StorageFuzz.sampleJournal(), StorageFuzz.sampleTable(), StorageFuzz.sampleManifest(),
      StorageFuzz.sampleReference(),
    ] {
      #expect(digits.contains(hex(sample)), "Docs/Formats.md lacks \(hex(sample))")
    }
  }

  @Test func `an edit and properties survive encoding`() throws {
    let edit = StorageFuzz.sampleEdit()
    #expect(try VersionEdit(decoding: edit.encode()) == edit)
    var clean = VersionEdit()
    clean.isCleanShutdown = true
    #expect(try VersionEdit(decoding: clean.encode()) == clean)
    #expect(throws: DecodingFailure.self) { try VersionEdit(decoding: [99]) }
    #expect(throws: DecodingFailure.self) { try VersionEdit(decoding: [5, 200, 1]) }
  }

  @Test func `an unknown version is refused as such`() throws {
    var journal = StorageFuzz.sampleJournal()
    journal[11] = 3
    let checksum = CRC32C.checksum(journal[..<28])
    withUnsafeBytes(of: checksum.bigEndian) { journal.replaceSubrange(28..<32, with: $0) }
    let error = #expect(throws: StorageError.self) {
      try JournalReader(path: "j").header(journal)
    }
    #expect(error?.code == .unsupportedVersion)
  }

  @Test func `readers refuse mutated bytes without harm`() {
    var random = SeededRandom(seed: 4)
    for (_, sample) in StorageFuzz.samples() {
      StorageFuzz.fuzzReaders(bytes: sample)
      for _ in 0..<60 {
        var bytes = sample
        for _ in 0...random.below(4) {
          bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        }
        if random.chance(0.2) { bytes.removeLast(random.below(bytes.count)) }
        StorageFuzz.fuzzReaders(bytes: bytes)
      }
    }
  }
}
