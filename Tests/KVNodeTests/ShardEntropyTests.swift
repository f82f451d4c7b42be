import KVBase
import KVCluster
import KVModel
import KVNode
import Testing

@Suite struct ShardEntropyTests {
  private func cluster(seed: UInt64 = 1, members: Int? = nil) throws -> TestCluster {
    let cluster = TestCluster(ringSize: 8, seed: seed, members: members)
    cluster.configure = {
      $0.entropyLimit = 2
      $0.entropyInterval = .milliseconds(20)
      $0.entropyPace.confirmation = .milliseconds(50)
    }
    cluster.view.properties = [cluster.siblingsBucket("s")]
    try cluster.start()
    try cluster.run(milliseconds: 500)
    return cluster
  }

  private func keys(_ count: Int) -> [ObjectKey] {
    (0..<count).map { ObjectKey(bucket: "s", key: "k\($0)") }
  }

  private func agree(_ cluster: TestCluster, _ keys: [ObjectKey]) throws -> Bool {
    try keys.allSatisfy { key in
      let found = try cluster.primaries(of: key)
      return found.allSatisfy { $0 != nil && $0 == found[0] }
    }
  }

  @Test func `a replica that missed writes gets them without a read`() throws {
    let cluster = try cluster()
    let keys = keys(20)
    cluster.isolated = [cluster.node(2)]
    var options = PutOptions()
    options.sloppyQuorum = false
    for key in keys { try cluster.put(key, "v", at: 0, options) }
    // Until the coordinators have given up.
    try cluster.run(milliseconds: 15_000)
    #expect(try !agree(cluster, keys))
    cluster.isolated = []
    try cluster.run(milliseconds: 60_000) { (try? self.agree(cluster, keys)) == true }
    #expect(try agree(cluster, keys))
    #expect(cluster.total(\.entropyRepairs) > 0)
    #expect(cluster.total(\.readRepairs) == 0)
  }

  @Test func `nothing is repaired while writes go on and nothing is lost`() throws {
    let cluster = try cluster()
    let keys = keys(10)
    for round in 0..<40 {
      for key in keys { try cluster.put(key, "v\(round)", at: round % 3) }
    }
    #expect(cluster.total(\.entropyExchanges) > 50)
    #expect(cluster.total(\.entropyRepairs) == 0)
  }

  @Test func `a node that has stopped in order has its trees when it starts again`() throws {
    let cluster = try cluster()
    for key in keys(10) { try cluster.put(key, "v", at: 0) }
    cluster.sendStop(1)
    try cluster.run(milliseconds: 1_000)
    #expect(cluster.stopped.count == 2)
    let before = cluster.probes["hash trees restored"] ?? 0
    try cluster.restart(1, cleanly: true)
    try cluster.run(milliseconds: 10)
    #expect(cluster.probes["hash trees restored"] == before + 2)
    try cluster.run(milliseconds: 20_000)
    #expect(cluster.total(\.entropyRepairs) == 0)
  }

  @Test func `a partition's hints have no trees and its new owner builds some`() throws {
    let cluster = try cluster(members: 2)
    let keys = keys(10)
    for key in keys { try cluster.put(key, "v", at: 0) }
    cluster.changeView { view in
      view.ring.owners[3] = cluster.node(2)
      view.version += 1
    }
    try cluster.run(milliseconds: 60_000) { (try? self.agree(cluster, keys)) == true }
    #expect(try agree(cluster, keys))
  }
}
