import KVBase
import KVModel
import KVProtocol
import Synchronization
import Testing

@testable import KVClient

@Suite(.serialized) struct RoutingTests {
  private func client(
    _ cluster: ScriptedCluster, _ change: (inout KVClientConfiguration) -> Void = { _ in }
  ) -> KVClient {
    var configuration = KVClientConfiguration(endpoints: cluster.endpoints)
    configuration.requestTimeout = .seconds(300)
    configuration.attemptTimeout = .seconds(100)
    change(&configuration)
    return KVClient(configuration: configuration)
  }

  private func key(_ number: Int) -> ObjectKey { ObjectKey(bucket: "b", key: "k\(number)") }

  /// Reads keys until the client has asked nothing new for a while.
  private func warmUp(_ client: KVClient, _ keys: Int = 400) async throws {
    for round in 0..<5 {
      for number in 0..<keys { _ = try await client.get(key(number + round * keys)) }
    }
  }

  @Test func `requests go to a primary once a few lists are known`() async throws {
    let cluster = try await ScriptedCluster(nodes: 4, ringSize: 64, replicas: 1)
    let client = client(cluster)
    try await warmUp(client)
    #expect(
      try await eventually {
        cluster.restart()
        for number in 0..<200 { _ = try await client.get(key(number)) }
        return cluster.primaryShare == 1
      })
    for number in 0..<500 { try await client.put(Content(value: [1]), at: key(number)) }
    #expect(cluster.primaryShare == 1)
    #expect(cluster.state.withLock { $0.lists } <= 200, "a question per partition, or a few more")
    #expect(client.statistics.attemptsAtPrimaries >= 700)
    await client.close()
    await cluster.stop()
  }

  @Test func `without routing the share is that of chance`() async throws {
    let cluster = try await ScriptedCluster(nodes: 4, ringSize: 64, replicas: 1)
    let client = client(cluster) { $0.routing = .anyNode }
    try await warmUp(client)
    #expect((0.2...0.3).contains(cluster.primaryShare), "\(cluster.primaryShare)")
    #expect(cluster.state.withLock { $0.lists } == 0)
    #expect(client.statistics.attemptsUnplaced == 2000)
    await client.close()
    await cluster.stop()
  }

  @Test func `requests whose primary is away are answered by others`() async throws {
    let cluster = try await ScriptedCluster(nodes: 3, ringSize: 16, replicas: 1)
    let client = client(cluster)
    try await warmUp(client, 100)
    let gone = cluster.servers.withLock { $0.removeFirst() }
    await gone.stop()
    cluster.restart()
    for number in 0..<300 { _ = try await client.get(key(number)) }
    let share = cluster.primaryShare
    #expect((0.5...0.8).contains(share), "two of three nodes are there: \(share)")
    await client.close()
    await cluster.stop()
  }

  @Test func `a changed ring is noticed`() async throws {
    let cluster = try await ScriptedCluster(nodes: 3, ringSize: 16, replicas: 1)
    let client = client(cluster) { $0.topologyRefresh = .milliseconds(100) }
    try await warmUp(client, 100)
    cluster.state.withLock { state in state.owners = state.owners.map { ($0 + 1) % 3 } }
    #expect(
      try await eventually {
        cluster.restart()
        for number in 0..<100 { _ = try await client.get(key(number)) }
        return cluster.primaryShare == 1
      })
    await client.close()
    await cluster.stop()
  }

  @Test(arguments: [
    ScriptedAnswer.silence, .hangUp, .frames([[99]]), .frames([ReplyEncoder.error("no")]),
    .reply(.failure(.overload)), .reply(.preferenceList([])),
    .reply(.preferenceList([PreferredVnode(partition: 70_000, node: "x", isPrimary: true)])),
    .reply(.preferenceList([PreferredVnode(partition: 0, node: "", isPrimary: false)])),
  ])
  func `nonsense about the ring fails no request`(lie: ScriptedAnswer) async throws {
    let cluster = try await ScriptedCluster(nodes: 3, ringSize: 16)
    cluster.state.withLock { $0.lie = lie }
    let client = client(cluster) { $0.connectTimeout = .seconds(5) }
    for number in 0..<500 { _ = try await client.get(key(number)) }
    #expect(client.statistics.failures == 0 && client.statistics.attemptsAtPrimaries == 0)
    #expect(
      cluster.state.withLock { $0.lists } < 100, "what teaches nothing is not asked again soon")
    await client.close()
    await cluster.stop()
  }

  @Test func `the ring's size follows from a few lists, and contradictions empty the memory`() {
    let endpoint = KVEndpoint(host: "a")
    for size in [8, 64, 4096] {
      let topology = Topology(endpoints: [endpoint], refresh: .seconds(60))
      topology.learn(name: "n", of: endpoint)
      func list(_ key: ObjectKey, _ size: Int) -> [PreferredVnode] {
        let first = ScriptedCluster.firstPartition(key, size)
        return (0..<3).map {
          PreferredVnode(partition: (first + $0) % size, node: "n", isPrimary: true)
        }
      }
      for number in 0..<20 {
        _ = topology.learn(list(key(number), size), for: key(number))
      }
      #expect(topology.plan(for: key(3)).primaries == [endpoint])
      #expect(!topology.plan(for: key(3)).wantsList)
      let other = size == 8 ? 64 : 8
      #expect((0..<20).contains { !topology.learn(list(key($0), other), for: key($0)) })
      #expect(topology.plan(for: key(3)).wantsList)
    }
  }

  @Test func `what is remembered is limited`() {
    let endpoint = KVEndpoint(host: "a")
    let topology = Topology(endpoints: [endpoint], refresh: .seconds(60))
    topology.learn(name: "n", of: endpoint)
    for number in 0..<3000 {
      let key = ObjectKey(bucket: "b\(number)", key: "k")
      let first = ScriptedCluster.firstPartition(key, 8)
      _ = topology.learn(
        [PreferredVnode(partition: first, node: "n", isPrimary: true)], for: key)
      #expect(!topology.plan(for: key).wantsList || number < 10)
    }
    #expect(topology.rememberedBuckets <= Topology.bucketLimit)
  }

  @Test func `a list without news makes learning rest`() {
    let topology = Topology(endpoints: [], refresh: .seconds(60))
    #expect(topology.plan(for: key(0)).wantsList)
    #expect(topology.beginLearning() && !topology.beginLearning())
    topology.endLearning(progress: false)
    #expect(!topology.plan(for: key(0)).wantsList)
  }
}
