internal import CCrypto
public import KVBase

/// SHA-256, by OpenSSL: names the chunks of a large record and proves them undamaged.
public enum SHA256 {
  /// The 32-byte digest of `bytes`.
  public static func digest(_ bytes: Bytes) -> Bytes {
    var digest = Bytes(repeating: 0, count: 32)
    var count: UInt32 = 32
    let done = EVP_Digest(bytes, bytes.count, &digest, &count, EVP_sha256(), nil)
    precondition(done == 1 && count == 32, "libcrypto gave a digest of \(count) bytes")
    return digest
  }

  /// The digest in lower-case hexadecimal.
  public static func hex(_ bytes: Bytes) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: digest(bytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
      as: UTF8.self)
  }
}
