import KVBase
import KVModel
import Synchronization
import Testing

@testable import KVClient

@Suite(.serialized) struct HedgingTests {
  private let key = ObjectKey(bucket: "b", key: "k")

  private func client(
    _ servers: [ScriptedServer], _ change: (inout KVClientConfiguration) -> Void = { _ in }
  ) -> KVClient {
    var configuration = KVClientConfiguration(endpoints: servers.map(\.endpoint))
    configuration.requestTimeout = .seconds(3000)
    configuration.attemptTimeout = .seconds(1000)
    configuration.connectTimeout = .seconds(60)
    configuration.routing = .anyNode
    configuration.hedging = .after(.milliseconds(100))
    change(&configuration)
    return KVClient(configuration: configuration)
  }

  private func well() async throws -> ScriptedServer {
    try await ScriptedServer { _, _ in .reply(.object(KVObject())) }
  }

  private func hung() async throws -> ScriptedServer {
    try await ScriptedServer { _, _ in .silence }
  }

  @Test func `a read from a node that hangs is answered by another after the delay`() async throws {
    let hung = try await hung()
    let well = try await well()
    let observer = RememberingObserver()
    let client = client([hung, well]) { $0.observer = observer }
    let began = ContinuousClock.now
    for _ in 0..<20 { #expect(try await client.get(key) == nil) }
    #expect(began.duration(to: .now) < .seconds(900), "no attempt's time-out was waited for")
    let statistics = client.statistics
    #expect(statistics.hedges >= 1 && statistics.hedges <= 3, "the hung node is then left alone")
    #expect(statistics.hedgesWon == statistics.hedges && statistics.failures == 0)
    #expect(observer.count("hedged get other") == statistics.hedges)
    #expect(observer.count("failed \(hung.endpoint)") >= 1)
    await client.close()
    await hung.stop()
    await well.stop()
  }

  @Test func `answers in time are not hedged, nor are writes`() async throws {
    let servers = [try await well(), try await well()]
    let reader = client(servers) { $0.hedging = .after(.seconds(60)) }
    for _ in 0..<100 { _ = try await reader.get(key) }
    #expect(reader.statistics.hedges == 0)
    #expect(servers.reduce(0) { $0 + $1.requestCount } == 100)
    await reader.close()
    let silent = [try await hung(), try await hung()]
    let writer = client(silent) {
      $0.hedging = .after(.milliseconds(10))
      $0.requestTimeout = .milliseconds(500)
    }
    await #expect(throws: KVClientError.self) {
      try await writer.put(Content(value: [1]), at: key)
    }
    #expect(writer.statistics.hedges == 0)
    await writer.close()
    for server in servers + silent { await server.stop() }
  }

  @Test func `hedges are paid from the retry budget`() async throws {
    let servers = [try await hung(), try await hung()]
    let client = client(servers) {
      $0.hedging = .after(.milliseconds(20))
      $0.attempts = 1
      $0.requestTimeout = .milliseconds(400)
    }
    while client.budget.spend() {}
    for _ in 0..<3 {
      await #expect(throws: KVClientError.self) { try await client.get(key) }
    }
    #expect(client.statistics.hedges == 0)
    await client.close()
    for server in servers { await server.stop() }
  }

  @Test func `when both fail the first failure counts, and an early failure is not waited out`()
    async throws
  {
    let broken = [
      try await ScriptedServer { _, _ in .reply(.failure(.prUnsatisfied(need: 2, got: 1))) },
      try await ScriptedServer { _, _ in .reply(.failure(.prUnsatisfied(need: 2, got: 1))) },
    ]
    let client = client(broken) { $0.hedging = .after(.seconds(3600)) }
    do {
      _ = try await client.get(key)
      Issue.record("an answer")
    } catch {
      #expect(error.code == .quorumUnsatisfied)
    }
    await client.close()
    for server in broken { await server.stop() }
  }

  @Test func `cancelling ends both requests`() async throws {
    let servers = [try await hung(), try await hung()]
    let client = client(servers)
    let task = Task { () -> KVClientError.Code? in
      do throws(KVClientError) {
        _ = try await client.get(key)
        return nil
      } catch {
        return error.code
      }
    }
    #expect(try await eventually { client.statistics.hedges == 1 })
    task.cancel()
    #expect(await task.value == .cancelled)
    await client.close()
    for server in servers { await server.stop() }
  }

  @Test func `the observed delay follows the reads and forgets slowly`() {
    let estimate = LatencyEstimate()
    for _ in 0..<99 { estimate.record(.milliseconds(1)) }
    #expect(estimate.value(atQuantile: 0.99) == nil, "too few to say")
    for _ in 0..<900 { estimate.record(.milliseconds(1)) }
    for _ in 0..<20 { estimate.record(.milliseconds(100)) }
    let middle = estimate.value(atQuantile: 0.5)
    let high = estimate.value(atQuantile: 0.99)
    #expect(middle.map { $0 >= .milliseconds(1) && $0 < .microseconds(1500) } == true)
    #expect(high.map { $0 >= .milliseconds(100) && $0 < .milliseconds(150) } == true)
    for _ in 0..<20_000 { estimate.record(.milliseconds(1)) }
    #expect(estimate.value(atQuantile: 0.99).map { $0 < .milliseconds(2) } == true)
    estimate.record(.zero)
    estimate.record(.seconds(1_000_000))
    #expect(estimate.value(atQuantile: 1) != nil && estimate.value(atQuantile: 0) != nil)
  }

  @Test func `with the observed delay slow nodes are hedged too`() async throws {
    let slowness = Mutex(false)
    let sometimes = try await ScriptedServer { _, _ in
      slowness.withLock { $0 } ? .silence : .reply(.object(KVObject()))
    }
    let well = try await well()
    let client = client([sometimes, well]) { $0.hedging = .observed(atLeast: .milliseconds(50)) }
    for _ in 0..<200 { _ = try await client.get(key) }
    slowness.withLock { $0 = true }
    let before = client.statistics.hedgesWon
    for _ in 0..<10 { #expect(try await client.get(key) == nil) }
    #expect(client.statistics.hedgesWon > before)
    await client.close()
    await sometimes.stop()
    await well.stop()
  }
}
