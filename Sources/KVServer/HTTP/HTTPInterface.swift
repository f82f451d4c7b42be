import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import KVCluster
import KVModel
import KVTransport
import Logging
import NIOCore
import Synchronization

/// The HTTP port: status page, statistics, metrics, ping, and the admin interface.
///
/// ```
/// GET  /                          the status page
/// /ping, /buckets, /types, /riak  see ``ClientInterface``
/// GET  /stats                     one flat JSON object
/// GET  /metrics                   Prometheus text format
/// GET  /openapi.json              this list for programs
/// GET  /admin/status              the cluster as this node sees it
/// GET  /admin/aae-status          what this node's anti-entropy has compared and repaired
/// POST /admin/fold                {"kind": …, "bucket": …} counts or finds objects by their heads
/// POST /admin/cluster/join        {"peer": "host:port"}
/// POST /admin/cluster/leave       {"node": name}, or no body for this node
/// POST /admin/cluster/force-remove {"node": name}
/// POST /admin/cluster/replace     {"node": name, "with": name}
/// POST /admin/cluster/plan|commit|clear
/// POST /admin/cluster/location    {"node": name, "location": text}; this node without a name
/// POST /admin/down                {"node": name}
/// POST /admin/transfer-limit      {"concurrency": n, "bytes_per_second": n}, both optional
/// POST /admin/bucket-type/NAME    {"props": {…}} creates a bucket type
/// GET  /admin/bucket-type/NAME    its properties
/// POST /admin/bucket/drop         {"type": name, "bucket": name}, drops what the bucket holds
/// ```
///
/// Admin answers are the documents of ``AdminDocument``: 200 when done, 409 when the cluster
/// refuses, 400 for a body that does not fit, 503 when the node does not answer in time.
struct HTTPInterface: Sendable {
  /// What the interface needs of its node.
  struct Node: Sendable {
    var administer: @Sendable (AdminCommand) async -> AdminReply?
    var statistics: @Sendable () async -> NodeStatistics
    var replies: @Sendable (ClientRequest) -> ReplyStream
    var entropy: @Sendable () async -> [EntropyStatus]?
    var memory: MemoryBudget

    /// The last reply to a request.
    func reply(to request: ClientRequest) async -> ClientReply? {
      var last: ClientReply?
      for await reply in replies(request) { last = reply }
      return last
    }
  }

  let node: Node
  let configuration: ServerConfiguration

  /// Serves until the task is cancelled; `bound` is told the port once.
  func run(
    on group: any EventLoopGroup, logger: Logger, bound: @escaping @Sendable (Int) -> Void
  ) async throws {
    var quiet = logger
    // Hummingbird logs its own start and reports the cancellation that stops it as an error.
    quiet.logLevel = .critical
    let endpoint = configuration.httpEndpoint
    let limit = configuration.httpConnectionLimit
    let application = Application(
      router: router(),
      server: .http1(configuration: .init(idleTimeout: .seconds(60))),
      configuration: ApplicationConfiguration(
        address: .hostname(endpoint.host, port: Int(endpoint.port)), serverName: "SpineKV",
        availableConnectionsDelegate: MaximumAvailableConnections(limit)),
      onServerRunning: { channel in bound(channel.localAddress?.port ?? 0) },
      eventLoopGroupProvider: .shared(group), logger: quiet)
    try await application.runService(gracefulShutdownSignals: [])
  }

  func router() -> Router<BasicRequestContext> {
    let router = Router()
    router.middlewares.add(JSONErrors())
    router.middlewares.add(
      ClientInterface(
        replies: node.replies, memory: node.memory,
        bodyByteLimit: configuration.objectByteLimit, disabledJobs: configuration.disabledJobs))
    router.get("/") { _, _ in
      let status = await self.status()
      let statistics = await self.node.statistics()
      return Self.response(
        .ok, "text/html; charset=utf-8", StatusPage(statistics: statistics, status: status).html)
    }
    router.get("stats") { _, _ in
      Self.response(.ok, "application/json", await self.node.statistics().json)
    }
    router.get("metrics") { _, _ in
      Self.response(
        .ok, "text/plain; version=0.0.4; charset=utf-8", await self.node.statistics().prometheus)
    }
    router.get("openapi.json") { _, _ in
      Self.response(.ok, "application/json", OpenAPIDocument.json)
    }
    addAdmin(to: router)
    return router
  }

