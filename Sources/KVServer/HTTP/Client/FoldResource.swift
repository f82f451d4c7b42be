import KVBase
import KVModel
import KVProtocol

/// What a path of the AAE folds names.
///
/// **Source**: reference section 2.9.
struct FoldResource: Hashable {
  /// The fold.
  enum Kind: Hashable {
    case siblings(moreThan: Int)
    case sizes(moreThan: Int)
    case statistics
    case tombstones
    case repair
    case reap
    case erase
    case buckets
  }

  /// Every form of path, with names in braces.
  static let paths: [String] =
    ["/aaebucketlist"]
    + ["", "/types/{type}"].flatMap { type in
      [
        ("siblings", "/counts/{count}"), ("objectsizes", "/sizes/{size}"), ("objectstats", ""),
        ("tombs", ""), ("rangerepair", ""), ("reap", ""), ("erase", ""),
      ].map { "/\($0.0)\(type)/buckets/{bucket}\($0.1)" }
    }

  let kind: Kind
  /// The bucket; of no meaning for the fold over all.
  let bucket: BucketID

  /// The fold behind the parts of a path; nil when it is none.
  init?(_ parts: [Bytes]) {
    var rest = parts.map { String(decoding: $0, as: UTF8.self) }[...]
    let name = rest.popFirst()
    if name == "aaebucketlist", rest.isEmpty {
      kind = .buckets
      bucket = BucketID(name: [])
      return
    }
    var type = BucketID.defaultType
    if rest.first == "types", rest.count >= 2 {
      type = parts[2]
      rest = rest.dropFirst(2)
    }
    guard rest.first == "buckets", rest.count >= 2, !rest[rest.startIndex + 1].isEmpty else {
      return nil
    }
    bucket = BucketID(type: type, name: parts[rest.startIndex + 1])
    rest = rest.dropFirst(2)
    let limit = rest.count == 2 ? rest.last.flatMap { Int($0) }.map { max(0, $0) } : nil
    switch (name, rest.first, limit) {
    case ("siblings", "counts", let limit?): kind = .siblings(moreThan: limit)
    case ("objectsizes", "sizes", let limit?): kind = .sizes(moreThan: limit)
    case ("objectstats", nil, nil): kind = .statistics
    case ("tombs", nil, nil): kind = .tombstones
    case ("rangerepair", nil, nil): kind = .repair
    case ("reap", nil, nil): kind = .reap
    case ("erase", nil, nil): kind = .erase
    default: return nil
    }
  }
}
