import Foundation
import KVClient
import KVModel
import Testing

extension IntegrationTests {
  private func client(_ cluster: TestCluster, _ nodes: [Int]) -> KVClient {
    var configuration = KVClientConfiguration(
      endpoints: nodes.map { KVEndpoint(host: "127.0.0.1", port: cluster.ports[$0].client) })
    // What is tested is that nothing is lost, on a machine that runs all other tests meanwhile.
    configuration.requestTimeout = .seconds(40)
    return KVClient(configuration: configuration)
  }

  private func key(_ number: Int) -> ObjectKey {
    ObjectKey(bucket: "integration", key: "key-\(number)")
  }

  private func write(_ numbers: Range<Int>, _ client: KVClient) async throws {
    for number in numbers {
      try await client.put(
        Content(value: Array("value-\(number)".utf8)), at: key(number), idempotent: true)
    }
  }

  /// Reads every key from one node, with r=1 unless told otherwise; returns the numbers that are
  /// missing or wrong.
  private func missing(
    _ numbers: Range<Int>, at node: Int, of cluster: TestCluster, r: QuorumValue = .one
  ) async throws -> [Int] {
    let reader = client(cluster, [node])
    var options = GetOptions()
    options.r = r
    var wrong: [Int] = []
    for number in numbers {
      let object = try await reader.get(key(number), options: options)
      if object?.siblings.map(\.value) != [Array("value-\(number)".utf8)] { wrong.append(number) }
    }
    await reader.close()
    return wrong
  }

  @Test(.timeLimit(.minutes(15)))
  func `a cluster loses a node to kill -9, goes on, takes it back and has lost nothing`()
    async throws
  {
    let cluster = try TestCluster(nodes: 3)
    for node in 0..<3 { try await cluster.start(node) }
    try await cluster.form()
    #expect(try await cluster.admin(1, ["member-status"]).output.contains("Valid:3 / Leaving:0"))

    let everywhere = client(cluster, [0, 1, 2])
    try await write(0..<150, everywhere)
    cluster.killHard(1)
    let survivors = client(cluster, [0, 2])
    try await write(150..<400, survivors)
    // With one node away r=1 may meet a fallback that has no copy of what was written before.
    #expect(try await missing(0..<400, at: 0, of: cluster, r: .quorum) == [])

    try await cluster.start(1)
    try await cluster.settled()
    for node in 0..<3 {
      #expect(try await missing(0..<400, at: node, of: cluster) == [], "node \(node)")
    }
    await everywhere.close()
    await survivors.close()
    for node in 0..<3 { #expect(cluster.stop(node) == 0, "\(cluster.logText(node))") }
    try await cluster.start(0)
    #expect(cluster.logText(0).contains("clean=true"))
    #expect(cluster.stop(0) == 0)
  }

  @Test(.timeLimit(.minutes(15)))
  func `a node that leaves hands its data over first`() async throws {
    let cluster = try TestCluster(nodes: 3)
    for node in 0..<3 { try await cluster.start(node) }
    try await cluster.form()
    let writer = client(cluster, [0])
    try await write(0..<100, writer)
    await writer.close()
    try await cluster.adminEventually(0, ["cluster", "leave", cluster.name(2)])
    try await cluster.adminEventually(0, ["cluster", "plan"]) { $0.contains("leave ") }
    try await cluster.adminEventually(0, ["cluster", "commit"])
    try await eventually("node 2 owns nothing") {
      let status = try await cluster.admin(0, ["member-status"]).output
      return !status.contains(cluster.name(2))
        || status.split(separator: "\n").contains {
          $0.contains(cluster.name(2)) && $0.contains("0.0%") && $0.contains("exiting")
        }
    }
    _ = cluster.stop(2)
    for node in 0..<2 {
      #expect(try await missing(0..<100, at: node, of: cluster) == [], "node \(node)")
    }
  }
}
