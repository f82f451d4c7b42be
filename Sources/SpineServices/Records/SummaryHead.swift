public import KVBase

/// Which summaries a patient has, and which of them replaced which.
///
/// The current one is derived, never stored, so that siblings unite without loss.
public struct SummaryHead: Codable, Hashable, Sendable {
  /// The practice that uploaded last.
  public var practice: String
  /// Every summary seen, by identifier.
  public var summaries: [String: Entry]

  /// One summary's place in the history.
  public struct Entry: Codable, Hashable, Sendable {
    /// When it was uploaded.
    public var time: String
    /// The summaries it replaced.
    public var replaces: [String]
  }

  /// The summary that no other replaced; of several the latest, then the higher identifier.
  public var current: String? {
    let replaced = Set(summaries.values.flatMap(\.replaces))
    return summaries.filter { !replaced.contains($0.key) }
      .max { ($0.value.time, $0.key) < ($1.value.time, $1.key) }?.key
  }

  var indexTerms: [IndexTerm] { [IndexTerm("gp_bin", practice)] }

  func merged(with other: SummaryHead) -> SummaryHead {
    let entries = summaries.merging(other.summaries) {
      ($0.time, $0.replaces.joined()) <= ($1.time, $1.replaces.joined()) ? $0 : $1
    }
    let newer =
      (current.flatMap { summaries[$0]?.time } ?? "", practice)
      >= (other.current.flatMap { other.summaries[$0]?.time } ?? "", other.practice)
    return SummaryHead(practice: newer ? practice : other.practice, summaries: entries)
  }
}

/// One summary as uploaded.
public struct SummaryBody: Hashable, Sendable {
  /// The patient.
  public var nhsNumber: String
  /// The practice.
  public var practice: String
  /// When it was uploaded, `YYYYMMDDHHMMSS`.
  public var time: String
  /// The document.
  public var body: Bytes

  var indexTerms: [IndexTerm] {
    [IndexTerm("gp_bin", practice), IndexTerm("nhs_bin", "\(nhsNumber)|\(time)")]
  }

  init(nhsNumber: String, practice: String, time: String, body: Bytes) {
    self.nhsNumber = nhsNumber
    self.practice = practice
    self.time = time
    self.body = body
  }

  /// A header line and the body: the body stays as uploaded.
  func encoded() -> Bytes { Bytes("\(nhsNumber)|\(practice)|\(time)\n".utf8) + body }

  init(encoded bytes: Bytes) throws(DecodingFailure) {
    let document = try Document(encoded: bytes)
    self.init(
      nhsNumber: document.prescriptionID, practice: document.title, time: document.time,
      body: document.body)
  }

  func precedes(_ other: SummaryBody) -> Bool {
    !other.encoded().lexicographicallyPrecedes(encoded())
  }
}

/// What a large record consists of.
public struct RecordManifest: Codable, Hashable, Sendable, WrittenOnce {
  /// The patient.
  public var nhsNumber: String
  /// The media type of the record.
  public var contentType: String
  /// The record's length.
  public var byteCount: Int
  /// The SHA-256 of the whole record.
  public var hash: String
  /// Its pieces in order.
  public var chunks: [Chunk]
  /// When it was stored.
  public var time: String

  /// One piece: its key, which is the SHA-256 of its content, and its length.
  public struct Chunk: Codable, Hashable, Sendable {
    /// The SHA-256 of the piece, which is its key.
    public var hash: String
    /// Its length.
    public var byteCount: Int
  }
}
