import KVBase
import KVModel

/// What goes from one phase of a job to the next.
enum MapReduceItem: Hashable {
  /// An object, with the data that its input gave along.
  case object(ObjectKey, data: JSONValue?)
  case value(JSONValue)

  /// The item as results and later phases show it.
  var json: JSONValue {
    switch self {
    case .value(let value): value
    case .object(let key, let data): .array(Self.reference(key) + (data.map { [$0] } ?? []))
    }
  }

  static func reference(_ key: ObjectKey) -> [JSONValue] {
    let bucket = JSONValue.string(String(decoding: key.bucket.name, as: UTF8.self))
    let type = JSONValue.string(String(decoding: key.bucket.type, as: UTF8.self))
    return [
      key.bucket.isUntyped ? bucket : .array([type, bucket]),
      .string(String(decoding: key.key, as: UTF8.self)),
    ]
  }

  /// The object that a value names: `[bucket, key]`, with data, with a type.
  var key: (key: ObjectKey, data: JSONValue?)? {
    switch self {
    case .object(let key, let data): return (key, data)
    case .value(let value):
      guard let parts = value.array, (2...4).contains(parts.count), let key = parts[1].string,
        var bucket = MapReduceJob.bucket(parts[0])
      else { return nil }
      if parts.count == 4, let type = parts[3].string { bucket.type = Bytes(type.utf8) }
      return (ObjectKey(bucket: bucket, key: Bytes(key.utf8)), parts.count > 2 ? parts[2] : nil)
    }
  }
}

/// A job as its JSON text says.
///
/// **Source**: reference section 1.16.
struct MapReduceJob {
  enum Inputs {
    case objects([MapReduceItem])
    case bucket(BucketID, filters: [KeyFilter])
    case index(IndexQuery)
  }

  enum Phase {
    case map(MapFunction, argument: JSONValue?)
    case reduce(ReduceFunction, argument: JSONValue?)
    case link(bucket: String?, tag: String?)
  }

  /// The most phases of a job.
  static let phaseLimit = 64

  var inputs: Inputs
  /// The phases and whether each one's results are wanted.
  var phases: [(phase: Phase, isKept: Bool)]
  var timeout: Duration

  init(json: Bytes) throws(ProtocolFailure) {
    guard let job = JSONValue(json) else { throw .refused("Invalid JSON in the job") }
    guard let inputs = job["inputs"], let query = job["query"]?.array else {
      throw .refused("The job was missing the \"inputs\" or \"query\" field.")
    }
    guard query.count <= Self.phaseLimit else {
      throw .refused("A job has at most \(Self.phaseLimit) phases")
    }
    self.inputs = try Self.inputs(inputs)
    phases = []
    for (index, phase) in query.enumerated() {
      guard case .object(let members) = phase, members.count == 1, let (kind, body) = members.first
      else { throw .refused("Phase \(index) is not an object with one member") }
      let isLast = index == query.count - 1
      var isKept = isLast
      if case .bool(let keep)? = body["keep"] { isKept = keep }
      phases.append((try Self.phase(kind, body), isKept))
    }
    timeout = .milliseconds(Int64(clamping: Int(job["timeout"]?.double ?? 60_000)))
  }

  /// A bucket's name, or the names of type and bucket.
  static func bucket(_ value: JSONValue) -> BucketID? {
    if let name = value.string { return BucketID(name: Bytes(name.utf8)) }
    guard let parts = value.array, parts.count == 2, let type = parts[0].string,
      let name = parts[1].string
    else { return nil }
    return BucketID(type: Bytes(type.utf8), name: Bytes(name.utf8))
  }

  private static func inputs(_ value: JSONValue) throws(ProtocolFailure) -> Inputs {
    if let bucket = bucket(value) { return .bucket(bucket, filters: []) }
    if let list = value.array {
      var items: [MapReduceItem] = []
      for entry in list {
        guard let (key, data) = MapReduceItem.value(entry).key else {
          throw .refused("{bad_mapper_inputs,\(ErlangText.quoted(entry.text))}")
        }
        items.append(.object(key, data: data))
      }
      return .objects(items)
    }
    guard let bucket = value["bucket"].flatMap(bucket) else {
      throw .refused("Inputs from a module and function are not offered")
    }
    if let name = value["index"]?.string { return .index(try index(value, bucket, name)) }
    var filters: [KeyFilter] = []
    for filter in value["key_filters"]?.array ?? [] { filters.append(try KeyFilter(filter)) }
    return .bucket(bucket, filters: filters)
  }

  private static func index(
    _ value: JSONValue, _ bucket: BucketID, _ name: String
  ) throws(ProtocolFailure) -> IndexQuery {
    let field = Bytes(name.utf8)
    func term(_ member: String) throws(ProtocolFailure) -> Bytes? {
      guard let value = value[member] else { return nil }
      return try RequestDecoder.term(Bytes((value.string ?? value.text).utf8), field)
    }
    if field == RequestDecoder.bucketField {
      return IndexQuery(bucket: bucket, field: IndexQuery.keyField, lower: [], upper: nil)
    }
    if let key = try term("key") {
      return IndexQuery(bucket: bucket, field: field, lower: key, upper: key)
    }
    guard let lower = try term("start"), let upper = try term("end") else {
      throw .refused("An index input needs a \"key\", or \"start\" and \"end\"")
    }
    return IndexQuery(bucket: bucket, field: field, lower: lower, upper: upper)
  }

  static let noJavaScript =
    "JavaScript phases are not offered; use built-in functions by name"

  private static func function(_ kind: String, _ name: String, _ body: JSONValue) -> Phase? {
    let argument = body["arg"]
    return kind == "map"
      ? MapFunction(rawValue: name).map { .map($0, argument: argument) }
      : ReduceFunction(rawValue: name).map { .reduce($0, argument: argument) }
  }

  private static func phase(
    _ kind: String, _ body: JSONValue
  ) throws(ProtocolFailure) -> Phase {
    if kind == "link" {
      func pattern(_ name: String) -> String? {
        body[name]?.string.flatMap { $0 == "_" ? nil : $0 }
      }
      return .link(bucket: pattern("bucket"), tag: pattern("tag"))
    }
    guard kind == "map" || kind == "reduce" else { throw .refused("Unknown phase \(kind)") }
    guard body["language"]?.string == "erlang" else {
      let name = body["name"]?.string ?? ""
      guard name.hasPrefix("Riak."), let known = function(kind, name, body) else {
        throw .refused(noJavaScript)
      }
      return known
    }
    guard let module = body["module"]?.string, let name = body["function"]?.string else {
      throw .refused("May have tried to run source text, which is not allowed; name a function")
    }
    guard module == "riak_kv_mapreduce", !name.hasPrefix("Riak.") else {
      throw .refused("{no_candidate_function,\(ErlangText.quoted("\(module):\(name)"))}")
    }
    if let known = function(kind, name, body) { return known }
    throw .refused("{no_candidate_function,\(ErlangText.quoted("\(module):\(name)"))}")
  }
}
