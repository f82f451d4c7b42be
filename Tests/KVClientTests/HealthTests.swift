import KVBase
import KVModel
import KVProtocol
import Synchronization
import Testing

@testable import KVClient

/// Health checks of the pool, and what observers are told.
@Suite(.serialized) struct HealthTests {
  private let key = ObjectKey(type: "t", bucket: "b", key: "k")

  private func client(
    _ servers: [ScriptedServer], _ change: (inout KVClientConfiguration) -> Void = { _ in }
  ) -> KVClient {
    var configuration = KVClientConfiguration(endpoints: servers.map(\.endpoint))
    configuration.requestTimeout = .seconds(300)
    configuration.connectTimeout = .seconds(60)
    configuration.routing = .anyNode
    change(&configuration)
    return KVClient(configuration: configuration)
  }

  @Test func `a node that did not answer is avoided until it answers a ping`() async throws {
    let isHung = Mutex(true)
    let hung = try await ScriptedServer { _, _ in
      isHung.withLock { $0 } ? .silence : .reply(.object(KVObject()))
    }
    let well = try await ScriptedServer { _, _ in .reply(.object(KVObject())) }
    let observer = RememberingObserver()
    let client = client([hung, well]) {
      $0.attemptTimeout = .seconds(2)
      $0.connectTimeout = .seconds(2)
      $0.attempts = 50
      $0.observer = observer
    }
    for _ in 0..<30 { _ = try await client.get(key) }
    #expect(client.statistics.retries <= 8, "one time-out, and then no request goes there")
    isHung.withLock { $0 = false }
    #expect(try await eventually { observer.count("recovered \(hung.endpoint)") > 0 })
    let before = hung.requestCount
    for _ in 0..<20 { _ = try await client.get(key) }
    #expect(hung.requestCount > before)
    await client.close()
    await hung.stop()
    await well.stop()
  }

  @Test func `when no other node is there, one that did not answer is asked all the same`()
    async throws
  {
    let server = try await ScriptedServer { request, number in
      if case .answer = request { return .silence }
      return number == 1 ? .silence : .reply(.object(KVObject()))
    }
    let client = client([server]) { $0.attemptTimeout = .milliseconds(300) }
    #expect(try await client.get(key) == nil)
    #expect(try await client.get(key) == nil)
    await client.close()
    await server.stop()
  }

  @Test func `idle connections are asked whether they work`() async throws {
    let isHung = Mutex(false)
    let pings = Tally()
    let server = try await ScriptedServer { request, _ in
      if case .answer = request { pings.increment() }
      return isHung.withLock { $0 } ? .silence : .reply(.object(KVObject()))
    }
    let observer = RememberingObserver()
    let client = client([server]) {
      $0.healthCheckInterval = .milliseconds(50)
      $0.connectTimeout = .seconds(3)
      $0.observer = observer
    }
    _ = try await client.get(key)
    #expect(try await eventually { pings.count >= 3 })
    #expect(observer.count("opened") == 1, "a connection that works is kept")
    isHung.withLock { $0 = true }
    #expect(try await eventually { observer.count("closed") >= 1 })
    #expect(try await eventually { observer.count("failed") == 1 })
    isHung.withLock { $0 = false }
    #expect(try await eventually { observer.count("recovered") == 1 })
    #expect(try await client.get(key) == nil)
    await client.close()
    await server.stop()
  }

  @Test func `an observer is told of requests, retries and connections`() async throws {
    let server = try await ScriptedServer { request, number in
      switch request {
      case .perform(.listKeys, _): .reply(.keys([[1]], done: true))
      case .perform(.put, _): .reply(.failure(.modified))
      default: number == 1 ? .reply(.failure(.overload)) : .reply(.object(KVObject()))
      }
    }
    let observer = RememberingObserver()
    let client = client([server]) { $0.observer = observer }
    _ = try await client.get(key)
    _ = try? await client.put(Content(value: [1]), at: key)
    _ = try await client.keys(in: key.bucket)
    try await client.ping()
    #expect(
      observer.lines == [
        "began get t #1", "opened", "retried get 3002", "ended get well somewhere",
        "began put t #2", "ended put 3006 somewhere",
        "began list_keys t #3", "ended list_keys well somewhere",
        "began ping - #4", "ended ping well somewhere",
      ])
    await client.close()
    #expect(try await eventually { observer.count("closed") == 1 })
    #expect(client.statistics.requests == 4 && client.statistics.failures == 1)
    #expect(client.statistics.connectionsOpened == 1 && client.statistics.connectionsClosed == 1)
    await server.stop()
  }

  @Test func `a listing that is left early has ended too`() async throws {
    let names = (0..<50_000).map { Bytes("key\($0)".utf8) }
    let server = try await ScriptedServer { request, _ in
      if case .perform(.listBuckets, _) = request {
        return .reply(.buckets([[1], [2]], done: true))
      }
      return .reply(.keys(names, done: true))
    }
    let observer = RememberingObserver()
    let client = client([server]) { $0.observer = observer }
    for try await name in client.keyBatches(in: key.bucket).elements where name == names[10] {
      break
    }
    #expect(try await eventually { observer.count("ended list_keys well") == 1 })
    var buckets: [Bytes] = []
    for try await bucket in client.bucketBatches().elements { buckets.append(bucket) }
    #expect(buckets == [[1], [2]])
    await client.close()
    await server.stop()
  }
}
