import KVBase
import KVModel

/// AAE folds over protobuf.
///
/// **Source**: reference section 1.19.
struct FoldScript: SessionScript {
  private var job: FoldJob

  /// The fold that a frame asks for.
  init(_ code: ClientMessageCode, _ body: Bytes) throws(ProtocolFailure) {
    job = try Self.job(code, ProtobufFields(body[...]))
  }

  mutating func start() -> ScriptStep { ScriptStep([], .request(job.start())) }

  mutating func receive(_ reply: ClientReply) -> ScriptStep {
    switch job.receive(reply) {
    case .request(let request): return ScriptStep([], .request(request))
    case .wait: return ScriptStep([], .wait)
    case .done:
      if let failure = job.failure { return .failed(failure.text(for: .bucket)) }
      return ScriptStep([FoldAnswer.frame(job)], .done)
    }
  }

  // MARK: Requests

  private static func job(
    _ code: ClientMessageCode, _ fields: ProtobufFields
  ) throws(ProtocolFailure) -> FoldJob {
    if code == .foldListBuckets { return FoldJob(.buckets, over: FoldQuery(.statistics)) }
    let query = try query(fields)
    switch code {
    case .foldFindKeys:
      let limit = Int(try number(51, "find_limit", fields))
      switch try number(50, "finder", fields) {
      case 0: return FoldJob(.siblings(moreThan: limit), over: query)
      case 1: return FoldJob(.sizes(moreThan: limit), over: query)
      case let other: throw .undecodable("finder \(other)")
      }
    case .foldObjectStatistics: return FoldJob(.statistics, over: query)
    case .foldFindTombstones: return FoldJob(.tombstones, over: query)
    case .foldRepairKeys: return FoldJob(.repair, over: query)
    case .foldReapTombstones: return FoldJob(.reap(isCount: try isCount(fields)), over: query)
    default: return FoldJob(.erase(isCount: try isCount(fields)), over: query)
    }
  }

  private static func number(
    _ number: UInt64, _ name: String, _ fields: ProtobufFields
  ) throws(ProtocolFailure) -> UInt32 {
    guard let value = fields.uint32(number) else { throw .undecodable("\(name) is missing") }
    return value
  }

  private static func flag(
    _ number: UInt64, _ name: String, _ fields: ProtobufFields
  ) throws(ProtocolFailure) -> Bool {
    guard let value = fields.flag(number) else { throw .undecodable("\(name) is missing") }
    return value
  }

  private static func query(_ fields: ProtobufFields) throws(ProtocolFailure) -> FoldQuery {
    var query = FoldQuery(.statistics)
    query.bucket = BucketID(
      type: fields.bytes(1) ?? BucketID.defaultType, name: try fields.required(2, "bucket"))
    if try flag(10, "key_range", fields) {
      query.from = try fields.required(11, "start_key")
      query.through = try fields.required(12, "end_key")
    }
    // Only the messages that find or change tombstones and keys have one.
    if fields.flag(30) ?? false { throw .refused(FoldFilter.segmentRefusal) }
    if try flag(40, "modified_range", fields) {
      query.limitTimes(
        fromSecond: UInt64(try number(41, "last_mod_start", fields)),
        throughSecond: UInt64(try number(42, "last_mod_end", fields)))
    }
    return query
  }

  /// True for a count of what would be changed.
  private static func isCount(_ fields: ProtobufFields) throws(ProtocolFailure) -> Bool {
    switch try number(50, "change_method", fields) {
    case 0:
      _ = try number(51, "job_id", fields)
      return false
    case 1: return false
    case 2: return true
    case let other: throw .undecodable("change_method \(other)")
    }
  }
}

extension FoldQuery {
  /// Restricts the fold to objects changed between two seconds since 1970, both included.
  mutating func limitTimes(fromSecond first: UInt64, throughSecond last: UInt64) {
    // Beyond the year 30000 nothing is changed, and nothing overflows.
    let (first, last) = (min(first, 1 << 40), min(last, 1 << 40))
    modifiedFrom = WallClock(microseconds: first * 1_000_000)
    modifiedThrough = WallClock(microseconds: last * 1_000_000 + 999_999)
  }
}

/// The answers to folds.
enum FoldAnswer {
  /// Everything that is counted, as the reference names it.
  private static func name(_ kind: FoldJob.Kind) -> String {
    switch kind {
    case .siblings, .sizes: "find_keys"
    case .tombstones: "clock"
    case .statistics: "stats"
    case .repair: "repair_keys"
    case .reap: "reap_tombs"
    case .erase: "erase_keys"
    case .buckets: "list_buckets"
    }
  }

  static func frame(_ job: FoldJob) -> Bytes {
    switch job.kind {
    case .buckets: return buckets(job)
    case .tombstones: return clocks(job)
    case .siblings, .sizes:
      return counts(job.kind) { writer in
        for found in job.result.found { count(found.key.key, nil, found.value, &writer) }
      }
    case .repair, .reap, .erase:
      return counts(job.kind) { count("dispatched_count", nil, job.result.count, &$0) }
    case .statistics:
      return counts(job.kind) { writer in
        count("total_count", nil, job.result.count, &writer)
        count("total_size", nil, job.result.byteCount, &writer)
        for (order, number) in magnitudes(job.result) { count("sizes", order, number, &writer) }
        for (order, number) in siblings(job.result) { count("siblings", order, number, &writer) }
      }
    }
  }

  /// How many objects have a size of each decimal order of magnitude, the smallest first.
  static func magnitudes(_ result: FoldResult) -> [(order: Int, count: Int)] {
    result.sizes.enumerated().filter { $0.element > 0 }
      .map { (max(0, $0.offset - 1), $0.element) }
  }

  static func siblings(_ result: FoldResult) -> [(order: Int, count: Int)] {
    result.siblings.enumerated().filter { $0.element > 0 }.map { ($0.offset, $0.element) }
  }

  private static func counts(
    _ kind: FoldJob.Kind, _ body: (inout ProtobufWriter) -> Void
  ) -> Bytes {
    var writer = ProtobufWriter(.foldKeyCounts)
    writer.write(1, Bytes(name(kind).utf8))
    body(&writer)
    return writer.bytes
  }

  private static func count(
    _ tag: String, _ order: Int?, _ number: Int, _ writer: inout ProtobufWriter
  ) { count(Bytes(tag.utf8), order, number, &writer) }

  private static func count(
    _ tag: Bytes, _ order: Int?, _ number: Int, _ writer: inout ProtobufWriter
  ) {
    writer.write(2) { writer in
      writer.write(1, tag)
      if let order { writer.write(2, UInt64(order)) }
      writer.write(3, UInt64(number))
    }
  }

  private static func clocks(_ job: FoldJob) -> Bytes {
    var writer = ProtobufWriter(.foldKeyValues)
    writer.write(1, Bytes(name(job.kind).utf8))
    for found in job.result.found {
      writer.write(2) { writer in
        let bucket = found.key.bucket
        if !bucket.isUntyped { writer.write(1, bucket.type) }
        writer.write(2, bucket.name)
        writer.write(3, found.key.key)
        writer.write(4, found.clock.clientBytes)
      }
    }
    return writer.bytes
  }

  private static func buckets(_ job: FoldJob) -> Bytes {
    var writer = ProtobufWriter(.foldBuckets)
    for bucket in job.buckets.sorted() {
      writer.write(1) { writer in
        if !bucket.isUntyped { writer.write(1, bucket.type) }
        writer.write(2, bucket.name)
      }
    }
    return writer.bytes
  }
}
