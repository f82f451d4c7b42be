import Foundation
package import KVBase
package import KVModel
import SwiftProtobuf

/// How the reply to a request is to be written: what the request said that the node's core need not
/// know.
package enum ReplyShape: Hashable, Sendable {
  /// GET. An equal clock is answered "unchanged" and an empty one never is; `headOnly` leaves values
  /// out; `tombstoneClock` tells the clock of a deleted object.
  case object(ifModified: VersionVector, headOnly: Bool, tombstoneClock: Bool)
  /// PUT.
  case stored(generatedKey: Bytes?, headOnly: Bool)
  /// Delete.
  case deleted
  /// List buckets: one message, or several and a last one.
  case buckets(streamed: Bool)
  /// List keys.
  case keys
  /// A bucket's properties.
  case properties(untyped: Bool)
  /// A bucket type's properties.
  case typeProperties(untyped: Bool)
  /// A data type.
  case dataType(DataTypeKind, includesContext: Bool)
  /// The update of a data type; its value is told when the reply has one.
  case dataTypeUpdated(DataTypeKind, includesContext: Bool, generatedKey: Bytes?)
  /// A counter of old clients.
  case counterValue
  /// The update of a counter of old clients.
  case counterUpdated
  /// Hits of an index query.
  case index(IndexShape)
  /// The vnodes of an object.
  case preferenceList
  /// Properties set.
  case propertiesStored
  /// Properties reset.
  case propertiesReset

  /// How failures of the request read.
  package var failureContext: FailureContext {
    switch self {
    case .object, .stored, .deleted, .preferenceList: .object
    case .dataType, .dataTypeUpdated: .dataType
    case .typeProperties: .bucketType
    case .buckets, .keys, .properties, .propertiesStored, .propertiesReset, .index,
      .counterValue, .counterUpdated:
      .bucket
    }
  }
}