  private func addAdmin(to router: Router<BasicRequestContext>) {
    router.get("admin/status") { _, _ in await self.answer(.status) }
    router.get("admin/aae-status") { _, _ in await self.entropyStatus() }
    router.post("admin/fold") { request, _ in await self.fold(try await self.body(of: request)) }
    let cluster = router.group("admin/cluster")
    cluster.post("plan") { _, _ in await self.answer(.plan) }
    cluster.post("commit") { _, _ in await self.answer(.commit) }
    cluster.post("clear") { _, _ in await self.answer(.clear) }
    cluster.post("join") { request, _ in
      let body = try await self.target(of: request)
      guard let endpoint = body.peer.flatMap(SettingKind.endpoint) else {
        throw BadRequest("expected {\"peer\": \"host:port\"}, the peer address of a member")
      }
      return await self.answer(.join(endpoint))
    }
    cluster.post("leave") { request, _ in
      await self.answer(.leave(try await self.target(of: request).node))
    }
    cluster.post("force-remove") { request, _ in
      await self.answer(.forceRemove(try await self.member(of: request)))
    }
    cluster.post("replace") { request, _ in
      let body = try await self.target(of: request)
      guard let old = body.node, let new = body.with else {
        throw BadRequest("expected {\"node\": name, \"with\": name}")
      }
      return await self.answer(.replace(old, with: new))
    }
    cluster.post("location") { request, _ in
      let body = try await self.target(of: request)
      guard let location = body.location else {
        throw BadRequest("expected {\"node\": name, \"location\": text}")
      }
      return await self.answer(.locate(body.node, at: location))
    }
    router.post("admin/transfer-limit") { request, _ in
      let body = try await self.target(of: request)
      guard (1...64).contains(body.concurrency ?? 1), (body.bytesPerSecond ?? 0) >= 0 else {
        throw BadRequest("expected a concurrency of 1 to 64 and a rate of 0 or more")
      }
      return await self.answer(
        .transferLimit(concurrency: body.concurrency, bytesPerSecond: body.bytesPerSecond))
    }
    router.post("admin/down") { request, _ in
      await self.answer(.down(try await self.member(of: request)))
    }
    router.post("admin/bucket/drop") { request, _ in
      let body = try await self.target(of: request)
      guard let type = body.type, let bucket = body.bucket, !bucket.isEmpty else {
        throw BadRequest("expected {\"type\": name, \"bucket\": name}")
      }
      return await self.dropBucket(type: type, name: bucket)
    }
    router.get("admin/bucket-type/:name") { _, context in
      await self.bucketType(try context.parameters.require("name"))
    }
    router.post("admin/bucket-type/:name") { request, context in
      await self.createBucketType(
        try context.parameters.require("name"), try await self.body(of: request))
    }
  }

  // MARK: Admin commands

  func status() async -> ClusterStatus? {
    guard case .status(let status)? = await node.administer(.status) else { return nil }
    return status
  }

  private func answer(_ command: AdminCommand) async -> Response {
    switch await node.administer(command) {
    case .done(let text): Self.json(.ok, AdminDocument.Outcome(ok: true, message: text))
    case .refused(let text): Self.json(.conflict, AdminDocument.Outcome(ok: false, message: text))
    case .plan(let plan): Self.json(.ok, AdminDocument.Plan(plan))
    case .status(let status): Self.json(.ok, AdminDocument.Status(status))
    case nil:
      Self.json(
        .serviceUnavailable,
        AdminDocument.Outcome(
          ok: false, message: "The node is overloaded or stopping. Try again in a few moments."))
    }
  }

  private func target(of request: Request) async throws -> AdminDocument.Target {
    let body = try await body(of: request)
    guard !body.isEmpty else { return AdminDocument.Target() }
    do {
      return try AdminDocument.decoder.decode(AdminDocument.Target.self, from: body)
    } catch {
      throw BadRequest("The body is not the JSON object expected.")
    }
  }

  private func body(of request: Request) async throws -> Data {
    var request = request
    do {
      let buffer = try await request.collectBody(upTo: configuration.httpBodyByteLimit)
      return Data(buffer.readableBytesView)
    } catch {
      throw HTTPError(.contentTooLarge, message: "The body exceeds http.body_limit.")
    }
  }

  private func member(of request: Request) async throws -> String {
    guard let node = try await target(of: request).node else {
      throw BadRequest("expected {\"node\": name}")
    }
    return node
  }

  // MARK: Responses

  static func response(_ status: HTTPResponse.Status, _ type: String, _ body: String) -> Response {
    Response(
      status: status, headers: [.contentType: type, .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
  }

  static func json(_ status: HTTPResponse.Status, _ document: some Encodable) -> Response {
    guard let data = try? AdminDocument.encoder.encode(document) else {
      return response(.internalServerError, "application/json", "{\"ok\":false}\n")
    }
    return response(status, "application/json", String(decoding: data, as: UTF8.self) + "\n")
  }
}

/// A request whose body does not fit.
private struct BadRequest: Error {
  var message: String

  init(_ message: String) { self.message = message }
}

/// Turns every failure of a route, also "no such path", into a JSON answer.
private struct JSONErrors: RouterMiddleware {
  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as BadRequest {
      return answer(.badRequest, error.message)
    } catch let error as HTTPError {
      let text =
        error.status == .notFound
        ? "There is nothing at \(request.uri.path)." : error.body ?? error.status.reasonPhrase
      return answer(error.status, text)
    }
  }

  private func answer(_ status: HTTPResponse.Status, _ message: String) -> Response {
    HTTPInterface.json(status, AdminDocument.Outcome(ok: false, message: message))
  }
}
