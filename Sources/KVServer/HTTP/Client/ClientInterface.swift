import HTTPTypes
import Hummingbird
import KVBase
import KVModel
import KVProtocol
import KVTransport
import NIOCore

/// The client interface over HTTP: what the paths of ``ClientResource`` answer.
///
/// A middleware, because its paths are bytes that a router of texts cannot tell apart.
///
/// **Source**: reference section 2.
struct ClientInterface: RouterMiddleware {
  let replies: @Sendable (ClientRequest) -> ReplyStream
  /// What all requests may hold together.
  let memory: MemoryBudget
  /// The largest body of a request, in bytes.
  let bodyByteLimit: Int
  /// Operations that an operator has switched off.
  let disabledJobs: Set<JobClass>

  /// One request and what it is about.
  struct Call {
    var method: HTTPRequest.Method
    var query: ClientQuery
    var fields: HTTPFields
    var body: Bytes
    /// What the request holds of the interface's memory.
    var memory: MemoryShare

    /// True for the paths of the oldest generation.
    var isOld: Bool { query.parts.first == Bytes("riak".utf8) }

    /// True when the client takes a type of answer.
    func accepts(_ type: String) -> Bool { fields[.accept]?.contains(type) ?? false }
  }

  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    guard let query = ClientQuery(request.head.path ?? "/") else {
      return try await next(request, context)
    }
    if query.parts == [[]], request.headers[.accept]?.contains("application/json") ?? false {
      return Self.resources
    }
    guard let resource = ClientResource(query.parts) else {
      return try await next(request, context)
    }
    let method = request.method
    guard resource.methods.contains(method.rawValue) else {
      let allowed = resource.methods.joined(separator: ", ")
      return ClientResponse.page(.methodNotAllowed, [("Allow", allowed)])
    }
    let share = MemoryShare(of: memory)
    let body: Bytes
    do throws(ClientFailure) {
      body = try await collectBody(of: request, share)
    } catch {
      return error.response
    }
    let call = Call(
      method: method == .head ? .get : method, query: query, fields: request.headers, body: body,
      memory: share)
    let response = await answer(call, resource)
    return method == .head ? response.createHeadResponse() : Self.holding(share, response)
  }

  /// The body, piece by piece, as far as there is memory for it.
  private func collectBody(
    of request: Request, _ share: MemoryShare
  ) async throws(ClientFailure) -> Bytes {
    var bytes: Bytes = []
    do {
      for try await piece in request.body {
        if bytes.count + piece.readableBytes > bodyByteLimit { throw ClientFailure.tooLarge }
        try share.take(piece.readableBytes)
        bytes += piece.readableBytesView
      }
    } catch let failure as ClientFailure {
      throw failure
    } catch {
      throw .malformed("The body broke off.\n")
    }
    return bytes
  }

  /// The response, which keeps its share of the memory until it has been sent.
  private static func holding(_ share: MemoryShare, _ response: Response) -> Response {
    var response = response
    let body = response.body
    response.body = ResponseBody(contentLength: body.contentLength) { writer in
      try await body.write(writer)
      withExtendedLifetime(share) {}
    }
    return response
  }

  private func answer(_ call: Call, _ resource: ClientResource) async -> Response {
    do throws(ClientFailure) {
      switch resource {
      case .ping: return ClientResponse.body(.ok, "text/html", Bytes("OK".utf8), [])
      case .mapReduce: return try await mapReduce(call)
      case .buckets(let type): return try await buckets(call, type)
      case .keys(let bucket):
        return call.method == .post
          ? try await store(call, bucket: bucket, key: nil) : try await keys(call, bucket)
      case .object(let key): return try await object(call, key)
      case .properties(let bucket): return try await properties(call, bucket)
      case .oldBucket(let bucket): return try await oldBucket(call, bucket)
      case .index(let bucket, let field, let lower, let upper):
        return try await index(call, bucket, field, lower, upper)
      case .fold(let resource): return try await fold(call, resource)
      case .query(let bucket): return try await query(call, bucket)
      case .counter(let key): return try await counter(call, key)
      case .dataType(let key): return try await dataType(call, key.bucket, key.key)
      case .dataTypes(let bucket): return try await dataType(call, bucket, nil)
      }
    } catch {
      return error.response
    }
  }

  /// Where clients that look find what: the reference's names of resources, and their paths.
  private static let resourcePaths = [
    ("riak_kv_wm_bucket_type", "/types"), ("riak_kv_wm_buckets", "/buckets"),
    ("riak_kv_wm_counter", "/buckets"), ("riak_kv_wm_crdt", "/types"),
    ("riak_kv_wm_index", "/buckets"), ("riak_kv_wm_keylist", "/buckets"),
    ("riak_kv_wm_mapred", "/mapred"), ("riak_kv_wm_object", "/buckets"),
    ("riak_kv_wm_ping", "/ping"), ("riak_kv_wm_props", "/buckets"),
    ("riak_kv_wm_query", "/buckets"),
    ("riak_kv_wm_stats", "/stats"),
  ]

  private static var resources: Response {
    var response = ClientResponse.json(
      .ok,
      .object(
        Dictionary(uniqueKeysWithValues: resourcePaths.map { ($0.0, JSONValue.string($0.1)) })))
    let links = resourcePaths.map { "<\($0.1)>; rel=\"\($0.0)\"" }
    if let name = HTTPField.Name("Link") { response.headers[name] = links.joined(separator: ",") }
    return response
  }

  /// - Throws: that operations of the class are switched off.
  func check(_ job: JobClass) throws(ClientFailure) {
    if disabledJobs.contains(job) { throw .disabled(job) }
  }

  /// The last reply to a request.
  ///
  /// - Throws: the failure that it is.
  func reply(to request: ClientRequest) async throws(ClientFailure) -> ClientReply {
    var last: ClientReply?
    for await reply in replies(request) { last = reply }
    switch last {
    case .failure(let failure)?: throw .failed(failure)
    case let reply?: return reply
    case nil: throw .failed(.overload)
    }
  }

  /// Everything in the replies to a request that come in pages, for one answer.
  ///
  /// - Throws: the failure that ends them, or that they are too much.
  func pages<Item>(
    of request: ClientRequest, _ call: Call, _ items: (ClientReply) -> [Item],
    _ byteCount: (Item) -> Int
  ) async throws(ClientFailure) -> [Item] {
    var all: [Item] = []
    var isWhole = false
    for await reply in replies(request) {
      isWhole = !reply.isPart
      if case .failure(let failure) = reply { throw .failed(failure) }
      let page = items(reply)
      // As it is here, and as the text that it becomes.
      try call.memory.take(page.reduce(0) { $0 + 3 * byteCount($1) + 64 })
      all += page
    }
    // The node stops.
    guard isWhole else { throw .failed(.overload) }
    return all
  }

  /// The properties of a bucket.
  func stored(_ bucket: BucketID) async throws(ClientFailure) -> BucketProperties {
    guard case .properties(let properties) = try await reply(to: .bucketProperties(bucket)) else {
      throw .failed(.overload)
    }
    return properties
  }
}

