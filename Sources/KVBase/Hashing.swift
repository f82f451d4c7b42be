/// A fast 64-bit hash that is the same in every process and on every machine.
///
/// For filters, content hashes and identities; not for use against an attacker. FNV-1a over 8-byte
/// words, finished with the mixer of SplitMix64 (Steele, Lea, Flood 2014).
public enum StableHash {
  /// The hash of `bytes`; different `seed` values give independent functions.
  public static func hash(_ bytes: Bytes, seed: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { hash($0, seed: seed) }
  }

  /// The hash of raw memory.
  public static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    var state = 0xCBF2_9CE4_8422_2325 ^ mix(seed &+ UInt64(bytes.count))
    var offset = 0
    while offset + 8 <= bytes.count {
      let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      state = mix(state ^ word) &* 0x0000_0100_0000_01B3
      offset += 8
    }
    while offset < bytes.count {
      state = (state ^ UInt64(bytes[offset])) &* 0x0000_0100_0000_01B3
      offset += 1
    }
    return mix(state)
  }

  /// Spreads the bits of `value`; a bijection.
  public static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
