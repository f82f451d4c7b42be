import Foundation
import KVBase
package import KVModel

/// The filter of a fold over HTTP: a JSON object in base 64.
///
/// **Source**: reference section 2.9.
package struct FoldFilter {
  static let segmentRefusal =
    "Segment filters are not offered: hash trees are of this server's own form"

  /// A filter that means nothing.
  package struct Failure: Error, Hashable, Sendable {
    package var text: String
  }

  /// What is asked about.
  package private(set) var query = FoldQuery(.statistics)
  /// True when changes are only counted; nil when nothing is said about changes.
  package private(set) var isCount: Bool?

  /// The filter of a request to `bucket`; nil for none.
  package init(_ text: String?, bucket: BucketID) throws(Failure) {
    query.bucket = bucket
    guard let text else { return }
    guard let data = Data(base64Encoded: text), let value = JSONValue(Bytes(data)),
      case .object(let members) = value
    else { throw Failure(text: "not a JSON object in base 64") }
    for (name, value) in members.sorted(by: { $0.key < $1.key }) where value != .null {
      switch name {
      case "key_range":
        guard let start = value["start"]?.string, let end = value["end"]?.string else {
          throw Failure(text: "key_range needs start and end")
        }
        query.from = Bytes(start.utf8)
        query.through = Bytes(end.utf8)
      case "date_range":
        guard case .integer(let start)? = value["start"], case .integer(let end)? = value["end"],
          start >= 0, end >= 0
        else { throw Failure(text: "date_range needs start and end, in seconds since 1970") }
        query.limitTimes(fromSecond: UInt64(start), throughSecond: UInt64(end))
      case "change_method": isCount = try Self.isCount(value)
      case "segment_filter": throw Failure(text: Self.segmentRefusal)
      // How Riak's trees are hashed.
      case "hash_iv": break
      default: throw Failure(text: "unknown member \(name)")
      }
    }
  }

  private static func isCount(_ value: JSONValue) throws(Failure) -> Bool {
    if value == .string("count") { return true }
    if value == .string("local") { return false }
    guard case .integer? = value["job"] else {
      throw Failure(text: "change_method is count, local or {\"job\": number}")
    }
    return false
  }
}

extension FoldJob {
  /// The answer to the fold over HTTP.
  package var json: JSONValue {
    func histogram(_ rows: [(order: Int, count: Int)]) -> JSONValue {
      .object(
        Dictionary(rows.map { ("\($0.order)", $0.count) }, uniquingKeysWith: +)
          .mapValues(JSONValue.integer))
    }
    switch kind {
    case .siblings, .sizes:
      return .object([
        "results": .array(
          result.found.map { found in
            .object(["key": JSONValue(bytes: found.key.key), "value": .integer(found.value)])
          })
      ])
    case .tombstones:
      return .object([
        "keys-clocks": .array(
          result.found.map { found in
            var item = Self.name(found.key.bucket)
            item["key"] = JSONValue(bytes: found.key.key)
            item["clock"] = .string(Data(found.clock.clientBytes).base64EncodedString())
            return .object(item)
          })
      ])
    case .repair, .reap, .erase: return .object(["dispatched_count": .integer(result.count)])
    case .buckets:
      return .object(["results": .array(buckets.sorted().map { .object(Self.name($0)) })])
    case .statistics:
      return .object([
        "total_count": .integer(result.count), "total_size": .integer(result.byteCount),
        "sizes": histogram(FoldAnswer.magnitudes(result)),
        "siblings": histogram(FoldAnswer.siblings(result)),
      ])
    }
  }

  private static func name(_ bucket: BucketID) -> [String: JSONValue] {
    var name = ["bucket": JSONValue(bytes: bucket.name)]
    if !bucket.isUntyped { name["bucket-type"] = JSONValue(bytes: bucket.type) }
    return name
  }
}
