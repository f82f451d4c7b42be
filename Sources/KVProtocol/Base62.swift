package import KVBase

/// Numbers as text of `0-9A-Za-z`: generated keys and version tags.
package enum Base62 {
  private static let digits = Bytes(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  /// The number of random bytes behind a generated key.
  package static let keyBytes = 20

  /// The big-endian number `bytes` in base 62, without leading zeros.
  package static func text(_ bytes: Bytes) -> Bytes {
    var number = bytes
    var result: Bytes = []
    while let start = number.firstIndex(where: { $0 != 0 }) {
      var remainder = 0
      for index in start..<number.count {
        let value = remainder << 8 | Int(number[index])
        number[index] = UInt8(value / 62)
        remainder = value % 62
      }
      result.append(digits[remainder])
    }
    return result.isEmpty ? [digits[0]] : result.reversed()
  }

  /// A key that no other call will generate, from 20 bytes of `random`.
  package static func key(using random: inout some RandomNumberGenerator) -> Bytes {
    text((0..<keyBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) })
  }
}
