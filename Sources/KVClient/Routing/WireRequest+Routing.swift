import KVBase
import KVModel
import KVProtocol

extension WireRequest {
  /// The object that the request is about; nil for requests that every node answers alike.
  var key: ObjectKey? {
    switch self {
    case .get(let key, _, _, _), .delete(let key, _, _), .fetchDataType(let key, _): key
    case .put(let bucket, let key, _, _, _): key.map { ObjectKey(bucket: bucket, key: $0) }
    case .updateDataType(let update): update.key
    case .ping, .serverInfo, .listBuckets, .listKeys, .properties, .setProperties,
      .resetProperties, .index, .preferenceList:
      nil
    }
  }

  /// The bucket type that the request is about, if any.
  var bucketType: Bytes? {
    switch self {
    case .ping, .serverInfo: nil
    case .get, .delete, .fetchDataType, .updateDataType: key?.bucket.type
    case .put(let bucket, _, _, _, _), .listKeys(let bucket, _), .properties(let bucket),
      .setProperties(let bucket, _), .resetProperties(let bucket):
      bucket.type
    case .listBuckets(let type, _): type
    case .index(let query): query.bucket.type
    case .preferenceList(let key): key.bucket.type
    }
  }
}
