import Foundation
import KVBase
package import KVModel

/// `RpbMapRedReq`: performs a job phase by phase and tells the results of the phases that are kept.
///
/// **Source**: reference section 1.16.
package struct MapReduceRun: SessionScript {
  /// The most items between two phases.
  private static let itemLimit = 200_000
  /// About the most bytes of values between two phases.
  private static let byteLimit = 48 << 20
  /// The most results in one message.
  private static let batchLimit = 1000

  private let job: MapReduceJob
  private var items: [MapReduceItem] = []
  private var outputs: [MapReduceItem] = []
  private var byteCount = 0
  private var phase = 0
  private var position = 0

  init(_ body: Bytes) throws(ProtocolFailure) {
    let fields = try ProtobufFields(body[...])
    let request = try fields.required(1, "request")
    let type = try fields.required(2, "content_type")
    guard type == Bytes("application/json".utf8) else {
      throw .refused("{unknown_content_type,\(ErlangText.binary(type))}")
    }
    try self.init(json: request)
  }

  init(json: Bytes) throws(ProtocolFailure) { job = try MapReduceJob(json: json) }

  package mutating func start() -> ScriptStep {
    switch job.inputs {
    case .objects(let objects):
      items = objects
      return performPhase([])
    case .bucket(let bucket, _):
      return ScriptStep([], .request(.listKeys(bucket, timeout: job.timeout)))
    case .index(let query):
      return ScriptStep(
        [], .request(.index(query, after: nil, limit: nil, timeout: job.timeout)))
    }
  }

  package mutating func receive(_ reply: ClientReply) -> ScriptStep {
    switch reply {
    case .keys(let keys, let done):
      guard case .bucket(let bucket, let filters) = job.inputs else { break }
      let kept = filters.isEmpty ? keys : keys.filter { KeyFilter.keeps($0, filters) }
      return take(kept, of: bucket, done: done)
    case .entries(let entries, let done):
      guard case .index(let query) = job.inputs else { break }
      return take(entries.map(\.key), of: query.bucket, done: done)
    case .object(let object): return take(object)
    case .deleted:
      position += 1
      return nextItem([])
    case .failure(let failure): return .failed(failure.text(for: .bucket))
    default: break
    }
    return .failed("{unexpected_reply,mapreduce}")
  }

  private mutating func take(
    _ keys: [Bytes], of bucket: BucketID, done: Bool
  ) -> ScriptStep {
    items += keys.map { .object(ObjectKey(bucket: bucket, key: $0), data: nil) }
    guard items.count <= Self.itemLimit else { return Self.tooMuch }
    return done ? performPhase([]) : ScriptStep([], .wait)
  }

  private static var tooMuch: ScriptStep {
    .failed(RequestFailure.tooLarge("the items between two phases of a job").text())
  }

  /// Begins the phase, or ends the job.
  private mutating func performPhase(_ frames: [Bytes]) -> ScriptStep {
    guard phase < job.phases.count else {
      var frames = frames
      // Without phases the inputs are the results.
      if job.phases.isEmpty { frames += Self.results(items, of: 0) }
      var last = ProtobufWriter(.mapReduced)
      last.write(3, true)
      return ScriptStep(frames + [last.bytes], .done)
    }
    position = 0
    byteCount = 0
    outputs = []
    guard case .reduce(let function, let argument) = job.phases[phase].phase,
      function != .delete
    else {
      return nextItem(frames)
    }
    do throws(ProtocolFailure) {
      outputs = try function.apply(items.map(\.json), argument: argument).map { .value($0) }
    } catch {
      return failed(error)
    }
    return endPhase(frames)
  }

  /// Reads or deletes the object of the next item, or ends the phase.
  private mutating func nextItem(_ frames: [Bytes]) -> ScriptStep {
    guard position < items.count else {
      if case .reduce(.delete, _) = job.phases[phase].phase {
        outputs = [.value(.integer(items.count))]
      }
      return endPhase(frames)
    }
    guard let (key, _) = items[position].key else {
      return failed(.refused("{not_an_object,\(ErlangText.quoted(items[position].json.text))}"))
    }
    if case .reduce(.delete, _) = job.phases[phase].phase {
      return ScriptStep(frames, .request(.delete(key, context: nil, DeleteOptions())))
    }
    var options = GetOptions()
    options.timeout = job.timeout
    return ScriptStep(frames, .request(.get(key, options)))
  }

  private mutating func take(_ object: KVObject) -> ScriptStep {
    guard position < items.count, let (key, data) = items[position].key else {
      return .failed("{unexpected_reply,mapreduce}")
    }
    position += 1
    switch job.phases[phase].phase {
    case .map(let function, let argument):
      do throws(ProtocolFailure) {
        let values = try function.apply(object, key, data: data, argument: argument)
        outputs += values.map { .value($0) }
        byteCount += object.siblings.reduce(0) { $0 + $1.content.value.count }
      } catch {
        return failed(error)
      }
    case .link(let bucket, let tag): outputs += Self.links(of: object, key, bucket, tag)
    case .reduce: break
    }
    guard outputs.count <= Self.itemLimit, byteCount <= Self.byteLimit else {
      return Self.tooMuch
    }
    return nextItem([])
  }

  private static func links(
    of object: KVObject, _ key: ObjectKey, _ bucket: String?, _ tag: String?
  ) -> [MapReduceItem] {
    var found: [MapReduceItem] = []
    for link in object.siblings.flatMap(\.content.links) {
      let name = link.bucket ?? []
      let label = link.tag ?? []
      guard bucket.map({ Bytes($0.utf8) == name }) ?? true,
        tag.map({ Bytes($0.utf8) == label }) ?? true
      else { continue }
      found.append(
        .object(
          ObjectKey(bucket: BucketID(type: key.bucket.type, name: name), key: link.key ?? []),
          data: .string(String(decoding: label, as: UTF8.self))))
    }
    return found
  }

  private mutating func endPhase(_ frames: [Bytes]) -> ScriptStep {
    let told = job.phases[phase].isKept ? Self.results(outputs, of: phase) : []
    items = outputs
    phase += 1
    return performPhase(frames + told)
  }

  private func failed(_ failure: ProtocolFailure) -> ScriptStep {
    .failed("{\"phase\":\(phase),\"error\":\(JSONValue.string(failure.text).text)}")
  }

  private static func results(_ items: [MapReduceItem], of phase: Int) -> [Bytes] {
    stride(from: 0, to: items.count, by: batchLimit).map { start in
      let batch = items[start..<min(start + batchLimit, items.count)]
      var writer = ProtobufWriter(.mapReduced)
      writer.write(1, UInt64(phase))
      writer.write(2, Bytes(JSONValue.array(batch.map(\.json)).text.utf8))
      return writer.bytes
    }
  }
}

extension String {
  /// The text with `%41` read as `A`; itself where that fails.
  var removingPercentEncodingOrSelf: String { removingPercentEncoding ?? self }
}
