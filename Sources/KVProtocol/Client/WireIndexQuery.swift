package import KVBase
package import KVModel

/// An index query as a client sends it.
package struct WireIndexQuery: Hashable, Sendable {
  package var bucket: BucketID
  package var index: Bytes
  package var lower: Bytes
  /// Nil for `lower` alone.
  package var upper: Bytes?
  package var pattern: String?
  package var limit: Int?
  package var continuation: Bytes?
  package var isStreamed = true

  package init(
    bucket: BucketID, index: Bytes, lower: Bytes, upper: Bytes?, pattern: String?, limit: Int?,
    continuation: Bytes?
  ) {
    self.bucket = bucket
    self.index = index
    self.lower = lower
    self.upper = upper
    self.pattern = pattern
    self.limit = limit
    self.continuation = continuation
  }

  /// `RpbIndexReq`.
  var payload: Bytes {
    var writer = ProtobufWriter(.index)
    writer.write(1, bucket.name)
    writer.write(2, index)
    writer.write(3, UInt64(upper == nil ? 0 : 1))
    if let upper {
      writer.write(5, lower)
      writer.write(6, upper)
      writer.write(7, true)
    } else {
      writer.write(4, lower)
    }
    writer.write(8, isStreamed)
    if let limit { writer.write(9, UInt64(limit)) }
    if let continuation { writer.write(10, continuation) }
    if !bucket.isUntyped { writer.write(12, bucket.type) }
    if let pattern { writer.write(13, Bytes(pattern.utf8)) }
    return writer.bytes
  }
}

/// One hit in an answer.
package struct WireIndexHit: Hashable, Sendable {
  package var key: Bytes
  package var term: Bytes?
}

extension WireReply {
  /// `RpbIndexResp`.
  static func indexHits(_ body: Bytes) throws(ProtocolFailure) -> WireReply {
    let fields = try ProtobufFields(body[...])
    var hits = fields.repeated(1).map { WireIndexHit(key: $0) }
    for pair in try fields.messages(2) {
      hits.append(
        WireIndexHit(key: try pair.required(2, "key"), term: try pair.required(1, "term")))
    }
    return .indexHits(
      hits, continuation: fields.bytes(3), done: fields.flag(4) ?? false)
  }
}
