import Foundation
package import KVBase
package import KVModel
import SwiftProtobuf

/// A server's message as a client reads it.
package enum WireReply: Hashable, Sendable {
  case error(String)
  case pong
  case serverInfo(node: String, version: String)
  case got([Content], context: Bytes?, isUnchanged: Bool)
  case stored([Content], context: Bytes?, key: Bytes?)
  case deleted
  case buckets([Bytes], done: Bool)
  case keys([Bytes], done: Bool)
  case properties(BucketProperties)
  case propertiesStored
  case indexHits([WireIndexHit], continuation: Bytes?, done: Bool)
  case preferenceList([PreferredVnode])
  case dataType(WireDataType)
  case dataTypeUpdated(WireDataType)

  /// Reads message code and body.
  ///
  /// - Throws: a failure when the bytes are no message that a server sends.
  package init(payload: Bytes) throws(ProtocolFailure) {
    guard let first = payload.first, let code = ClientMessageCode(rawValue: first) else {
      throw .undecodable("message code \(payload.first.map { String($0) } ?? "missing")")
    }
    let body = Bytes(payload.dropFirst())
    do {
      self = try Self.decoded(code, body)
    } catch let failure as ProtocolFailure {
      throw failure
    } catch {
      throw .undecodable("\(code): \(error)")
    }
  }

  private static func decoded(_ code: ClientMessageCode, _ body: Bytes) throws -> WireReply {
    switch code {
    case .errorResponse:
      let message = try RpbErrorResp(serializedBytes: body)
      return .error(String(decoding: message.errmsg, as: UTF8.self))
    case .pong: return .pong
    case .serverInfo:
      let message = try RpbGetServerInfoResp(serializedBytes: body)
      return .serverInfo(
        node: String(decoding: message.node, as: UTF8.self),
        version: String(decoding: message.serverVersion, as: UTF8.self))
    case .got:
      let message = try RpbGetResp(serializedBytes: body)
      return .got(
        message.content.map(Content.init),
        context: message.hasVclock ? Bytes(message.vclock) : nil, isUnchanged: message.unchanged)
    case .stored:
      let message = try RpbPutResp(serializedBytes: body)
      return .stored(
        message.content.map(Content.init),
        context: message.hasVclock ? Bytes(message.vclock) : nil,
        key: message.hasKey ? Bytes(message.key) : nil)
    case .deleted: return .deleted
    case .buckets:
      let message = try RpbListBucketsResp(serializedBytes: body)
      return .buckets(message.buckets.map { Bytes($0) }, done: message.done)
    case .keys:
      let message = try RpbListKeysResp(serializedBytes: body)
      return .keys(message.keys.map { Bytes($0) }, done: message.done)
    case .bucket:
      return .properties(BucketProperties(try RpbGetBucketResp(serializedBytes: body).props))
    case .bucketSet, .bucketReset: return .propertiesStored
    case .indexHits: return try .indexHits(body)
    case .preferenceList: return try .preferenceList(body)
    case .dataType: return .dataType(try WireDataType(fetched: body))
    case .dataTypeUpdated: return .dataTypeUpdated(try WireDataType(updated: body))
    default: throw ProtocolFailure.undecodable("\(code) is not an answer")
    }
  }
}
