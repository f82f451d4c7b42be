package import KVBase
package import KVModel

/// A MapReduce job whose results are told in one piece.
///
/// **Source**: reference section 2.7.
package struct MapReduceAnswer {
  private var run: MapReduceRun
  /// What each phase that is kept has given, the phases in order.
  private var phases: [(number: UInt32, results: [JSONValue])] = []
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
      let results = fields.bytes(2).flatMap({ JSONValue($0) })?.array
    else { return }
    if let index = phases.firstIndex(where: { $0.number == number }) {
      phases[index].results += results
    } else {
      phases.append((number, results))
    }
  }

  /// The results: those of the one phase that is kept, or a list for each.
  package var json: JSONValue {
    let lists = phases.sorted { $0.number < $1.number }.map { JSONValue.array($0.results) }
    return lists.count == 1 ? lists[0] : .array(lists)
  }
}
