import Foundation
package import KVBase
package import KVModel
import SwiftProtobuf

/// What a client's frame asks of its session.
package enum SessionRequest: Hashable, Sendable {
  /// Answered at once.
  case answer(Bytes)
  /// The node's name and version.
  case serverInfo
  /// The client id of this connection.
  case clientID
  /// Remember a client id.
  case setClientID(Bytes)
  /// Perform a request and answer it in the given shape.
  case perform(ClientRequest, ReplyShape)
  /// Read the bucket's properties, change some, and store them.
  case update(BucketID, BucketPropertiesUpdate)
  /// Read the bucket's properties and perform what they allow.
  case dataType(DataTypeRequest)
  /// Perform several requests, as a script says.
  case script(ScriptRequest)
}

/// Turns the frames of clients into requests.
///
/// **Source**: reference sections 1.1, 1.4 to 1.11 and 1.22; where a recorded exchange differs, the
/// recording was followed.
package enum RequestDecoder {
  /// Decodes one frame.
  ///
  /// - Parameters:
  ///   - payload: message code and body.
  ///   - makeKey: a new key, for puts without one.
  /// - Throws: the error to answer, and whether the connection ends with it.
  package static func decode(
    _ payload: Bytes, makeKey: () -> Bytes
  ) throws(ProtocolFailure) -> SessionRequest {
    guard let first = payload.first else { throw .undecodable("empty frame") }
    guard let code = ClientMessageCode(rawValue: first), code.isRequest else {
      throw .refused("Unknown message code: \(first)")
    }
    if code == .get { return try get(frame: payload) }
    if code == .put { return try put(frame: payload, makeKey: makeKey) }
    let body = Bytes(payload.dropFirst())
    switch code {
    case .delete: return try delete(decoded(body))
    case .listBuckets: return listBuckets(try decoded(body))
    case .listKeys: return try listKeys(decoded(body))
    case .getBucket: return getBucket(try decoded(body))
    case .setBucket: return try setBucket(decoded(body))
    case .resetBucket: return try resetBucket(decoded(body))
    case .getBucketType: return getBucketType(try decoded(body))
    case .setBucketType: return try setBucketType(body)
    case .index: return try index(body)
    case .mapReduce, .foldBucket, .foldFindKeys, .foldObjectStatistics, .foldFindTombstones,
      .foldRepairKeys, .foldListBuckets, .foldReapTombstones, .foldEraseKeys:
      return .script(ScriptRequest(code: code, body: body))
    case .getPreferenceList: return try preferenceList(body)
    case .updateCounter: return .dataType(try .counterUpdate(body))
    case .getCounter: return .dataType(try .counterGet(body))
    case .fetchDataType: return .dataType(try .fetch(body))
    case .updateDataType: return .dataType(try .update(body, makeKey: makeKey))
    case .ping: return .answer([ClientMessageCode.pong.rawValue])
    case .getServerInfo: return .serverInfo
    case .getClientID: return .clientID
    case .setClientID: return try setClientID(decoded(body))
    default: throw .refused("Security not enabled; STARTTLS not allowed.")
    }
  }

  /// The client id is kept for as long as the connection lives, so its size is limited.
  private static let clientIDLimit = 1024

  private static func decoded<M: Message>(
    _ body: Bytes, partial: Bool = false
  ) throws(ProtocolFailure) -> M {
    do {
      return try M(serializedBytes: body, partial: partial)
    } catch {
      throw .undecodable("\(M.protoMessageName) \(error)")
    }
  }

  private static func setClientID(
    _ message: RpbSetClientIdReq
  ) throws(ProtocolFailure) -> SessionRequest {
    guard message.clientID.count <= clientIDLimit else {
      throw .refused("Client id longer than \(clientIDLimit) bytes")
    }
    return .setClientID(Bytes(message.clientID))
  }

  /// Leaves what the hand-written reader does not know to the generated code.
  private static func get(frame: Bytes) throws(ProtocolFailure) -> SessionRequest {
    if let fields = GetRequestFields(frame: frame) { return try get(fields) }
    let message: RpbGetReq = try decoded(Bytes(frame.dropFirst()), partial: true)
    guard message.hasBucket, message.hasKey else {
      // A name of another wire type names nothing that exists; a name left out is an error.
      guard !message.unknownFields.data.isEmpty else {
        throw .undecodable("RpbGetReq lacks a required field")
      }
      return .answer([ClientMessageCode.got.rawValue])
    }
    return try get(GetRequestFields(message))
  }

  private static func get(_ fields: GetRequestFields) throws(ProtocolFailure) -> SessionRequest {
    let bucket = try bucket(fields.bucket, fields.type, checked: true)
    var options = GetOptions()
    if let r = fields.r { options.r = QuorumValue(field: r) }
    if let pr = fields.pr { options.pr = QuorumValue(field: pr) }
    if let confirms = fields.nodeConfirms { options.nodeConfirms = QuorumValue(field: confirms) }
    if let basicQuorum = fields.basicQuorum { options.basicQuorum = basicQuorum }
    if let notFoundOK = fields.notFoundOK { options.notFoundOK = notFoundOK }
    options.timeout = .timeout(field: fields.timeout)
    if let sloppyQuorum = fields.sloppyQuorum { options.sloppyQuorum = sloppyQuorum }
    if let nVal = fields.nVal { options.nVal = nVal }
    options.headOnly = fields.head
    return .perform(
      .get(try key(bucket, fields.key, checked: true), options),
      .object(
        ifModified: try context(fields.ifModified), headOnly: fields.head,
        tombstoneClock: fields.tellsTombstoneClock))
  }

  /// See ``get(frame:)``.
  private static func put(
    frame: Bytes, makeKey: () -> Bytes
  ) throws(ProtocolFailure) -> SessionRequest {
    if let fields = PutRequestFields(frame: frame) { return try put(fields, makeKey: makeKey) }
    let message: RpbPutReq = try decoded(Bytes(frame.dropFirst()))
    return try put(PutRequestFields(message), makeKey: makeKey)
  }

  private static func put(
    _ fields: PutRequestFields, makeKey: () -> Bytes
  ) throws(ProtocolFailure) -> SessionRequest {
    let bucket = try bucket(fields.bucket, fields.type, checked: true)
    let generatedKey = fields.key == nil ? makeKey() : nil
    let key = try key(bucket, generatedKey ?? fields.key ?? [], checked: true)
    var options = PutOptions()
    if let w = fields.w { options.w = QuorumValue(field: w) }
    if let dw = fields.dw { options.dw = QuorumValue(field: dw) }
    if let pw = fields.pw { options.pw = QuorumValue(field: pw) }
    if let confirms = fields.nodeConfirms { options.nodeConfirms = QuorumValue(field: confirms) }
    options.timeout = .timeout(field: fields.timeout)
    if let sloppyQuorum = fields.sloppyQuorum { options.sloppyQuorum = sloppyQuorum }
    if let nVal = fields.nVal { options.nVal = nVal }
    options.asIs = fields.asIs
    options.syncOnWrite = syncOnWrite(fields.syncOnWrite)
    options.ifNoneMatch = fields.ifNoneMatch
    options.ifNotModified = fields.ifNotModified
    options.returnBody = fields.returnsBody || fields.returnsHead
    var content = fields.content
    content.indexes = try IndexRules.normalized(content.indexes)
    if !options.asIs {
      content.vtag = []
      content.lastModified = WallClock(microseconds: 0)
      content.isTombstone = false
    }
    return .perform(
      .put(key, context: try context(fields.vclock), content, options),
      .stored(generatedKey: generatedKey, headOnly: fields.returnsHead))
  }

  private static func delete(_ message: RpbDelReq) throws(ProtocolFailure) -> SessionRequest {
    let bucket = try bucket(
      Bytes(message.bucket), message.hasType ? Bytes(message.type) : nil, checked: false)
    guard !bucket.name.isEmpty, !bucket.type.isEmpty, !message.key.isEmpty else {
      // Nothing can have such a name, and deleting nothing succeeds.
      return .answer([ClientMessageCode.deleted.rawValue])
    }
    var options = DeleteOptions()
    if message.hasRw { options.rw = QuorumValue(field: message.rw) }
    if message.hasR { options.r = QuorumValue(field: message.r) }
    if message.hasPr { options.pr = QuorumValue(field: message.pr) }
    if message.hasW { options.w = QuorumValue(field: message.w) }
    if message.hasDw { options.dw = QuorumValue(field: message.dw) }
    if message.hasPw { options.pw = QuorumValue(field: message.pw) }
    options.timeout = .timeout(field: message.timeout)
    if message.hasSloppyQuorum { options.sloppyQuorum = message.sloppyQuorum }
    if message.hasNVal { options.nVal = message.nVal }
    return .perform(
      .delete(
        try key(bucket, Bytes(message.key), checked: false),
        context: message.hasVclock ? try context(Bytes(message.vclock)) : nil, options),
      .deleted)
  }

  /// `backend`, `one` or `all`; other words mean nothing and are passed over, as the reference does.
  private static func syncOnWrite(_ word: Bytes) -> SyncOnWrite? {
    switch String(decoding: word, as: UTF8.self) {
    case "backend": .backend
    case "one": .one
    case "all": .all
    default: nil
    }
  }

  /// A clock that a client gives back; empty for none.
  private static func context(_ clock: Bytes) throws(ProtocolFailure) -> VersionVector {
    guard !clock.isEmpty else { return VersionVector() }
    do {
      return try VersionVector(clientBytes: clock)
    } catch {
      throw .undecodable("vclock: \(error)")
    }
  }
}

