import Foundation
package import KVBase
package import KVModel

/// How the hits of an index query are told.
package struct IndexShape: Hashable, Sendable {
  /// The index's name.
  package var field: Bytes
  /// Whether terms are told with the keys.
  package var returnsTerms: Bool
  /// Whether hits are told as they are found.
  package var isStreamed: Bool
  /// The most hits; with so many the answer says where to go on.
  package var limit: Int?

  /// The given form.
  package init(field: Bytes, returnsTerms: Bool, isStreamed: Bool, limit: Int?) {
    self.field = field
    self.returnsTerms = returnsTerms
    self.isStreamed = isStreamed
    self.limit = limit
  }
}

/// Where an index query goes on: opaque to clients.
///
/// Base 64 of the reference's term, so that a query begun there can go on here.
package enum IndexContinuation {
  package static func text(_ entry: IndexEntry, field: Bytes) -> Bytes {
    let isKeys = field == IndexQuery.keyField
    let term = ErlangTerm.continuation(
      term: isKeys ? nil : IndexTerm.text(entry.term, field: field),
      isInteger: IndexTerm.isInteger(field), key: entry.key)
    return Bytes(Data(term).base64EncodedData())
  }

  package static func entry(
    _ text: Bytes, field: Bytes
  ) throws(ProtocolFailure) -> IndexEntry {
    let isKeys = field == IndexQuery.keyField
    guard let data = Data(base64Encoded: Data(text)),
      let (term, key) = ErlangTerm.readContinuation(Bytes(data)), (term == nil) == isKeys
    else { throw invalid(text) }
    guard let term else { return IndexEntry(term: key, key: key) }
    guard IndexTerm.isInteger(field) else { return IndexEntry(term: term, key: key) }
    guard let integer = IndexRules.shortestInteger(term) else { throw invalid(text) }
    return IndexEntry(term: IndexTerm.sortable(integer, field: field), key: key)
  }

  private static func invalid(_ text: Bytes) -> ProtocolFailure {
    .refused("Invalid continuation: \(ErlangText.binary(text))")
  }
}

extension RequestDecoder {
  static let bucketField = Bytes("$bucket".utf8)

  /// Decodes `RpbIndexReq`.
  ///
  /// **Source**: reference section 1.12.
  static func index(_ body: Bytes) throws(ProtocolFailure) -> SessionRequest {
    let fields = try ProtobufFields(body[...])
    let bucket = BucketID(
      type: fields.bytes(12) ?? BucketID.defaultType, name: try fields.required(1, "bucket"))
    let field = lowercased(try fields.required(2, "index"))
    guard let form = fields.number(3) else { throw .undecodable("qtype is missing") }
    var query: IndexQuery
    switch form {
    case 0: query = try equality(bucket, field, fields)
    case 1: query = try range(bucket, field, fields)
    default: throw .undecodable("qtype \(form)")
    }
    if let text = fields.bytes(13), !text.isEmpty { query.pattern = try pattern(text, field) }
    var limit: Int?
    if let most = fields.uint32(9) {
      guard most > 0 else { throw .refused("Invalid max_results 0") }
      limit = Int(most)
    }
    let after = try fields.bytes(10).map { (text) throws(ProtocolFailure) in
      try IndexContinuation.entry(text, field: query.field)
    }
    let isKeys = query.field == IndexQuery.keyField
    return .perform(
      .index(
        query, after: after, limit: limit,
        timeout: fields.uint32(11).flatMap { .timeout(field: $0) }),
      .index(
        IndexShape(
          field: query.field,
          returnsTerms: form == 1 && !isKeys && fields.flag(7) ?? false,
          isStreamed: fields.flag(8) ?? false, limit: limit)))
  }

  private static func equality(
    _ bucket: BucketID, _ field: Bytes, _ fields: ProtobufFields
  ) throws(ProtocolFailure) -> IndexQuery {
    guard let key = fields.bytes(4) else { throw .refused("Invalid equality query undefined") }
    if field == bucketField {
      return IndexQuery(bucket: bucket, field: IndexQuery.keyField, lower: [], upper: nil)
    }
    let term = try term(key, field)
    return IndexQuery(bucket: bucket, field: field, lower: term, upper: term)
  }

