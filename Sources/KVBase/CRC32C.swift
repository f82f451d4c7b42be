internal import CCRC32C

/// The Castagnoli checksum that guards every record, block and frame.
///
/// Uses the processor's instruction where there is one, else a table; both give the same value.
///
/// **Source**: RFC 3720, appendix B.4 (polynomial 0x1EDC6F41, reflected).
public enum CRC32C {
  private static let hasInstruction = spinekv_crc32c_available() != 0

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
  }

  /// The checksum of `bytes`; pass an earlier result as `continuing` to extend it.
  public static func checksum(_ bytes: Bytes, continuing crc: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, continuing: crc) }
  }

  /// The checksum of a slice.
  public static func checksum(_ bytes: ArraySlice<UInt8>, continuing crc: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, continuing: crc) }
  }

  /// The checksum of raw memory.
  public static func checksum(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32
  {
    guard let base = bytes.baseAddress else { return crc }
    guard hasInstruction else { return tableChecksum(bytes, continuing: crc) }
    return ~spinekv_crc32c_extend(~crc, base, bytes.count)
  }

  static func tableChecksum(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32) -> UInt32 {
    table.withUnsafeBufferPointer { table in
      var register = ~crc
      for byte in bytes {
        register = register >> 8 ^ table[Int(UInt8(truncatingIfNeeded: register) ^ byte)]
      }
      return ~register
    }
  }
}
