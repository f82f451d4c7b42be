import KVSimulator
import Testing

/// How fast news travels; `kvsim gossip` measures it for larger clusters.
@Suite struct GossipTests {
  @Test(arguments: [3, 12, 20, 40])
  func `rings travel in a few rounds, properties in two pings at most`(nodeCount: Int) throws {
    let run = GossipRun(nodeCount: nodeCount, loss: 0, seed: 1)
    #expect(try #require(run.ringRounds) <= 6)
    // Two pings are 20 rounds; up to 17 members hear of it at once.
    #expect(try #require(run.propertyRounds) <= (nodeCount <= 17 ? 1 : 30))
    #expect(try #require(run.detection) <= 3_000_000_000)
    #expect(run.idleMessages < 12)
    #expect(run.ringMessages < 32)
  }
}
