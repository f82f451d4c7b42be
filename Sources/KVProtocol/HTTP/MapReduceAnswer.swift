package import KVBase
package import KVModel

/// A MapReduce job whose results are told in one piece, or as they come.
///
/// **Source**: reference section 2.7.
package struct MapReduceAnswer {
  private var run: MapReduceRun
  /// What the phases that are kept have given, in the order in which it came.
  private var results: [(phase: Int, values: [JSONValue])] = []
  /// Why the job did not end well.
  package private(set) var failure: String?

  /// The job in a body of JSON.
  ///
  /// - Throws: what is wrong with it.
  package init(json: Bytes) throws(ProtocolFailure) {
    run = try MapReduceRun(json: json)
  }

  /// The first request to the node; nil when the job has ended.
  package mutating func start() -> ClientRequest? { take(run.start()) }

  /// Takes a reply; returns the next request once the present one is answered.
  package mutating func receive(_ reply: ClientReply) -> ClientRequest? { take(run.receive(reply)) }

  private mutating func take(_ step: ScriptStep) -> ClientRequest? {
    for frame in step.frames { take(frame) }
    if case .request(let request) = step.next { return request }
    return nil
  }

  private mutating func take(_ frame: Bytes) {
    guard let fields = try? ProtobufFields(frame.dropFirst()) else { return }
    guard frame.first != ClientMessageCode.errorResponse.rawValue else {
      failure = String(decoding: fields.bytes(1) ?? [], as: UTF8.self)
      return
    }
    guard let number = fields.uint32(1),
      let values = fields.bytes(2).flatMap({ JSONValue($0) })?.array
    else { return }
    results.append((Int(number), values))
  }

  /// The results that have come since the last call.
  package mutating func takeResults() -> [(phase: Int, values: [JSONValue])] {
    defer { results = [] }
    return results
  }

  /// The results: those of the one phase that is kept, or a list for each.
  package var json: JSONValue {
    var phases: [Int: [JSONValue]] = [:]
    for part in results { phases[part.phase, default: []] += part.values }
    let lists = phases.keys.sorted().map { JSONValue.array(phases[$0] ?? []) }
    return lists.count == 1 ? lists[0] : .array(lists)
  }
}
