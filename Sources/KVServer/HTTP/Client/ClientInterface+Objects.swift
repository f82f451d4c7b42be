import Foundation
import HTTPTypes
import Hummingbird
import KVBase
import KVModel
import KVProtocol

/// Objects over HTTP.
///
/// **Source**: reference section 2.2.
extension ClientInterface {
  func object(_ call: Call, _ key: ObjectKey) async throws(ClientFailure) -> Response {
    switch call.method {
    case .get: return try await fetch(call, key)
    case .delete: return try await delete(call, key)
    default: return try await store(call, bucket: key.bucket, key: key.key)
    }
  }

  // MARK: Reading

  private func read(
    _ key: ObjectKey, _ options: GetOptions
  ) async throws(ClientFailure) -> KVObject {
    guard case .object(let object) = try await reply(to: .get(key, options)) else {
      throw .failed(.overload)
    }
    return object
  }

  private func fetch(_ call: Call, _ key: ObjectKey) async throws(ClientFailure) -> Response {
    let object = try await read(key, try call.query.getOptions())
    if let content = object.siblings.first?.content, object.siblings.count == 1,
      !content.isTombstone
    {
      try checkRead(call.fields, content)
    }
    return try answer(object, call, key)
  }

  /// The response with an object: its value, its siblings, or that it is gone.
  private func answer(
    _ object: KVObject, _ call: Call, _ key: ObjectKey
  ) throws(ClientFailure) -> Response {
    var contents = object.siblings.map(\.content)
    if contents.isEmpty { throw .notFound }
    try call.memory.take(contents.reduce(0) { $0 + $1.value.count })
    let clock = ObjectHeaders.vclockHeader(object.clock)
    if contents.allSatisfy(\.isTombstone) {
      var response = ClientFailure.notFound.response
      if let name = HTTPField.Name(clock.name) { response.headers[name] = clock.value }
      if let name = HTTPField.Name("X-Riak-Deleted") { response.headers[name] = "true" }
      return response
    }
    if let vtag = call.query["vtag"] {
      contents.removeAll { $0.vtag != Bytes(vtag.utf8) }
      if contents.isEmpty { throw .notFound }
    }
    if contents.count > 1 { return siblings(contents, clock, call, key) }
    let headers = ObjectHeaders.headers(contents[0], in: key.bucket, isOld: call.isOld)
    return ClientResponse.body(
      .ok, ObjectHeaders.type(contents[0]), contents[0].value, [clock] + headers)
  }

  private func siblings(
    _ contents: [Content], _ clock: ClientResponse.Header, _ call: Call, _ key: ObjectKey
  ) -> Response {
    guard call.accepts("multipart/mixed") else {
      let lines = contents.map { String(decoding: $0.vtag, as: UTF8.self) + "\n" }
      return ClientResponse.body(
        .multipleChoices, "text/plain", Bytes(("Siblings:\n" + lines.joined()).utf8), [clock])
    }
    // Version tags are of letters and digits and differ, and no value holds all of them.
    let boundary = contents.map { String(decoding: $0.vtag, as: UTF8.self) }.joined().suffix(70)
    var body: Bytes = []
    for content in contents {
      body += Bytes("\r\n--\(boundary)\r\nContent-Type: \(ObjectHeaders.type(content))\r\n".utf8)
      for header in ObjectHeaders.headers(content, in: key.bucket, isOld: call.isOld) {
        body += Bytes("\(header.name): \(header.value)\r\n".utf8)
      }
      body += Bytes("\r\n".utf8) + content.value
    }
    body += Bytes("\r\n--\(boundary)--\r\n".utf8)
    return ClientResponse.body(
      .multipleChoices, "multipart/mixed; boundary=\(boundary)", body, [clock])
  }

  // MARK: Conditions

  private func names(_ etag: String, in header: String) -> Bool {
    header.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
      .contains { $0 == etag || $0 == "*" }
  }

  private func checkRead(_ fields: HTTPFields, _ content: Content) throws(ClientFailure) {
    let etag = ObjectHeaders.etag(content)
    try checkMatch(fields, content)
    if let header = fields[.ifNoneMatch] {
      if names(etag, in: header) { throw .notModified(etag: etag) }
    } else if let text = fields[.ifModifiedSince], let seconds = HTTPDate.seconds(text),
      ObjectHeaders.seconds(content) <= seconds
    {
      throw .notModified(etag: etag)
    }
  }

  private func checkMatch(_ fields: HTTPFields, _ content: Content?) throws(ClientFailure) {
    if let header = fields[.ifMatch] {
      guard let content, names(ObjectHeaders.etag(content), in: header) else {
        throw .precondition
      }
    }
    if let text = fields[.ifUnmodifiedSince], let seconds = HTTPDate.seconds(text),
      let content, ObjectHeaders.seconds(content) > seconds
    {
      throw .precondition
    }
  }