/// Turns replies into the frames of clients.
///
/// **Source**: reference sections 1.3 and 1.5 to 1.11.
package enum ReplyEncoder {
  /// The most names in one message of a listing.
  package static let namesPerMessage = 1000
  /// A message of a listing is ended by the name with which it exceeds this.
  package static let bytesPerMessage = 1 << 20

  /// The frames that answer with `reply`: none for an empty batch, several for a large one.
  ///
  /// - Precondition: the reply is of the kind that the request asked for, or a failure. Unstreamed
  ///   bucket listings are given as one reply with all names.
  package static func frames(_ reply: ClientReply, shape: ReplyShape) -> [Bytes] {
    switch (reply, shape) {
    case (.failure(let failure), _): [error(failure.text(for: shape.failureContext))]
    case (
      .object(let object), .object(let ifModified, let headOnly, let tombstoneClock)
    ):
      [got(object, ifModified, headOnly, tombstoneClock)]
    case (.stored(let object), .stored(let key, let headOnly)): [stored(object, key, headOnly)]
    case (.deleted, .deleted): [frame(.deleted)]
    case (.buckets(let names, _), .buckets(streamed: false)): [buckets(names, done: false)]
    case (.buckets(let names, let done), .buckets(streamed: true)):
      batches(names).map { buckets($0, done: false) } + (done ? [buckets([], done: true)] : [])
    case (.keys(let names, let done), .keys):
      batches(names).map { keys($0, done: false) } + (done ? [keys([], done: true)] : [])
    case (.properties(let properties), .properties(let untyped)),
      (.properties(let properties), .typeProperties(let untyped)):
      [bucket(properties, untyped: untyped)]
    case (.object(let object), .dataType), (.object(let object), .counterValue),
      (.stored(let object), .dataTypeUpdated), (.stored(let object), .counterUpdated):
      [dataType(object, shape)]
    case (.entries(let entries, let done), .index(let shape)):
      (entries.isEmpty ? [] : [index(entries, shape, continuation: nil, done: false)])
        + (done ? [index([], shape, continuation: nil, done: true)] : [])
    case (.preferenceList(let vnodes), .preferenceList): [preferenceList(vnodes)]
    case (.propertiesStored, .propertiesStored): [frame(.bucketSet)]
    case (.propertiesStored, .propertiesReset): [frame(.bucketReset)]
    default: preconditionFailure("\(reply) answers no request of the shape \(shape)")
    }
  }

  /// An error response.
  package static func error(_ text: String) -> Bytes {
    var message = RpbErrorResp()
    message.errmsg = Data(text.utf8)
    message.errcode = 0
    return frame(.errorResponse, message)
  }

  /// The node's name and version.
  package static func serverInfo(node: String, version: String) -> Bytes {
    var message = RpbGetServerInfoResp()
    message.node = Data(node.utf8)
    message.serverVersion = Data(version.utf8)
    return frame(.serverInfo, message)
  }

  /// The client id of a connection.
  package static func clientID(_ id: Bytes) -> Bytes {
    var message = RpbGetClientIdResp()
    message.clientID = Data(id)
    return frame(.clientID, message)
  }

  /// A client id was stored.
  package static var clientIDSet: Bytes { frame(.clientIDSet) }

  private static func got(
    _ object: KVObject, _ ifModified: VersionVector, _ headOnly: Bool, _ tombstoneClock: Bool
  ) -> Bytes {
    let isUnchanged = !ifModified.isEmpty && ifModified == object.clock
    if !object.isDeleted, !isUnchanged {
      return ObjectWriter(.got, object, headOnly: headOnly).bytes
    }
    var message = RpbGetResp()
    if object.isDeleted {
      if tombstoneClock, !object.isEmpty { message.vclock = Data(object.clock.clientBytes) }
    } else {
      message.unchanged = true
    }
    return frame(.got, message)
  }

  /// An `RpbGetResp` body that tells everything of an object, tombstones too.
  static func contents(of object: KVObject) -> Bytes {
    Bytes(ObjectWriter(.got, object, headOnly: false).bytes.dropFirst())
  }

  private static func stored(_ object: KVObject, _ key: Bytes?, _ headOnly: Bool) -> Bytes {
    if !object.isDeleted {
      return ObjectWriter(.stored, object, headOnly: headOnly, key: key).bytes
    }
    var message = RpbPutResp()
    if let key { message.key = Data(key) }
    return frame(.stored, message)
  }

  private static func dataType(_ object: KVObject, _ shape: ReplyShape) -> Bytes {
    do throws(DataTypeFailure) {
      switch shape {
      case .dataType(let kind, let includesContext):
        return DataTypeMessages.fetched(
          try object.dataType(kind), kind, includesContext: includesContext)
      case .dataTypeUpdated(let kind, let includesContext, let generatedKey):
        return DataTypeMessages.updated(
          try object.dataType(kind), generatedKey: generatedKey,
          includesContext: includesContext)
      case .counterValue:
        return DataTypeMessages.counter(.counter, try object.dataType(.counter))
      default: return DataTypeMessages.counter(.counterUpdated, try object.dataType(.counter))
      }
    } catch {
      return self.error("{type_mismatch,\(ErlangText.quoted("\(error)"))}")
    }
  }

  private static func batches(_ names: [Bytes]) -> [[Bytes]] {
    var batches: [[Bytes]] = []
    var batch: [Bytes] = []
    var byteCount = 0
    for name in names {
      batch.append(name)
      byteCount += name.count
      if batch.count == namesPerMessage || byteCount > bytesPerMessage {
        batches.append(batch)
        batch = []
        byteCount = 0
      }
    }
    return batch.isEmpty ? batches : batches + [batch]
  }

  private static func buckets(_ names: [Bytes], done: Bool) -> Bytes {
    var message = RpbListBucketsResp()
    message.buckets = names.map { Data($0) }
    if done { message.done = true }
    return frame(.buckets, message)
  }

  private static func keys(_ names: [Bytes], done: Bool) -> Bytes {
    var message = RpbListKeysResp()
    message.keys = names.map { Data($0) }
    if done { message.done = true }
    return frame(.keys, message)
  }

  private static func bucket(_ properties: BucketProperties, untyped: Bool) -> Bytes {
    var message = RpbGetBucketResp()
    message.props = RpbBucketProps(properties, untyped: untyped)
    return frame(.bucket, message)
  }

  private static func frame(_ code: ClientMessageCode) -> Bytes { [code.rawValue] }

  private static func frame(_ code: ClientMessageCode, _ message: some Message) -> Bytes {
    FrameEncoding.payload(code, message)
  }
}

/// Message code and body as one payload.
enum FrameEncoding {
  static func payload(_ code: ClientMessageCode, _ message: some Message) -> Bytes {
    do {
      let body: Bytes = try message.serializedBytes()
      return [code.rawValue] + body
    } catch {
      preconditionFailure("\(message) lacks a required field: \(error)")
    }
  }
}
