import KVBase

/// Says of a key that it is certainly not in a table, or that it may be.
///
/// **On disk**: Docs/Formats.md, "Filter".
/// **Source**: Bloom (1970), with the double hashing of Kirsch and Mitzenmacher (2006).
enum BloomFilter {
  /// The only kind so far; persisted.
  static let kind: UInt8 = 1

  /// The hash by which keys are added and looked up; persisted by its effect.
  @inline(__always)
  static func hash(_ key: RawBytes) -> UInt64 { StableHash.hash(key) }

  /// Encodes a filter of the keys with these hashes.
  static func encode(_ hashes: [UInt64], bitsPerKey: Int) -> Bytes {
    // The number of probes that makes the fewest mistakes is bits * ln 2.
    let probes = max(1, min(30, bitsPerKey * 69 / 100 + 1))
    let byteCount = max(8, (hashes.count * bitsPerKey + 7) / 8)
    var bytes = Bytes(repeating: 0, count: 2 + byteCount)
    bytes[0] = kind
    bytes[1] = UInt8(probes)
    bytes.withUnsafeMutableBufferPointer { buffer in
      for hash in hashes {
        var probe = hash
        let step = hash &>> 33 | hash &<< 31
        for _ in 0..<probes {
          let bit = position(probe, byteCount * 8)
          buffer[2 &+ bit &>> 3] |= 1 &<< UInt8(truncatingIfNeeded: bit & 7)
          probe &+= step
        }
      }
    }
    return bytes
  }

  /// False when no key with this hash was added; `filter` has been checked by ``isValid(_:)``.
  @inline(__always)
  static func mayContain(_ hash: UInt64, _ filter: RawBytes) -> Bool {
    let bitCount = (filter.count &- 2) &* 8
    var probe = hash
    let step = hash &>> 33 | hash &<< 31
    for _ in 0..<filter[1] {
      let bit = position(probe, bitCount)
      if filter[2 &+ bit &>> 3] & 1 &<< UInt8(truncatingIfNeeded: bit & 7) == 0 { return false }
      probe &+= step
    }
    return true
  }

  static func isValid(_ filter: RawBytes) -> Bool {
    filter.count >= 3 && filter[0] == kind && (1...30).contains(filter[1])
  }

  /// Maps a hash to a bit without a division.
  @inline(__always)
  private static func position(_ hash: UInt64, _ bitCount: Int) -> Int {
    Int(hash.multipliedFullWidth(by: UInt64(bitCount)).high)
  }
}
