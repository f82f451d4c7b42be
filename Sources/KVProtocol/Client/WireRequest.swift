import Foundation
package import KVBase
package import KVModel
import SwiftProtobuf

/// A request as a client sends it; causal contexts are the opaque bytes a server handed out.
package enum WireRequest: Hashable, Sendable {
  case ping
  case serverInfo
  case get(ObjectKey, GetOptions, ifModified: Bytes?, tombstoneContext: Bool)
  case put(BucketID, key: Bytes?, context: Bytes?, Content, PutOptions)
  case delete(ObjectKey, context: Bytes?, DeleteOptions)
  case listBuckets(type: Bytes, timeout: Duration?)
  case listKeys(BucketID, timeout: Duration?)
  case properties(BucketID)
  case setProperties(BucketID, BucketProperties)
  case resetProperties(BucketID)
  case index(WireIndexQuery)
  case preferenceList(ObjectKey)
  case fetchDataType(ObjectKey, GetOptions)
  case updateDataType(WireDataTypeUpdate)

  /// Message code and body.
  package var payload: Bytes {
    switch self {
    case .ping: [ClientMessageCode.ping.rawValue]
    case .serverInfo: [ClientMessageCode.getServerInfo.rawValue]
    case .get(let key, let options, let ifModified, let tombstoneContext):
      FrameEncoding.payload(.get, Self.get(key, options, ifModified, tombstoneContext))
    case .put(let bucket, let key, let context, let content, let options):
      FrameEncoding.payload(.put, Self.put(bucket, key, context, content, options))
    case .delete(let key, let context, let options):
      FrameEncoding.payload(.delete, Self.delete(key, context, options))
    case .index(let query): query.payload
    case .preferenceList(let key): Self.preferenceList(key)
    case .fetchDataType(let key, let options): WireDataTypeUpdate.fetch(key, options)
    case .updateDataType(let update): update.payload
    case .listBuckets(let type, let timeout):
      FrameEncoding.payload(
        .listBuckets,
        RpbListBucketsReq.with {
          $0.type = Data(type)
          $0.stream = true
          if let timeout { $0.timeout = timeout.timeoutField }
        })
    case .listKeys(let bucket, let timeout):
      FrameEncoding.payload(
        .listKeys,
        RpbListKeysReq.with {
          $0.bucket = Data(bucket.name)
          $0.type = Data(bucket.type)
          if let timeout { $0.timeout = timeout.timeoutField }
        })
    case .properties(let bucket):
      FrameEncoding.payload(
        .getBucket,
        RpbGetBucketReq.with {
          $0.bucket = Data(bucket.name)
          $0.type = Data(bucket.type)
        })
    case .setProperties(let bucket, let properties):
      FrameEncoding.payload(
        .setBucket,
        RpbSetBucketReq.with {
          $0.bucket = Data(bucket.name)
          $0.type = Data(bucket.type)
          $0.props = RpbBucketProps(properties, untyped: bucket.isUntyped)
        })
    case .resetProperties(let bucket):
      FrameEncoding.payload(
        .resetBucket,
        RpbResetBucketReq.with {
          $0.bucket = Data(bucket.name)
          $0.type = Data(bucket.type)
        })
    }
  }

  private static func get(
    _ key: ObjectKey, _ options: GetOptions, _ ifModified: Bytes?, _ tombstoneContext: Bool
  ) -> RpbGetReq {
    var message = RpbGetReq()
    message.bucket = Data(key.bucket.name)
    message.key = Data(key.key)
    if !key.bucket.isUntyped { message.type = Data(key.bucket.type) }
    if let r = options.r { message.r = r.field }
    if let pr = options.pr { message.pr = pr.field }
    if let confirms = options.nodeConfirms { message.nodeConfirms = confirms.field }
    if let basicQuorum = options.basicQuorum { message.basicQuorum = basicQuorum }
    if let notFoundOK = options.notFoundOK { message.notfoundOk = notFoundOK }
    if let timeout = options.timeout { message.timeout = timeout.timeoutField }
    if !options.sloppyQuorum { message.sloppyQuorum = false }
    if let nVal = options.nVal { message.nVal = nVal }
    if options.headOnly { message.head = true }
    if let ifModified { message.ifModified = Data(ifModified) }
    if tombstoneContext { message.deletedvclock = true }
    return message
  }

  private static func put(
    _ bucket: BucketID, _ key: Bytes?, _ context: Bytes?, _ content: Content,
    _ options: PutOptions
  ) -> RpbPutReq {
    var message = RpbPutReq()
    message.bucket = Data(bucket.name)
    if !bucket.isUntyped { message.type = Data(bucket.type) }
    if let key { message.key = Data(key) }
    if let context { message.vclock = Data(context) }
    message.content = RpbContent(content)
    if let w = options.w { message.w = w.field }
    if let dw = options.dw { message.dw = dw.field }
    if let pw = options.pw { message.pw = pw.field }
    if let confirms = options.nodeConfirms { message.nodeConfirms = confirms.field }
    if let timeout = options.timeout { message.timeout = timeout.timeoutField }
    if !options.sloppyQuorum { message.sloppyQuorum = false }
    if let nVal = options.nVal { message.nVal = nVal }
    if options.asIs { message.asis = true }
    if let sync = options.syncOnWrite { message.syncOnWrite = Data("\(sync)".utf8) }
    if options.ifNoneMatch { message.ifNoneMatch = true }
    if options.ifNotModified { message.ifNotModified = true }
    if options.returnBody { message.returnBody = true }
    return message
  }

  private static func delete(
    _ key: ObjectKey, _ context: Bytes?, _ options: DeleteOptions
  ) -> RpbDelReq {
    var message = RpbDelReq()
    message.bucket = Data(key.bucket.name)
    message.key = Data(key.key)
    if !key.bucket.isUntyped { message.type = Data(key.bucket.type) }
    if let context { message.vclock = Data(context) }
    if let rw = options.rw { message.rw = rw.field }
    if let r = options.r { message.r = r.field }
    if let pr = options.pr { message.pr = pr.field }
    if let w = options.w { message.w = w.field }
    if let dw = options.dw { message.dw = dw.field }
    if let pw = options.pw { message.pw = pw.field }
    if let timeout = options.timeout { message.timeout = timeout.timeoutField }
    if !options.sloppyQuorum { message.sloppyQuorum = false }
    if let nVal = options.nVal { message.nVal = nVal }
    return message
  }
}
