/// SHA-1, used only to place keys on the ring; it guards nothing against an attacker.
///
/// **Source**: FIPS 180-4, section 6.1.
public enum SHA1 {
  /// The 20-byte digest of `message`.
  ///
  /// Cost is linear in its length.
  public static func digest(_ message: Bytes) -> Bytes {
    var state: (UInt32, UInt32, UInt32, UInt32, UInt32) =
      (0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0)
    var padded = message
    padded.append(0x80)
    padded.append(contentsOf: repeatElement(0, count: (120 - padded.count % 64) % 64))
    withUnsafeBytes(of: UInt64(message.count * 8).bigEndian) { padded.append(contentsOf: $0) }

    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { schedule in
      padded.withUnsafeBytes { bytes in
        for block in stride(from: 0, to: bytes.count, by: 64) {
          compress(UnsafeRawBufferPointer(rebasing: bytes[block..<block + 64]), schedule, &state)
        }
      }
    }
    var writer = ByteWriter(capacity: 20)
    for word in [state.0, state.1, state.2, state.3, state.4] { writer.write(fixed: word) }
    return writer.bytes
  }

  private static func compress(
    _ block: UnsafeRawBufferPointer, _ w: UnsafeMutableBufferPointer<UInt32>,
    _ state: inout (UInt32, UInt32, UInt32, UInt32, UInt32)
  ) {
    for i in 0..<16 {
      w[i] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: i * 4, as: UInt32.self))
    }
    for i in 16..<80 { w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1) }
    var (a, b, c, d, e) = state
    for i in 0..<80 {
      let (f, k): (UInt32, UInt32) =
        switch i {
        case 0..<20: (b & c | ~b & d, 0x5A82_7999)
        case 20..<40: (b ^ c ^ d, 0x6ED9_EBA1)
        case 40..<60: (b & c | b & d | c & d, 0x8F1B_BCDC)
        default: (b ^ c ^ d, 0xCA62_C1D6)
        }
      let next = rotate(a, 5) &+ f &+ e &+ k &+ w[i]
      (e, d, c, b, a) = (d, c, rotate(b, 30), a, next)
    }
    state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d, state.4 &+ e)
  }

  private static func rotate(_ value: UInt32, _ by: UInt32) -> UInt32 {
    value << by | value >> (32 - by)
  }
}
