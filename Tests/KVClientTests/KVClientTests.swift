import KVBase
import KVModel
import KVProtocol
import KVTransport
import Testing

@testable import KVClient

@Suite(.serialized) struct KVClientTests {
  private let key = ObjectKey(bucket: "b", key: "k")

  private func client(
    _ servers: [KVEndpoint], _ change: (inout KVClientConfiguration) -> Void = { _ in }
  ) -> KVClient {
    var configuration = KVClientConfiguration(endpoints: servers)
    configuration.requestTimeout = .seconds(300)
    configuration.connectTimeout = .seconds(60)
    // Nothing but what a test asks for is sent.
    configuration.routing = .anyNode
    change(&configuration)
    return KVClient(configuration: configuration)
  }

  private func object(_ values: Bytes...) -> KVObject {
    var object = KVObject()
    for value in values {
      object.write(
        Content(value: value), context: VersionVector(), by: VnodeID(rawValue: 1))
    }
    return object
  }

  private func code(
    _ body: () async throws(KVClientError) -> Void
  ) async -> (KVClientError.Code, isAmbiguous: Bool)? {
    do throws(KVClientError) {
      try await body()
      return nil
    } catch {
      return (error.code, error.isAmbiguous)
    }
  }

  @Test func `an object comes with its siblings and the context to write with`() async throws {
    let stored = object([1], [2])
    let server = try await ScriptedServer { request, _ in
      switch request {
      case .perform(.get, _): return .reply(.object(stored))
      case .perform(.put(_, let context, let content, _), _):
        #expect(context == stored.clock)
        #expect(content.value == [3])
        return .reply(.stored(KVObject()))
      default: return .hangUp
      }
    }
    let client = client([server.endpoint])
    let read = try #require(try await client.get(key))
    #expect(read.siblings.map(\.value) == [[1], [2]])
    #expect(read.value == nil)
    let resolved = try #require(
      try await client.get(
        key,
        resolving: ClosureResolver { siblings in
          Content(value: [UInt8(siblings.reduce(0) { $0 + Int($1.value[0]) })])
        }))
    try await client.put(try #require(resolved.content), at: key, context: resolved.context)
    await client.close()
    await server.stop()
  }

  @Test func `a missing object is nil and a generated key comes back`() async throws {
    let server = try await ScriptedServer { request, _ in
      if case .perform(.get, _) = request { return .reply(.object(KVObject())) }
      return .reply(.stored(KVObject()))
    }
    let client = client([server.endpoint])
    #expect(try await client.get(key) == nil)
    let stored = try await client.put(Content(value: [1]), generatingKeyIn: key.bucket)
    #expect(stored.key == ObjectKey(bucket: "b", key: "made"))
    await client.close()
    await server.stop()
  }

