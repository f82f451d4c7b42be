import Foundation
import KVBase
import Testing

@testable import KVStorage

@Suite struct EncryptionTests {
  private let text = (0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }

  private func file(_ contents: Bytes) throws -> CrashableFileSystem {
    let base = CrashableFileSystem()
    let fileSystem = EncryptedFileSystem.test(base)
    try fileSystem.createDirectory("/d")
    try fileSystem.createFile("/d/f", contents: contents)
    return base
  }

  @Test func `a flipped bit anywhere in a file is never served`() throws {
    let base = try file(text)
    let rawCount = try base.size("/d/f")
    var detected = 0
    for offset in 0..<rawCount {
      let mask = UInt8(1) << UInt8(offset % 8)
      base.corrupt("/d/f", at: offset, mask: mask)
      do {
        let found = try EncryptedFileSystem.test(base).readAll("/d/f")
        #expect(found == text, "offset \(offset)")
      } catch {
        #expect(error.code == .authenticationFailed && error.path == "/d/f", "\(error)")
        #expect(error.offset != nil && offset >= EncryptedFormat.dataOffset)
        detected += 1
      }
      base.corrupt("/d/f", at: offset, mask: mask)
    }
    let sealed = text.count + 3 * (EncryptedFormat.payloadOffset / 2)
    #expect(detected >= sealed - 3 * 4 && detected <= text.count + 3 * 80, "\(detected)")
  }

