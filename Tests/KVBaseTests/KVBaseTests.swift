@testable import KVBase
import Testing

@Suite struct KVBaseTests {
  func hex(_ bytes: Bytes) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }

  @Test func `SHA-1 matches the FIPS examples`() {
    #expect(hex(SHA1.digest([])) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
    #expect(hex(SHA1.digest(Bytes("abc".utf8))) == "a9993e364706816aba3e25717850c26c9cd0d89d")
    let long = Bytes(repeating: UInt8(ascii: "a"), count: 1_000_000)
    #expect(hex(SHA1.digest(long)) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
    for length in 50..<130 { #expect(SHA1.digest(Bytes(repeating: 7, count: length)).count == 20) }
  }

  @Test func `CRC32C by the processor equals that by the table for all lengths`() {
    var random = SeededRandom(seed: 5)
    let bytes = (0..<20_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    for count in Array(0..<70) + [3071, 3072, 3073, 6144, 9999, 20_000] {
      let start = random.below(bytes.count - count + 1)
      bytes[start..<start + count].withUnsafeBytes { part in
        let table = CRC32C.tableChecksum(part, continuing: 77)
        #expect(CRC32C.checksum(part, continuing: 77) == table, "\(count) bytes")
      }
    }
  }

  @Test func `CRC32C matches the check value and extends`() {
    let digits = Bytes("123456789".utf8)
    #expect(CRC32C.checksum(digits) == 0xE306_9283)
    #expect(CRC32C.checksum(digits[4...], continuing: CRC32C.checksum(digits[..<4])) == 0xE306_9283)
    #expect(CRC32C.checksum([]) == 0)
  }

  @Test func `what is written is read back`() throws {
    var writer = ByteWriter()
    let varints: [UInt64] = [0, 1, 127, 128, 300, 1 << 35, .max]
    for value in varints { writer.write(varint: value) }
    writer.write(fixed: UInt32(0xDEAD_BEEF))
    writer.write("håndbok")
    writer.write(Bytes([1, 2, 3]))
    writer.write(optional: Int?.none) { $0.write(count: $1) }
    writer.write(list: [true, false]) { $0.write($1) }
    var reader = ByteReader(writer.bytes)
    for value in varints { #expect(try reader.readVarint() == value) }
    #expect(try reader.readFixed(UInt32.self) == 0xDEAD_BEEF)
    #expect(try reader.readString() == "håndbok")
    #expect(try reader.readBytes() == [1, 2, 3])
    let none = try reader.readOptional { (r) throws(DecodingFailure) in try r.readCount() }
    #expect(none == nil)
    let flags = try reader.readList { (r) throws(DecodingFailure) in try r.readBool() }
    #expect(flags == [true, false])
    try reader.expectEnd()
  }

  @Test func `forged lengths and cut buffers are refused`() {
    var forged = ByteReader([0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1, 2])
    #expect(throws: DecodingFailure.self) { try forged.readBytes() }
    var endless = ByteReader(Bytes(repeating: 0xFF, count: 11))
    #expect(throws: DecodingFailure.self) { try endless.readVarint() }
    var short = ByteReader([1, 2, 3])
    #expect(throws: DecodingFailure.self) { try short.readFixed(UInt64.self) }
  }

  @Test func `time arithmetic saturates`() {
    let start = Instant(nanoseconds: 10)
    #expect(start + .seconds(1) == Instant(nanoseconds: 1_000_000_010))
    #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
    #expect(start - (start + .seconds(1)) == .zero)
  }

  @Test func `a seed gives one sequence`() {
    var a = SeededRandom(seed: 42)
    var b = SeededRandom(seed: 42)
    for _ in 0..<100 { #expect(a.next() == b.next()) }
  }
}
