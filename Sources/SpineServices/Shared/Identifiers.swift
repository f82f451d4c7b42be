/// A patient's NHS number: ten digits, the last a check digit.
///
/// **Source**: NHS Data Dictionary, modulus 11 with weights 10…2; a check value of 10 is never
/// issued. Numbers of one repeated digit pass the arithmetic and are refused all the same.
public struct NHSNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The ten digits.
  public let digits: String

  /// The number, with or without the customary spaces; nil when it is not valid.
  public init?(_ text: String) {
    let digits = text.filter { $0 != " " && $0 != "-" }
    guard digits.utf8.count == 10, digits.utf8.allSatisfy({ (48...57).contains($0) }),
      Set(digits).count > 1, let last = digits.utf8.last,
      Self.checkDigit(of: digits.utf8.prefix(9).map { Int($0) - 48 }) == Int(last) - 48
    else { return nil }
    self.digits = digits
  }

  /// The check digit of nine digits, nil when they have none.
  public static func checkDigit(of digits: [Int]) -> Int? {
    let sum = zip(digits, stride(from: 10, through: 2, by: -1)).reduce(0) { $0 + $1.0 * $1.1 }
    let check = 11 - sum % 11
    return check == 10 ? nil : check % 11
  }

  /// Who issues numbers of this range.
  public var range: Range {
    switch Int(digits) ?? 0 {
    case 100_000_000...3_112_999_999: .scotland
    case 3_200_000_000...3_999_999_999: .northernIreland
    case 4_000_000_000...4_999_999_999, 6_000_000_000...7_999_999_999: .england
    case 8_000_000_000...8_599_999_999: .ireland
    case 9_000_000_000...9_999_999_999: .synthetic
    default: .reserved
    }
  }

  /// The published ranges.
  public enum Range: String, Sendable {
    /// Issued in England, Wales and the Isle of Man.
    case england
    /// The Scottish CHI.
    case scotland
    /// The Northern Irish health and care number.
    case northernIreland
    /// The Irish individual health identifier.
    case ireland
    /// Never issued: test and synthetic data.
    case synthetic
    /// Held back.
    case reserved
  }

  /// The text for people.
  public var description: String { digits }

  /// The order of their texts.
  public static func < (a: NHSNumber, b: NHSNumber) -> Bool { a.digits < b.digits }
}

/// A prescription's identifier: short form (`7D9625-Z72BF2-11E3AC`) or an upper-case UUID.
///
/// **Source**: ISO 7064 MOD 37-2 with `+` for `*`; the store key leaves the check character out.
public struct PrescriptionID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The whole identifier, with its check character.
  public let text: String

  private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+".utf8)
  private static let shortCount = 20
  private static let longCount = 36

  /// Why a text is no identifier.
  public enum Failure: Error, Hashable, Sendable {
    /// It has neither form.
    case malformed
    /// The form is right and the check character is not.
    case wrongCheckCharacter(expected: Character)
  }

  /// Reads an identifier and verifies its check character; the long form may lack it.
  public init(_ text: String) throws(Failure) {
    guard Self.hasShortForm(text) || Self.hasLongForm(text) else { throw .malformed }
    self.text = text
    guard text.utf8.count != Self.longCount else { return }
    let body = String(text.dropLast())
    guard let expected = Self.checkCharacter(of: body) else { throw .malformed }
    guard text.last == expected else { throw .wrongCheckCharacter(expected: expected) }
  }

  /// The key of the record: everything but the check character.
  public var storeKey: String {
    Self.hasShortForm(text) ? String(text.prefix(Self.shortCount - 1)) : String(text.prefix(36))
  }

  /// The store key for a text that may or may not carry the check character.
  public static func storeKey(of text: String) -> String {
    text.utf8.count == shortCount || text.utf8.count == longCount + 1
      ? String(text.dropLast()) : text
  }

  /// The check character of an identifier that lacks it; nil when it has other characters.
  public static func checkCharacter(of body: some StringProtocol) -> Character? {
    var total = 0
    for byte in body.utf8 where byte != UInt8(ascii: "-") {
      guard let value = alphabet.firstIndex(of: byte) else { return nil }
      total = (total + value) * 2 % 37
    }
    return Character(UnicodeScalar(alphabet[(38 - total) % 37]))
  }

  private static func hasShortForm(_ text: String) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts.map(\.utf8.count) == [6, 6, 6] else { return false }
    let third = parts[2]
    return parts[0].utf8.allSatisfy(isHex) && parts[1].utf8.allSatisfy(isAlphanumeric)
      && third.utf8.dropLast().allSatisfy(isHex)
      && third.utf8.suffix(1).allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "+") }
  }

  private static func hasLongForm(_ text: String) -> Bool {
    let count = text.utf8.count
    guard count == longCount || count == longCount + 1 else { return false }
    return MessageID.isUUID(text.prefix(longCount)) && text == text.uppercased()
  }

  private static func isHex(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...70).contains(byte)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...90).contains(byte)
  }

  /// The text for people.
  public var description: String { text }

  /// The order of their texts.
  public static func < (a: PrescriptionID, b: PrescriptionID) -> Bool { a.text < b.text }
}

/// An organisation's ODS code: one to eight letters and digits, upper case.
public struct ODSCode: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The code.
  public let text: String

  /// The code in upper case; nil when it is not one.
  public init?(_ text: String) {
    let upper = text.uppercased()
    guard (1...8).contains(upper.utf8.count),
      upper.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) })
    else { return nil }
    self.text = upper
  }

  /// The text for people.
  public var description: String { text }

  /// The order of their texts.
  public static func < (a: ODSCode, b: ODSCode) -> Bool { a.text < b.text }
}

/// The identifier of a message, an upper-case UUID; the same message sent again has the same one.
public struct MessageID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The UUID in upper case.
  public let text: String

  /// A UUID in either case; nil for anything else.
  public init?(_ text: String) {
    guard Self.isUUID(text) else { return nil }
    self.text = text.uppercased()
  }

  /// A UUID (version 8) that follows from the given texts: a sender that derives its message ids
  /// can run again without doing anything twice.
  public init(derivedFrom parts: String...) {
    var hex: [UInt8] = []
    let digest = SHA256.digest(Array(parts.joined(separator: "\u{1F}").utf8))
    for byte in digest.prefix(16) {
      for nibble in [byte >> 4, byte & 15] { hex.append(nibble < 10 ? 48 + nibble : 55 + nibble) }
    }
    hex[12] = UInt8(ascii: "8")
    hex[16] = UInt8(ascii: "A")
    let groups = [hex[0..<8], hex[8..<12], hex[12..<16], hex[16..<20], hex[20..<32]]
    text = groups.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-")
  }

  static func isUUID(_ text: some StringProtocol) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    return parts.map(\.utf8.count) == [8, 4, 4, 4, 12]
      && parts.allSatisfy {
        $0.utf8.allSatisfy {
          UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
            || UInt8(ascii: "A")...UInt8(ascii: "F") ~= $0
            || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
        }
      }
  }

  /// The text for people.
  public var description: String { text }

  /// The order of their texts.
  public static func < (a: MessageID, b: MessageID) -> Bool { a.text < b.text }
}
