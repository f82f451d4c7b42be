import KVBase
package import KVModel

/// `RpbCSBucketReq`: the objects of a bucket in key order, each whole.
///
/// Keys come from the index of keys, a page at a time, and then each object is read.
///
/// **Source**: reference section 1.13.
package struct BucketFold: SessionScript {
  /// The keys looked up at once.
  private static let pageLimit = 200

  private let query: IndexQuery
  private let timeout: Duration?
  /// True when a hit equal to this bound is not wanted.
  private let excludedStart: Bytes?
  private let excludedEnd: Bytes?
  private var left: Int
  private let hasLimit: Bool
  private var after: IndexEntry?
  private var keys: [IndexEntry] = []
  private var position = 0
  private var pageCount = 0

  init(_ body: Bytes) throws(ProtocolFailure) {
    let fields = try ProtobufFields(body[...])
    let bucket = BucketID(
      type: fields.bytes(9) ?? BucketID.defaultType, name: try fields.required(1, "bucket"))
    let start = try fields.required(2, "start_key")
    query = IndexQuery(
      bucket: bucket, field: IndexQuery.keyField, lower: start, upper: fields.bytes(3))
    excludedStart = fields.flag(4) ?? true ? nil : start
    excludedEnd = fields.flag(5) ?? false ? nil : fields.bytes(3)
    hasLimit = fields.has(7)
    left = fields.uint32(7).map { Int($0) } ?? .max
    if hasLimit, left == 0 { throw .refused("Invalid max_results 0") }
    timeout = fields.uint32(8).flatMap { .timeout(field: $0) }
    after = try fields.bytes(6).map { (text) throws(ProtocolFailure) in
      try IndexContinuation.entry(text, field: IndexQuery.keyField)
    }
  }

  package mutating func start() -> ScriptStep { page() }

  private mutating func page() -> ScriptStep {
    keys = []
    position = 0
    pageCount = 0
    return ScriptStep(
      [], .request(.index(query, after: after, limit: Self.pageLimit, timeout: timeout)))
  }

  package mutating func receive(_ reply: ClientReply) -> ScriptStep {
    switch reply {
    case .entries(let entries, let done):
      pageCount += entries.count
      after = entries.last ?? after
      keys += entries.filter { $0.key != excludedStart && $0.key != excludedEnd }
      return done ? next([]) : ScriptStep([], .wait)
    case .object(let object):
      let entry = keys[position]
      position += 1
      guard !object.isEmpty else { return next([]) }
      left -= 1
      return next([Self.frame(entry.key, object)])
    case .failure(let failure): return .failed(failure.text(for: .bucket))
    default: return .failed("{unexpected_reply,fold}")
    }
  }

  private mutating func next(_ frames: [Bytes]) -> ScriptStep {
    if left > 0, position < keys.count {
      var options = GetOptions()
      options.timeout = timeout
      let key = ObjectKey(bucket: query.bucket, key: keys[position].key)
      return ScriptStep(frames, .request(.get(key, options)))
    }
    if left > 0, pageCount == Self.pageLimit {
      var step = page()
      step.frames = frames + step.frames
      return step
    }
    var last = ProtobufWriter(.folded)
    if hasLimit, left == 0, position > 0 {
      last.write(2, IndexContinuation.text(keys[position - 1], field: IndexQuery.keyField))
    }
    last.write(3, true)
    return ScriptStep(frames + [last.bytes], .done)
  }

  private static func frame(_ key: Bytes, _ object: KVObject) -> Bytes {
    var writer = ProtobufWriter(.folded)
    writer.write(1) { writer in
      writer.write(1, key)
      writer.write(2, ReplyEncoder.contents(of: object))
    }
    return writer.bytes
  }
}