extension RequestDecoder {
  private static func bucket(
    _ name: Bytes, _ type: Bytes?, checked: Bool
  ) throws(ProtocolFailure) -> BucketID {
    if checked, name.isEmpty { throw .refused("Bucket cannot be zero-length") }
    if checked, let type, type.isEmpty { throw .refused("Type cannot be zero-length") }
    return BucketID(type: type ?? BucketID.defaultType, name: name)
  }

  private static func key(
    _ bucket: BucketID, _ key: Bytes, checked: Bool
  ) throws(ProtocolFailure) -> ObjectKey {
    if checked, key.isEmpty { throw .refused("Key cannot be zero-length") }
    return ObjectKey(bucket: bucket, key: key)
  }

  private static func listBuckets(_ message: RpbListBucketsReq) -> SessionRequest {
    let type = message.hasType ? Bytes(message.type) : BucketID.defaultType
    return .perform(
      .listBuckets(type: type, timeout: .timeout(field: message.timeout)),
      .buckets(streamed: message.stream))
  }

  private static func listKeys(
    _ message: RpbListKeysReq
  ) throws(ProtocolFailure) -> SessionRequest {
    let bucket = try bucket(
      Bytes(message.bucket), message.hasType ? Bytes(message.type) : nil, checked: false)
    return .perform(
      .listKeys(bucket, timeout: .timeout(field: message.timeout)), .keys)
  }

