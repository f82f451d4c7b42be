public import KVBase

/// A message as it was received, with what it is indexed by.
public struct Document: Hashable, Sendable {
  /// The prescription it is about.
  public var prescriptionID: String
  /// What it is, such as `Prescription`.
  public var title: String
  /// When it was stored, `YYYYMMDDHHMMSS`.
  public var time: String
  /// The bytes as received.
  public var body: Bytes

  /// A document about a prescription.
  public init(prescriptionID: String, title: String, time: String, body: Bytes) {
    self.prescriptionID = prescriptionID
    self.title = title
    self.time = time
    self.body = body
  }

  /// Months after which a document is removed whatever its record says.
  private static let backstopMonths = 18

  var indexTerms: [IndexTerm] {
    let backstop = CivilDate(time.prefix(8))?.adding(months: Self.backstopMonths).text ?? ""
    return [
      IndexTerm("backstopdeletedate_bin", backstop),
      IndexTerm("prescriptionid_bin", prescriptionID),
      IndexTerm("storetimebydocreftitle_bin", "\(title)_\(time)"),
    ]
  }

  /// A header line (identifier, title, time) and the body: the body stays as received.
  func encoded() -> Bytes {
    Bytes("\(prescriptionID)|\(title)|\(time)\n".utf8) + body
  }

  init(encoded bytes: Bytes) throws(DecodingFailure) {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")),
      let header = String(validating: bytes[..<end], as: UTF8.self)
    else { throw DecodingFailure(expected: "a header line", offset: 0) }
    let parts = header.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3 else {
      throw DecodingFailure(expected: "three header fields", offset: 0)
    }
    self.init(
      prescriptionID: parts[0], title: parts[1], time: parts[2], body: Bytes(bytes[(end + 1)...]))
  }

  /// The same document stored twice is stored at two times: the earlier stands.
  func precedes(_ other: Document) -> Bool {
    !other.encoded().lexicographicallyPrecedes(encoded())
  }
}
