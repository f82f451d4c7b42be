import Foundation

/// The requests of a service in the shares in which it makes them.
///
/// **Source**: the NHS-like load of nhs_riak_load, as the domain notes (1.6) have it: weights per 1,000.
struct ClusterMix: Sendable {
  /// One request, or an update's two.
  enum Step {
    case getRecord
    case updateRecord
    case putDocument
    case getDocument
    case deleteDocument
    case queryPostcode
    case queryBirth
  }

  var weights: [(step: Step, weight: Int)]
  /// Records: at least so many bytes, and exponentially more of this mean.
  var recordBytes: Int
  var moreRecordBytes: Double
  /// The share of records that are larger, and how many times.
  var largeShare: Double
  var largeFactor: Int
  var documentBytes: Int

  static let general = ClusterMix(
    weights: [
      (.getRecord, 621), (.updateRecord, 130), (.putDocument, 90), (.getDocument, 130),
      (.deleteDocument, 25), (.queryPostcode, 3), (.queryBirth, 1),
    ], recordBytes: 8_000, moreRecordBytes: 2_000, largeShare: 0.2, largeFactor: 10,
    documentBytes: 8_000)

  static let clinicals = ClusterMix(
    weights: [
      (.getRecord, 700), (.updateRecord, 120), (.putDocument, 70), (.getDocument, 110),
    ], recordBytes: 80_000, moreRecordBytes: 20_000, largeShare: 0.1, largeFactor: 2,
    documentBytes: 7_000)

  static let records = Array("domainRecord".utf8)
  static let documents = Array("domainDocument".utf8)
  /// Distinct postcodes and days of birth among the records.
  private static let postcodes = 200
  private static let days = 2_000

  func step(_ random: inout some RandomNumberGenerator) -> Step {
    var left = Int.random(in: 0..<weights.reduce(0) { $0 + $1.weight }, using: &random)
    for (step, weight) in weights {
      if left < weight { return step }
      left -= weight
    }
    return weights[0].step
  }

  /// The 80 in 100 requests that go to the 20 in 100 keys.
  static func record(_ count: Int, _ random: inout some RandomNumberGenerator) -> Int {
    let hot = max(1, count / 5)
    return Int.random(in: 0..<10, using: &random) < 8
      ? Int.random(in: 0..<hot, using: &random) : Int.random(in: 0..<count, using: &random)
  }

  /// A record's value, of which about half compresses.
  func record(_ random: inout some RandomNumberGenerator) -> [UInt8] {
    let more = -log(Double.random(in: 1e-9..<1, using: &random)) * moreRecordBytes
    var size = recordBytes + Int(more)
    if Double.random(in: 0..<1, using: &random) < largeShare { size *= largeFactor }
    return Self.bytes(size, noise: 2, &random)
  }

  func document(_ random: inout some RandomNumberGenerator) -> [UInt8] {
    Self.bytes(documentBytes, noise: 1, &random)
  }

  /// Bytes of which one in `noise` words is random.
  private static func bytes(
    _ count: Int, noise: Int, _ random: inout some RandomNumberGenerator
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    var word = 0
    while bytes.count < count {
      let value = word % noise == 0 ? random.next() : 0x2020_6174_6164_2020
      withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
      word += 1
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// The index entries of a record.
  static func indexes(_ number: Int) -> [(name: String, term: String)] {
    let name = "NAME\(number % 977)"
    return [
      ("postcode_bin", "LS\(number % postcodes)|\(name)"),
      ("dateofbirth_bin", day(number % days) + "|\(name)"),
      ("lastmodified_bin", "20261125\(number % 86_400)"),
    ]
  }

  private static func day(_ number: Int) -> String {
    String(format: "%04d%02d%02d", 1930 + number / 336, number / 28 % 12 + 1, number % 28 + 1)
  }

  /// A query for everyone at one postcode.
  static func postcodeQuery(_ random: inout some RandomNumberGenerator) -> [UInt8] {
    let code = "LS\(Int.random(in: 0..<postcodes, using: &random))|"
    return ClusterFrames.range(records, "postcode_bin", code, code + "~")
  }

  /// A query for those born within ten days whose name matches a pattern.
  static func birthQuery(_ random: inout some RandomNumberGenerator) -> [UInt8] {
    let first = Int.random(in: 0..<days - 10, using: &random)
    return ClusterFrames.range(
      records, "dateofbirth_bin", day(first), day(first + 9) + "|~", pattern: "NAME[0-4]")
  }
}