/// The answers of the interface that are one request to the node.
extension ClientInterface {
  /// Buckets that hold a key, when the client asks for them.
  private func buckets(_ call: Call, _ type: Bytes) async throws(ClientFailure) -> Response {
    guard let mode = call.query["buckets"] else { return ClientResponse.json(.ok, .object([:])) }
    try check(mode == "stream" ? .streamListBuckets : .listBuckets)
    let request = ClientRequest.listBuckets(type: type, timeout: try call.query.timeout())
    if mode == "stream" {
      return try await ClientStream.response(replies(request), as: .objects) { reply in
        guard case .buckets(let page, _) = reply else { return [] }
        return [.object(["buckets": .array(page.map(JSONValue.init(bytes:)))])]
      }
    }
    let names = try await pages(
      of: request, call, { if case .buckets(let page, _) = $0 { page } else { [] } }, \.count)
    return ClientResponse.json(
      .ok, .object(["buckets": .array(names.map(JSONValue.init(bytes:)))]))
  }

  /// The keys of a bucket, when the client asks for them.
  private func keys(_ call: Call, _ bucket: BucketID) async throws(ClientFailure) -> Response {
    guard let mode = call.query["keys"] else { return ClientResponse.json(.ok, .object([:])) }
    if mode == "stream" { return try await streamedKeys(call, bucket) }
    return ClientResponse.json(.ok, .object(["keys": try await listed(call, bucket)]))
  }