  @Test func `requests go on while one of two nodes is down`() async throws {
    let up = try await ScriptedServer { _, _ in .reply(.object(KVObject())) }
    let down = try await ScriptedServer { _, _ in .reply(.object(KVObject())) }
    let client = client([down.endpoint, up.endpoint])
    for _ in 0..<10 { _ = try await client.get(key) }
    #expect(down.requestCount > 0 && up.requestCount > 0)
    await down.stop()
    for _ in 0..<50 { _ = try await client.get(key) }
    let back = try await ScriptedServer(port: down.listener.port) { _, _ in
      .reply(.object(KVObject()))
    }
    let deadline = ContinuousClock.now + .seconds(120)
    while back.requestCount == 0, ContinuousClock.now < deadline {
      _ = try await client.get(key)
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(back.requestCount > 0, "a node that is back is used again")
    await client.close()
    await up.stop()
    await back.stop()
  }

  @Test func `a read whose connection breaks is repeated`() async throws {
    let server = try await ScriptedServer { _, number in
      number == 1 ? .hangUp : .reply(.object(KVObject()))
    }
    let client = client([server.endpoint])
    #expect(try await client.get(key) == nil)
    #expect(server.requestCount == 2)
    await client.close()
    await server.stop()
  }

  @Test func `a write whose connection breaks is not repeated unless it is idempotent`()
    async throws
  {
    let server = try await ScriptedServer { _, number in
      number <= 2 ? .hangUp : .reply(.stored(KVObject()))
    }
    let client = client([server.endpoint])
    let failure = await code { () throws(KVClientError) in
      _ = try await client.put(Content(value: [1]), at: key)
    }
    #expect(failure?.0 == .connectionLost)
    #expect(failure?.isAmbiguous == true)
    #expect(server.requestCount == 1)
    try await client.put(Content(value: [1]), at: key, idempotent: true)
    #expect(server.requestCount == 3)
    await client.close()
    await server.stop()
  }

  @Test func `overload is tried elsewhere, even for a write`() async throws {
    let busy = try await ScriptedServer { _, _ in .reply(.failure(.overload)) }
    let free = try await ScriptedServer { _, _ in .reply(.stored(KVObject())) }
    let client = client([busy.endpoint, free.endpoint])
    for _ in 0..<20 { try await client.put(Content(value: [1]), at: key) }
    #expect(free.requestCount == 20)
    await client.close()
    await busy.stop()
    await free.stop()
  }

  @Test func `silence ends with a time-out and the connection is not used again`() async throws {
    let server = try await ScriptedServer { _, number in
      number == 1 ? .silence : .reply(.stored(KVObject()))
    }
    let client = client([server.endpoint]) {
      $0.requestTimeout = .milliseconds(500)
      $0.connectionsPerEndpoint = 1
    }
    let failure = await code { () throws(KVClientError) in
      _ = try await client.put(Content(value: [1]), at: key)
    }
    #expect(failure?.0 == .timeout)
    #expect(failure?.isAmbiguous == true)
    for _ in 0..<100 where server.requestCount == 0 { _ = try? await client.get(key) }
    var isStored = false
    for _ in 0..<100 where !isStored {
      isStored = (try? await client.put(Content(value: [1]), at: key)) != nil
    }
    #expect(isStored)
    await client.close()
    await server.stop()
  }

  @Test func `a read from a node that hangs is answered by another`() async throws {
    let hung = try await ScriptedServer { _, _ in .silence }
    let well = try await ScriptedServer { _, _ in .reply(.object(KVObject())) }
    let client = client([hung.endpoint, well.endpoint]) {
      $0.attemptTimeout = .milliseconds(500)
      $0.attempts = 50
    }
    for _ in 0..<4 { #expect(try await client.get(key) == nil) }
    #expect(hung.requestCount > 0)
    await client.close()
    await hung.stop()
    await well.stop()
  }

  @Test(arguments: [
    (RequestFailure.timeout, KVClientError.Code.timeout, true),
    (.matchFound, .matchFound, false), (.modified, .modified, false),
    (.notFound, .notFound, false), (.nValViolation(3), .invalidQuorum, false),
    (.dwUnsatisfied(need: 2, got: 1), .quorumUnsatisfied, true),
    (.unknownBucketType(Bytes("t".utf8)), .unknownBucketType, false),
    (.tooLarge("x"), .tooLarge, false),
  ])
  func `the server's failures have codes`(
    failure: RequestFailure, expected: KVClientError.Code, isAmbiguous: Bool
  ) async throws {
    let server = try await ScriptedServer { _, _ in .reply(.failure(failure)) }
    let client = client([server.endpoint])
    let got = await code { () throws(KVClientError) in
      _ = try await client.put(Content(value: [1]), at: key)
    }
    #expect(got?.0 == expected)
    #expect(got?.isAmbiguous == isAmbiguous)
    #expect(server.requestCount == 1)
    await client.close()
    await server.stop()
  }

  @Test func `no endpoint at all fails in time with a reason`() async throws {
    let server = try await ScriptedServer { _, _ in .silence }
    let endpoint = server.endpoint
    await server.stop()
    let client = client([endpoint]) { $0.requestTimeout = .milliseconds(300) }
    let failure = await code { () throws(KVClientError) in try await client.ping() }
    #expect(failure?.0 == .connectionFailed)
    await client.close()
    let closed = await code { () throws(KVClientError) in try await client.ping() }
    #expect(closed?.0 == .clientClosed)
  }

  @Test func `more requests than connections wait their turn`() async throws {
    let server = try await ScriptedServer { _, _ in .reply(.object(KVObject())) }
    let client = client([server.endpoint]) { $0.connectionsPerEndpoint = 2 }
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<200 {
        group.addTask {
          await code { () throws(KVClientError) in _ = try await client.get(key) } == nil
        }
      }
      for await succeeded in group { #expect(succeeded) }
    }
    #expect(server.requestCount == 200)
    #expect(server.listener.connectionCount <= 2)
    await client.close()
    await server.stop()
  }

  @Test func `a full waiting line refuses at once`() async throws {
    let server = try await ScriptedServer { _, _ in .silence }
    let client = client([server.endpoint]) {
      $0.connectionsPerEndpoint = 1
      $0.waitingRequests = 1
    }
    let refused = Tally()
    let tasks = (0..<4).map { _ in
      Task {
        let failure = await code { () throws(KVClientError) in try await client.ping() }
        if failure?.0 == .poolExhausted { refused.increment() }
      }
    }
    while refused.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
    for task in tasks { task.cancel() }
    for task in tasks { await task.value }
    #expect(refused.count == 2)
    await client.close()
    await server.stop()
  }

  @Test func `cancelling a task ends its request`() async throws {
    let server = try await ScriptedServer { _, _ in .silence }
    let client = client([server.endpoint])
    let task = Task { await code { () throws(KVClientError) in _ = try await client.get(key) } }
    while server.requestCount == 0 { try await Task.sleep(for: .milliseconds(5)) }
    task.cancel()
    #expect(await task.value?.0 == .cancelled)
    await client.close()
    await server.stop()
  }

  @Test func `a long listing arrives whole, is read no faster than consumed, and can be left`()
    async throws
  {
    let names = (0..<50_000).map { Bytes("key\($0)".utf8) }
    let server = try await ScriptedServer { request, _ in
      if case .perform(.listKeys, _) = request { return .reply(.keys(names, done: true)) }
      return .reply(.object(KVObject()))
    }
    let client = client([server.endpoint]) { $0.connectionsPerEndpoint = 1 }
    #expect(try await client.keys(in: key.bucket).count == names.count)
    var seen = 0
    for try await batch in client.keyBatches(in: key.bucket) {
      seen += batch.count
      try await Task.sleep(for: .milliseconds(1))
      if seen >= 20_000 { break }
    }
    #expect(seen == 20_000)
    #expect(try await client.get(key) == nil, "the pool has its connection back")
    await client.close()
    await server.stop()
  }

  @Test func `an update is repeated when another client was faster`() async throws {
    let first = object([1])
    let second = object([1], [9])
    let server = try await ScriptedServer { request, number in
      switch request {
      case .perform(.get, _): return .reply(.object(number == 1 ? first : second))
      case .perform(.put(_, let context, let content, let options), _):
        #expect(options.ifNotModified && !options.ifNoneMatch)
        if context == first.clock { return .reply(.failure(.modified)) }
        #expect(content.value == [10])
        return .reply(.stored(KVObject()))
      default: return .hangUp
      }
    }
    let client = client([server.endpoint])
    let adding = ClosureResolver { siblings in
      Content(value: [siblings.map { $0.value[0] }.max() ?? 0])
    }
    try await client.update(key, resolving: adding) { present in
      Content(value: [(present?.value[0] ?? 0) + 1])
    }
    #expect(server.requestCount == 4)
    await client.close()
    await server.stop()
  }

  @Test func `nonsense from the server is an error of the protocol`() async throws {
    let server = try await ScriptedServer { _, number in
      .frames(number == 1 ? [[10, 0xFF, 0xFF]] : number == 2 ? [[99]] : [[14]])
    }
    let client = client([server.endpoint])
    for _ in 1...3 {
      let failure = await code { () throws(KVClientError) in _ = try await client.get(key) }
      #expect(failure?.0 == .protocolViolation)
    }
    await client.close()
    await server.stop()
  }

  @Test func `empty names and requests beyond all limits are refused before anything is sent`()
    async throws
  {
    let client = client([KVEndpoint(host: "127.0.0.1", port: 1)])
    let failure = await code { () throws(KVClientError) in
      _ = try await client.get(ObjectKey(bucket: "b", key: ""))
    }
    #expect(failure?.0 == .invalidArgument)
    let large = await code { () throws(KVClientError) in
      _ = try await client.put(Content(value: Bytes(repeating: 0, count: 65 << 20)), at: key)
    }
    #expect(large?.0 == .tooLarge)
    await client.close()
  }

  @Test func `retries stop when their budget is spent`() {
    let budget = RetryBudget()
    var spent = 0
    while budget.spend() { spent += 1 }
    #expect(spent == 100)
    for _ in 0..<10 { budget.recordRequest() }
    #expect(budget.spend() && budget.spend() && !budget.spend())
  }

  @Test func `endpoints read from text`() {
    #expect(KVEndpoint("node:8087") == KVEndpoint(host: "node", port: 8087))
    #expect(KVEndpoint("node") == nil)
    #expect(KVEndpoint("node:x") == nil)
  }
}
