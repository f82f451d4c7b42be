import KVBase
import KVCluster
import KVModel

/// How fast news travels in a cluster of a given size; everything follows from the seed.
public struct GossipRun: Sendable {
  /// The number of members.
  public let nodeCount: Int
  /// Rounds (a message takes one) until every member has a new ring; nil when that took too long.
  public private(set) var ringRounds: Int?
  /// Rounds until every member has a bucket's new properties.
  public private(set) var propertyRounds: Int?
  /// Messages sent in that time beside those that are sent anyway, for each member.
  public private(set) var ringMessages = 0.0
  /// Nanoseconds until every member holds a member that has died to be unreachable.
  public private(set) var detection: UInt64?
  /// Messages that each member sends in a second when nothing changes.
  public private(set) var idleMessages = 0.0
  /// Bytes that each member sends in a second when nothing changes.
  public private(set) var idleBytes = 0.0

  private static let patience: UInt64 = 60_000_000_000

  /// Measures a cluster of `nodeCount` members that loses this share of its messages.
  public init(nodeCount: Int, loss: Double, seed: UInt64) {
    self.nodeCount = nodeCount
    var network = GossipNetwork(count: nodeCount, loss: loss, seed: seed)
    var random = SeededRandom(seed: seed)
    _ = network.run(upTo: 3_000_000_000) { _ in false }
    measureIdle(&network)
    spreadProperties(&network, from: random.below(nodeCount))
    spreadRing(&network)
    detectFailure(&network, of: (network.claimant + 1 + random.below(nodeCount - 1)) % nodeCount)
  }

  private mutating func measureIdle(_ network: inout GossipNetwork) {
    let (messages, bytes) = (network.messageCount, network.byteCount)
    _ = network.run(upTo: 5_000_000_000) { _ in false }
    idleMessages = Double(network.messageCount - messages) / Double(5 * nodeCount)
    idleBytes = Double(network.byteCount - bytes) / Double(5 * nodeCount)
  }

  private mutating func spreadProperties(_ network: inout GossipNetwork, from node: Int) {
    var properties = BucketProperties()
    properties.nVal = 2
    let bucket = BucketID(name: Bytes("news".utf8))
    network.step(node, .setProperties(bucket, properties))
    let elapsed = network.run(upTo: Self.patience) { network in
      network.memberships.allSatisfy { $0.view.properties(of: bucket) == properties }
    }
    propertyRounds = elapsed.map { Int($0 / GossipNetwork.round) }
  }

  private mutating func spreadRing(_ network: inout GossipNetwork) {
    let (messages, start) = (network.messageCount, network.time)
    let leaver = network.name((network.claimant + 1) % nodeCount)
    network.step(network.claimant, .admin(id: 1, .leave(leaver)))
    let version = network.memberships[network.claimant].view.version
    let elapsed = network.run(upTo: Self.patience) { network in
      network.memberships.allSatisfy { $0.view.version == version }
    }
    ringRounds = elapsed.map { Int($0 / GossipNetwork.round) }
    let seconds = Double(network.time - start) / 1e9
    let sent = Double(network.messageCount - messages) / Double(nodeCount)
    ringMessages = max(0, sent - idleMessages * seconds)
  }

  private mutating func detectFailure(_ network: inout GossipNetwork, of node: Int) {
    network.switchOff(node)
    let id = network.id(node)
    detection = network.run(upTo: Self.patience) { network in
      network.running.allSatisfy { $0.view.unavailable.contains(id) }
    }
  }
}
