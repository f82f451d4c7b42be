import KVBase
import KVModel

/// What a path of the client interface names.
///
/// Three generations of paths name the same things: `/riak/B/K`, `/buckets/B/keys/K` and
/// `/types/T/buckets/B/keys/K`.
///
/// **Source**: reference section 2.1.
enum ClientResource: Hashable {
  /// `/ping`.
  case ping
  /// `/mapred`.
  case mapReduce
  /// The buckets of a type.
  case buckets(type: Bytes)
  /// The keys of a bucket; where objects get generated keys.
  case keys(BucketID)
  /// An object.
  case object(ObjectKey)
  /// The properties of a bucket, or (without a name) of a bucket type.
  case properties(BucketID)
  /// The hits of an index between two terms, or of one term.
  case index(BucketID, field: Bytes, lower: Bytes, upper: Bytes?)
  /// Where queries of a bucket's indexes are sent.
  case query(BucketID)
  /// An AAE fold.
  case fold(FoldResource)
  /// A counter of old clients.
  case counter(ObjectKey)
  /// Where data types get generated keys.
  case dataTypes(BucketID)
  /// A data type.
  case dataType(ObjectKey)
  /// A bucket of the oldest paths: its properties and, when asked for, its keys.
  case oldBucket(BucketID)

  /// Every form of path that names a resource, besides those of folds, with names in braces.
  static let paths: [String] =
    ["/ping", "/mapred", "/types/{type}/props", "/riak", "/riak/{bucket}", "/riak/{bucket}/{key}"]
    + ["", "/types/{type}"].flatMap { type in
      [
        "", "/{bucket}/props", "/{bucket}/keys", "/{bucket}/keys/{key}",
        "/{bucket}/index/{field}/{term}", "/{bucket}/index/{field}/{start}/{end}",
        "/{bucket}/query", "/{bucket}/counters/{key}", "/{bucket}/datatypes",
        "/{bucket}/datatypes/{key}",
      ].map { "\(type)/buckets\($0)" }
    }

  /// The resource behind the parts of a path; nil when it is none of the client interface.
  init?(_ all: [Bytes]) {
    var parts = all[...]
    let first = parts.popFirst().map { String(decoding: $0, as: UTF8.self) }
    switch first {
    case "ping" where parts.isEmpty: self = .ping
    case "mapred" where parts.isEmpty: self = .mapReduce
    case "riak": self.init(old: parts)
    case "buckets": self.init(type: BucketID.defaultType, parts)
    case "types":
      guard let type = parts.popFirst(), !type.isEmpty, let next = parts.popFirst() else {
        return nil
      }
      switch String(decoding: next, as: UTF8.self) {
      case "props" where parts.isEmpty: self = .properties(BucketID(type: type, name: []))
      case "buckets": self.init(type: type, parts)
      default: return nil
      }
    default:
      guard let fold = FoldResource(all) else { return nil }
      self = .fold(fold)
    }
  }

  private init?(old parts: ArraySlice<Bytes>) {
    guard let name = parts.first, !name.isEmpty else {
      self = .buckets(type: BucketID.defaultType)
      return
    }
    let bucket = BucketID(name: name)
    switch parts.count {
    case 1: self = .oldBucket(bucket)
    case 2: self = .object(ObjectKey(bucket: bucket, key: parts[parts.startIndex + 1]))
    default: return nil
    }
  }

  private init?(type: Bytes, _ parts: ArraySlice<Bytes>) {
    guard let name = parts.first, !name.isEmpty else {
      self = .buckets(type: type)
      return
    }
    let bucket = BucketID(type: type, name: name)
    let rest = Array(parts.dropFirst(2))
    let kind = parts.dropFirst().first.map { String(decoding: $0, as: UTF8.self) }
    switch (kind, rest.count) {
    case ("props", 0): self = .properties(bucket)
    case ("keys", 0): self = .keys(bucket)
    case ("keys", 1):
      self = rest[0].isEmpty ? .keys(bucket) : .object(ObjectKey(bucket: bucket, key: rest[0]))
    case ("index", 2): self = .index(bucket, field: rest[0], lower: rest[1], upper: nil)
    case ("index", 3): self = .index(bucket, field: rest[0], lower: rest[1], upper: rest[2])
    case ("query", 0): self = .query(bucket)
    case ("counters", 1): self = .counter(ObjectKey(bucket: bucket, key: rest[0]))
    case ("datatypes", 0): self = .dataTypes(bucket)
    case ("datatypes", 1): self = .dataType(ObjectKey(bucket: bucket, key: rest[0]))
    default: return nil
    }
  }

  /// The methods that the resource answers to.
  var methods: [String] {
    switch self {
    case .ping, .index, .buckets, .fold: ["GET", "HEAD"]
    case .keys: ["GET", "HEAD", "POST"]
    case .object: ["GET", "HEAD", "PUT", "POST", "DELETE"]
    case .properties: ["GET", "HEAD", "PUT", "POST", "DELETE"]
    case .counter, .dataType: ["GET", "HEAD", "POST"]
    case .dataTypes, .mapReduce, .query: ["POST"]
    case .oldBucket: ["GET", "HEAD", "PUT", "POST"]
    }
  }
}