  /// What a write must find for its conditions to hold; the write is made only upon the clock that
  /// they were checked with.
  private func checkWrite(
    _ call: Call, _ key: ObjectKey, _ options: inout PutOptions
  ) async throws(ClientFailure) -> VersionVector? {
    let fields = call.fields
    if fields[.ifNoneMatch]?.trimmingCharacters(in: .whitespaces) == "*" {
      options.ifNoneMatch = true
      return nil
    }
    if let clock = try ObjectHeaders.clock(fields, "X-Riak-If-Not-Modified") {
      options.ifNotModified = true
      return clock
    }
    guard fields[.ifMatch] ?? fields[.ifNoneMatch] ?? fields[.ifUnmodifiedSince] != nil else {
      return nil
    }
    var head = GetOptions()
    head.headOnly = true
    head.timeout = options.timeout
    let object = try await read(key, head)
    let live = object.siblings.map(\.content).filter { !$0.isTombstone }
    for content in live.isEmpty ? [nil] : live.map(Optional.some) {
      try checkMatch(fields, content)
      if let header = fields[.ifNoneMatch], let content,
        names(ObjectHeaders.etag(content), in: header)
      {
        throw .precondition
      }
    }
    if object.siblings.isEmpty { return nil }
    options.ifNotModified = true
    return object.clock
  }

  // MARK: Writing

  private func putOptions(_ query: ClientQuery) throws(ClientFailure) -> PutOptions {
    var options = try query.putOptions()
    options.asIs = try query.flag("asis") ?? false
    switch query["sync_on_write"] {
    case nil, "backend"?: break
    case "one"?: options.syncOnWrite = .one
    case "all"?: options.syncOnWrite = .all
    default:
      throw .malformed(
        "sync_on_write query parameter must be one of the following words: "
          + "'all', 'one' or 'backend'\n")
    }
    return options
  }

  /// Stores an object; without a key under a generated one.
  func store(
    _ call: Call, bucket: BucketID, key: Bytes?
  ) async throws(ClientFailure) -> Response {
    var options = try putOptions(call.query)
    var content = try ObjectHeaders.content(call.body, call.fields)
    let context = try ObjectHeaders.clock(call.fields)
    var random = SystemRandomNumberGenerator()
    let name = ObjectKey(bucket: bucket, key: key ?? Base62.key(using: &random))
    let condition = try await checkWrite(call, name, &options)
    if options.asIs { content.vtag = Base62.key(using: &random) }
    let request = ClientRequest.put(
      name, context: condition ?? context ?? VersionVector(), content, options)
    let reply: ClientReply
    do {
      reply = try await self.reply(to: request)
    } catch {
      // What was checked before the write has changed since.
      guard case .failed(.modified) = error,
        call.fields[.ifMatch] ?? call.fields[.ifNoneMatch] ?? call.fields[.ifUnmodifiedSince] != nil
      else { throw error }
      throw .precondition
    }
    guard case .stored(let object) = reply else { throw .failed(.overload) }
    let location: [ClientResponse.Header] =
      key == nil ? [("Location", ObjectHeaders.path(name, isOld: call.isOld))] : []
    if options.returnBody {
      var response = try answer(object, call, name)
      if let first = location.first { response.headers[.location] = first.value }
      if key == nil, response.status == .ok { response.status = .created }
      return response
    }
    let type = call.fields[.contentType] ?? ""
    if key == nil { return ClientResponse.body(.created, type, [], location) }
    return ClientResponse.empty(.noContent, [("Content-Type", type)])
  }

  private func delete(_ call: Call, _ key: ObjectKey) async throws(ClientFailure) -> Response {
    let query = call.query
    var options = DeleteOptions()
    options.rw = try query.quorum("rw")
    options.r = try query.quorum("r")
    options.pr = try query.quorum("pr")
    options.w = try query.quorum("w")
    options.dw = try query.quorum("dw")
    options.pw = try query.quorum("pw")
    options.timeout = try query.timeout()
    let context = try ObjectHeaders.clock(call.fields)
    var head = GetOptions()
    head.headOnly = true
    head.r = options.r ?? options.rw
    head.pr = options.pr
    head.timeout = options.timeout
    let object = try await read(key, head)
    if object.siblings.allSatisfy(\.content.isTombstone) { throw .notFound }
    try checkMatch(call.fields, object.siblings.first?.content)
    _ = try await reply(to: .delete(key, context: context ?? object.clock, options))
    return ClientResponse.empty(.noContent, [("Content-Type", "text/html")])
  }
}