  private static func getBucket(_ message: RpbGetBucketReq) -> SessionRequest {
    let type = message.hasType ? Bytes(message.type) : BucketID.defaultType
    return .perform(
      .bucketProperties(BucketID(type: type, name: Bytes(message.bucket))),
      .properties(untyped: type == BucketID.defaultType))
  }

  private static func setBucket(
    _ message: RpbSetBucketReq
  ) throws(ProtocolFailure) -> SessionRequest {
    let bucket = try bucket(
      Bytes(message.bucket), message.hasType ? Bytes(message.type) : nil, checked: true)
    return .update(bucket, BucketPropertiesUpdate(message.props))
  }

  private static func resetBucket(
    _ message: RpbResetBucketReq
  ) throws(ProtocolFailure) -> SessionRequest {
    let bucket = try bucket(
      Bytes(message.bucket), message.hasType ? Bytes(message.type) : nil, checked: true)
    return .perform(.resetBucketProperties(bucket), .propertiesReset)
  }

  /// A type's properties are those of its bucket without a name.
  private static func setBucketType(_ body: Bytes) throws(ProtocolFailure) -> SessionRequest {
    let fields = try ProtobufFields(body[...])
    let type = try fields.required(1, "type")
    let properties: RpbBucketProps = try decoded(fields.required(2, "props"))
    guard type != BucketID.defaultType else {
      throw .refused("Invalid bucket properties: no_default_update")
    }
    return .update(BucketID(type: type, name: []), BucketPropertiesUpdate(properties))
  }

  /// See ``setBucketType(_:)``.
  private static func getBucketType(_ message: RpbGetBucketTypeReq) -> SessionRequest {
    let type = Bytes(message.type)
    return .perform(
      .bucketProperties(BucketID(type: type, name: [])),
      .typeProperties(untyped: type == BucketID.defaultType))
  }
}