  private func streamedKeys(
    _ call: Call, _ bucket: BucketID
  ) async throws(ClientFailure) -> Response {
    try check(.streamListKeys)
    let listing = replies(.listKeys(bucket, timeout: try call.query.timeout()))
    return try await ClientStream.response(listing, as: .objects) { reply in
      guard case .keys(let page, _) = reply else { return [] }
      return [.object(["keys": .array(page.map(JSONValue.init(bytes:)))])]
    }
  }

  private func listed(_ call: Call, _ bucket: BucketID) async throws(ClientFailure) -> JSONValue {
    try check(.streamListKeys)
    let names = try await pages(
      of: .listKeys(bucket, timeout: try call.query.timeout()), call,
      { if case .keys(let page, _) = $0 { page } else { [] } }, \.count)
    return .array(names.map(JSONValue.init(bytes:)))
  }

  private func oldBucket(_ call: Call, _ bucket: BucketID) async throws(ClientFailure) -> Response {
    switch call.method {
    case .get:
      if call.query["keys"] == "stream", call.query["props"] == "false" {
        return try await streamedKeys(call, bucket)
      }
      var answer: [String: JSONValue] = [:]
      if call.query["props"] != "false" {
        answer["props"] = BucketPropertiesJSON.value(try await stored(bucket), of: bucket)
      }
      if call.query["keys"] != nil { answer["keys"] = try await listed(call, bucket) }
      return ClientResponse.json(.ok, .object(answer))
    case .post: return try await store(call, bucket: bucket, key: nil)
    default: return try await properties(call, bucket)
    }
  }

  /// Reads, changes and resets properties of a bucket or a bucket type.
  private func properties(_ call: Call, _ bucket: BucketID) async throws(ClientFailure) -> Response
  {
    if call.method == .delete {
      _ = try await reply(to: .resetBucketProperties(bucket))
      return ClientResponse.empty(.noContent)
    }
    let present: BucketProperties
    do {
      present = try await stored(bucket)
    } catch {
      guard bucket.name.isEmpty, case .failed(.unknownBucketType) = error else { throw error }
      return ClientResponse.page(.notFound)
    }
    guard call.method != .get else {
      let value = BucketPropertiesJSON.value(present, of: bucket)
      return ClientResponse.json(.ok, .object(["props": value]))
    }
    guard let update = JSONValue(call.body)?["props"], case .object = update else {
      throw .malformed(
        "bucket PUT must be a JSON object of the form:\n{\"props\":{...bucket properties...}}")
    }
    let next: BucketProperties
    do throws(ProtocolFailure) {
      next = try BucketPropertiesJSON.applied(update, to: present, untyped: bucket.isUntyped)
    } catch {
      return ClientResponse.json(.badRequest, .object(["error": .string(error.text)]))
    }
    _ = try await reply(to: .setBucketProperties(bucket, next))
    return ClientResponse.empty(.noContent, [("Content-Type", "application/json")])
  }

  /// Runs a MapReduce job and tells the results as they come, or all at once.
  private func mapReduce(_ call: Call) async throws(ClientFailure) -> Response {
    try check(.mapReduce)
    var job: MapReduceAnswer
    do throws(ProtocolFailure) {
      job = try MapReduceAnswer(json: call.body)
    } catch {
      throw .malformed("\(error.text)\n")
    }
    if call.query["chunked"] == "true" { return streamed(job) }
    var next = job.start()
    while let request = next {
      next = nil
      for await reply in replies(request) { next = job.receive(reply) }
    }
    if let failure = job.failure {
      return ClientResponse.json(.internalServerError, .object(["error": .string(failure)]))
    }
    return ClientResponse.json(.ok, job.json)
  }

  private func streamed(_ job: MapReduceAnswer) -> Response {
    let form = ClientStream.Form.parts
    return ClientStream.response(as: form) { writer in
      var job = job
      var next = job.start()
      while true {
        for (phase, values) in job.takeResults() {
          let value = JSONValue.object(["phase": .integer(phase), "data": .array(values)])
          try await writer.write(form.piece(value))
        }
        guard let request = next else { break }
        next = nil
        for await reply in replies(request) { next = job.receive(reply) }
      }
      if let failure = job.failure {
        try await writer.write(form.piece(ClientStream.error(failure)))
      }
    }
  }
}