  private static func range(
    _ bucket: BucketID, _ field: Bytes, _ fields: ProtobufFields
  ) throws(ProtocolFailure) -> IndexQuery {
    guard let lower = fields.bytes(5), let upper = fields.bytes(6) else {
      func text(_ number: UInt64) -> String {
        fields.bytes(number).map(ErlangText.binary) ?? "undefined"
      }
      throw .refused("Invalid range query: \(text(5)) -> \(text(6))")
    }
    if field == bucketField {
      return IndexQuery(bucket: bucket, field: IndexQuery.keyField, lower: [], upper: nil)
    }
    return IndexQuery(
      bucket: bucket, field: field, lower: try term(lower, field), upper: try term(upper, field))
  }

  /// The sortable form of a term that a client names.
  static func term(_ text: Bytes, _ field: Bytes) throws(ProtocolFailure) -> Bytes {
    if field == IndexQuery.keyField || field.hasSuffix("_bin") { return text }
    guard IndexTerm.isInteger(field) else {
      throw .refused("{unknown_field_type,\(ErlangText.binary(field))}")
    }
    guard let integer = IndexRules.shortestInteger(text) else {
      throw .refused(
        "{field_parsing_failed,{\(ErlangText.binary(field)),\(ErlangText.binary(text))}}")
    }
    return IndexTerm.sortable(integer, field: field)
  }

  static func pattern(
    _ text: Bytes, _ field: Bytes
  ) throws(ProtocolFailure) -> TermPattern {
    guard !IndexTerm.isInteger(field) else {
      throw .refused("Can not use term regular expression in integer query")
    }
    do {
      return try TermPattern(text)
    } catch {
      throw .refused(
        "Invalid term regular expression \(ErlangText.binary(text)) : "
          + "{\(ErlangText.quoted(error.reason)),\(error.offset)}")
    }
  }

  static func lowercased(_ name: Bytes) -> Bytes {
    name.map { (65...90).contains($0) ? $0 + 32 : $0 }
  }

  /// Decodes `RpbGetBucketKeyPreflistReq`.
  static func preferenceList(_ body: Bytes) throws(ProtocolFailure) -> SessionRequest {
    let fields = try ProtobufFields(body[...])
    let bucket = try fields.required(1, "bucket")
    let key = try fields.required(2, "key")
    let type = fields.bytes(3) ?? BucketID.defaultType
    if bucket.isEmpty { throw .refused("Bucket cannot be zero-length") }
    if key.isEmpty { throw .refused("Key cannot be zero-length") }
    if type.isEmpty { throw .refused("Type cannot be zero-length") }
    return .perform(
      .preferenceList(ObjectKey(bucket: BucketID(type: type, name: bucket), key: key)),
      .preferenceList)
  }
}

extension ReplyEncoder {
  /// An `RpbIndexResp` with these hits; `continuation` and `done` as given.
  package static func index(
    _ entries: [IndexEntry], _ shape: IndexShape, continuation: IndexEntry?, done: Bool
  ) -> Bytes {
    var writer = ProtobufWriter(.indexHits)
    for entry in entries {
      if shape.returnsTerms {
        writer.write(2) { writer in
          writer.write(1, IndexTerm.text(entry.term, field: shape.field))
          writer.write(2, entry.key)
        }
      } else {
        writer.write(1, entry.key)
      }
    }
    if let continuation {
      writer.write(3, IndexContinuation.text(continuation, field: shape.field))
    }
    if done { writer.write(4, true) }
    return writer.bytes
  }

  static func preferenceList(_ vnodes: [PreferredVnode]) -> Bytes {
    var writer = ProtobufWriter(.preferenceList)
    for vnode in vnodes {
      writer.write(1) { writer in
        writer.write(1, UInt64(vnode.partition))
        writer.write(2, Bytes(vnode.node.utf8))
        writer.write(3, vnode.isPrimary)
      }
    }
    return writer.bytes
  }
}

extension Bytes {
  fileprivate func hasSuffix(_ suffix: String) -> Bool {
    count >= suffix.utf8.count && self.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
  }
}
