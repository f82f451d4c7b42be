import KVBase

/// Says of a key that it is certainly not in a part of a table, or that it may be.
///
/// All bits of a key are in one line of 64 bytes, so that a question costs at most one cache miss.
/// At 10 bits a key it is wrong for 0.96 % of the keys that are not there.
///
/// **On disk**: Docs/Formats.md, "Filter".
/// **Source**: Putze, Sanders, Singler, *Cache-, hash- and space-efficient Bloom filters* (2007).
struct BloomFilter {
  /// The kind after the plain Bloom filter; persisted.
  static let kind: UInt8 = 2
  /// Bytes of a line, which is also how a filter is aligned in memory.
  static let lineByteCount = 64
  private static let trailerByteCount = 2
  private static let multiplier: UInt64 = 0x9E37_79B9_7F4A_7C15

  private let bytes: RawBytes
  private let lineCount: UInt64
  private let probeCount: UInt8

  /// Nil when the bytes are no filter.
  init?(_ bytes: RawBytes) {
    let lines = bytes.count - BloomFilter.trailerByteCount
    guard lines > 0, lines % BloomFilter.lineByteCount == 0, bytes[lines] == BloomFilter.kind,
      (1...30).contains(bytes[lines + 1])
    else { return nil }
    self.bytes = bytes
    lineCount = UInt64(lines / BloomFilter.lineByteCount)
    probeCount = bytes[lines + 1]
  }

  /// The hash by which keys are added and looked up; persisted by its effect.
  @inline(__always)
  static func hash(_ key: RawBytes) -> UInt64 { StableHash.hash(key) }

  /// Encodes a filter of the keys with these hashes.
  static func encode(_ hashes: [UInt64], bitsPerKey: Int) -> Bytes {
    let lineBitCount = lineByteCount * 8
    let lineCount = max(1, (hashes.count * bitsPerKey + lineBitCount - 1) / lineBitCount)
    let lines = lineCount * lineByteCount
    var bytes = Bytes(repeating: 0, count: lines + trailerByteCount)
    let probeCount = max(1, min(30, (bitsPerKey * 62 + 30) / 100))
    bytes[lines] = kind
    bytes[lines + 1] = UInt8(probeCount)
    bytes.withUnsafeMutableBufferPointer { buffer in
      for hash in hashes {
        let line = position(hash, UInt64(lineCount))
        var probe = hash
        for _ in 0..<probeCount {
          probe &*= multiplier
          let bit = Int(probe &>> 55)
          buffer[line &+ bit &>> 3] |= 1 &<< UInt8(truncatingIfNeeded: bit & 7)
        }
      }
    }
    return bytes
  }

  /// False when no key with this hash was added.
  @inline(__always)
  func mayContain(_ hash: UInt64) -> Bool {
    let line = BloomFilter.position(hash, lineCount)
    var probe = hash
    for _ in 0..<probeCount {
      probe &*= BloomFilter.multiplier
      let bit = Int(probe &>> 55)
      if bytes[line &+ bit &>> 3] & 1 &<< UInt8(truncatingIfNeeded: bit & 7) == 0 { return false }
    }
    return true
  }

  /// The offset of the line of a hash, without a division.
  @inline(__always)
  private static func position(_ hash: UInt64, _ lineCount: UInt64) -> Int {
    Int(hash.multipliedFullWidth(by: lineCount).high) &* lineByteCount
  }
}