  @Test func `lost and swapped pages and a lost end are detected`() throws {
    func damaged(_ damage: (inout Bytes) -> Void) throws -> StorageError? {
      let base = try file(text)
      var raw = try base.readAll("/d/f")
      damage(&raw)
      try base.createFile("/d/f", contents: raw)
      return #expect(throws: StorageError.self) {
        try EncryptedFileSystem.test(base).readAll("/d/f")
      }
    }
    let start = EncryptedFormat.dataOffset
    let zeroed = try damaged { raw in
      raw.replaceSubrange(start..<start + 4096, with: Bytes(repeating: 0, count: 4096))
    }
    #expect(zeroed?.code == .authenticationFailed && zeroed?.offset == 0)
    let swapped = try damaged { raw in
      let first = Bytes(raw[start..<start + 4096])
      raw.replaceSubrange(start..<start + 4096, with: raw[start + 4096..<start + 8192])
      raw.replaceSubrange(start + 4096..<start + 8192, with: first)
    }
    #expect(swapped?.code == .authenticationFailed)
    let cut = try damaged { $0.removeLast(2) }
    #expect(cut?.code == .authenticationFailed && cut?.offset == text.count - 2)
    let headless = try damaged { raw in
      for offset in [20, 532] { raw[offset] ^= 1 }
    }
    #expect(headless?.code == .authenticationFailed)
  }

  @Test func `a page of another file is refused`() throws {
    let base = try file(text)
    let fileSystem = EncryptedFileSystem.test(base, seed: 5)
    try fileSystem.createFile("/d/g", contents: text)
    var raw = try base.readAll("/d/f")
    raw.replaceSubrange(8192..<12288, with: try base.readAll("/d/g")[8192..<12288])
    try base.createFile("/d/f", contents: raw)
    #expect(throws: StorageError.self) { try fileSystem.readAll("/d/f") }
  }

  @Test func `no keystream is used for two plaintexts`() throws {
    let base = try file([])
    let fileSystem = EncryptedFileSystem.test(base)
    let zeros = Bytes(repeating: 0, count: 600)
    let ones = Bytes(repeating: 0xFF, count: 600)
    var ciphertexts: [Bytes] = []
    func remember() throws {
      let start = EncryptedFormat.dataOffset + EncryptedFormat.payloadOffset
      ciphertexts.append(Bytes(try base.readAll("/d/f")[start + 100..<start + 280]))
    }
    let file = try fileSystem.create("/d/f")
    try file.write(zeros, at: 0)
    try remember()
    try file.truncate(to: 50)
    try file.write(ones, at: 50)
    try remember()
    try file.write(zeros, at: 0)
    try remember()
    try file.truncate(to: 0)
    try file.write(ones, at: 0)
    try remember()
    try file.truncate(to: 50)
    base.injectFault(.inputOutput, at: 1)
    #expect(throws: StorageError.self) { try file.write(ones, at: 50) }
    try remember()
    try file.write(zeros, at: 50)
    try remember()
    for (index, first) in ciphertexts.enumerated() {
      for second in ciphertexts[(index + 1)...] {
        // Half the bits of two independent streams differ; of one stream used twice, all or none.
        let different = zip(first, second).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
        #expect((550..<900).contains(different), "\(different) of 1440 bits differ")
      }
    }
  }

  @Test func `preallocated space is raw zeros and reads as zeros`() throws {
    let base = try file([])
    let fileSystem = EncryptedFileSystem.test(base)
    let file = try fileSystem.create("/d/f")
    try file.write(bytes("begun"), at: 0)
    try file.preallocate(5..<20_000)
    try file.sync()
    let raw = try base.readAll("/d/f")
    #expect(
      raw[(EncryptedFormat.dataOffset + EncryptedFormat.payloadOffset + 5)...].allSatisfy {
        $0 == 0
      })
    let fresh = EncryptedFileSystem.test(base)
    #expect(try fresh.readAll("/d/f") == bytes("begun") + Bytes(repeating: 0, count: 19_995))
    base.corrupt("/d/f", at: raw.count - 1, mask: 255)
    #expect(try fresh.readAll("/d/f") == bytes("begun") + Bytes(repeating: 0, count: 19_995))
  }

  @Test func `a file is read while another thread appends to it`() throws {
    let root = NSTemporaryDirectory() + "spinekv-live-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let fileSystem = EncryptedFileSystem(PosixFileSystem(), keys: .test(1))
    try fileSystem.createDirectory(root)
    let path = root + "/f"
    let file = try fileSystem.create(path)
    let reader = try fileSystem.open(path)
    let text = text
    let thread = try PosixThread {
      var offset = 0
      while offset < 2_000_000 {
        let part = Bytes(text[(offset % 9000)...].prefix(1 + offset % 777))
        try? file.write(part, at: offset)
        if offset % 50 == 0 { try? file.sync() }
        offset += part.count
      }
    }
    var random = SeededRandom(seed: 1)
    var buffer = Bytes(repeating: 0, count: 10_000)
    var end = 0
    while end < 2_000_000 {
      let offset = max(0, end - random.below(12_000))
      let count = try buffer.withUnsafeMutableBytes { try reader.read(at: offset, into: $0) }
      end = max(end, offset + count)
      let isRight = (0..<count).allSatisfy { buffer[$0] == text[(offset + $0) % 9000] }
      #expect(isRight, "\(count) bytes at \(offset)")
      guard isRight else { break }
    }
    thread.join()
  }

  @Test func `golden bytes of a key slot and of a page`() throws {
    let slot = EncryptionFuzz.sampleKeySlot()
    #expect(
      hex(slot) == """
        5350494e45454e4300000001000000019d6b6a6797d550b26465666768696a6b6c6d6e6f70717273\
        9c891b30b44f853bef76f36d7382cbd53da599dbc29f78dba559cecc505d4a3ef0b22ae0b8593efe\
        9d66d55c70f0f1b99b104273da83d929a5fd139778cf74151520f009bbc4990a26ae170a
        """)
    #expect(
      hex(EncryptionFuzz.samplePage()) == """
        00000000000000010000000000000000000000000000000bdfd0aeee140655da35679ff864eefe9f\
        00000000000000000000000000000000000000000000000000000000000000000000000000000000\
        0271c433facb97809d55fb
        """)
    let root = try #require("\(#filePath)".split(separator: "/Tests/").first)
    let formats = try PosixFileSystem().readAll("\(root)/Docs/Formats.md")
    let digits = String(decoding: formats, as: UTF8.self).filter { !" \n`".contains($0) }
    for sample in [slot, EncryptionFuzz.samplePage()] {
      #expect(digits.contains(hex(sample)), "Docs/Formats.md lacks \(hex(sample))")
    }
  }

  private func hex(_ bytes: Bytes) -> String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  @Test func `the reader refuses mutated bytes without harm`() {
    var random = SeededRandom(seed: 6)
    for (_, sample) in EncryptionFuzz.samples() {
      for _ in 0..<120 {
        var bytes = sample
        for _ in 0...random.below(4) {
          bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        }
        if random.chance(0.2) { bytes.removeLast(random.below(bytes.count)) }
        EncryptionFuzz.fuzz(bytes)
      }
    }
    for _ in 0..<120 {
      EncryptionFuzz.fuzz(
        (0..<random.below(9000)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }
  }
}
