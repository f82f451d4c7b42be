import KVBase
import KVModel

/// A class of operations that an operator may switch off.
///
/// **Source**: reference sections 1.3 and 1.10.
package enum JobClass: String, CaseIterable, Hashable, Sendable {
  case listBuckets = "list_buckets"
  case streamListBuckets = "stream_list_buckets"
  case streamListKeys = "stream_list_keys"
  case secondaryIndex = "secondary_index"
  case streamSecondaryIndex = "stream_secondary_index"
  case mapReduce = "map_reduce"

  /// The error for an operation that is switched off.
  package var refusal: String { "Operation '{riak_kv,\(rawValue)}' is not enabled" }
}

extension SessionRequest {
  /// The class of the operation; nil when it is always on.
  package var jobClass: JobClass? {
    switch self {
    case .perform(.listBuckets, .buckets(let isStreamed)):
      isStreamed ? .streamListBuckets : .listBuckets
    case .perform(.listKeys, _): .streamListKeys
    case .perform(.index, .index(let shape)):
      shape.isStreamed ? .streamSecondaryIndex : .secondaryIndex
    case .script(let request): request.code == .mapReduce ? .mapReduce : nil
    default: nil
    }
  }
}
