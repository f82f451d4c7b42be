import Glibc
import KVBase
import KVClient
import KVModel
import Testing

extension IntegrationTests {
  private func routedClient(
    _ cluster: TestCluster, _ change: (inout KVClientConfiguration) -> Void = { _ in }
  ) -> KVClient {
    var configuration = KVClientConfiguration(
      endpoints: cluster.ports.map { KVEndpoint(host: "127.0.0.1", port: $0.client) })
    configuration.requestTimeout = .seconds(600)
    change(&configuration)
    return KVClient(configuration: configuration)
  }

  /// The PUTs that nodes have passed on to another coordinator.
  private func forwards(_ cluster: TestCluster) async throws -> Int {
    var sum = 0
    for node in cluster.ports.indices {
      sum += try await cluster.statistic(node, "coord_redirs_total") ?? 0
    }
    return sum
  }

  private func write(_ count: Int, _ client: KVClient) async throws {
    for number in 0..<count {
      try await client.put(
        Content(value: [1]), at: ObjectKey(bucket: "single", key: "key-\(number)"),
        idempotent: true)
    }
  }

  @Test(.timeLimit(.minutes(15)))
  func `a routed client saves the cluster the forwarding, and reads of a paused node are hedged`()
    async throws
  {
    let cluster = try TestCluster(nodes: 3)
    for node in 0..<3 { try await cluster.start(node, ["--shards", "1"]) }
    try await cluster.form()
    let plain = routedClient(cluster) { $0.routing = .anyNode }
    var properties = try await plain.properties(of: "single")
    properties.nVal = 1
    try await plain.setProperties(properties, of: "single")
    try await write(300, plain)
    let unrouted = try await forwards(cluster)
    #expect(unrouted > 120, "two of three PUTs come to a node without the key: \(unrouted)")
    await plain.close()

    let routed = routedClient(cluster)
    try await write(300, routed)
    let before = try await forwards(cluster)
    try await write(300, routed)
    let passedOn = try await forwards(cluster) - before
    #expect(passedOn <= 15, "\(passedOn) of 300 PUTs were passed on; \(routed.statistics)")
    #expect(routed.statistics.primaryShare > 0.95)
    await routed.close()

    let hedged = routedClient(cluster) {
      $0.hedging = .after(.milliseconds(200))
      $0.attemptTimeout = .seconds(500)
    }
    for number in 0..<30 { _ = try await hedged.get(self.shared(number)) }
    for number in 0..<30 {
      try await hedged.put(Content(value: [1]), at: self.shared(number), idempotent: true)
    }
    let paused = try #require(cluster.processID(1))
    kill(paused, SIGSTOP)
    let began = ContinuousClock.now
    for number in 0..<30 {
      var options = GetOptions()
      options.r = .one
      #expect(try await hedged.get(self.shared(number), options: options) != nil)
    }
    let taken = began.duration(to: .now)
    kill(paused, SIGCONT)
    #expect(taken < .seconds(400), "no read waited for the paused node: \(taken)")
    #expect(hedged.statistics.hedgesWon >= 1, "\(hedged.statistics)")
    await hedged.close()
  }

  private func shared(_ number: Int) -> ObjectKey {
    ObjectKey(bucket: "shared", key: "key-\(number)")
  }
}
