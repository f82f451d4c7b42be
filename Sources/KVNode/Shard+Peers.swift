import KVBase
import KVCluster

/// What other nodes are known to speak.
extension Shard {
  /// The version of the peer protocol in which the node is spoken to.
  func version(of node: NodeID) -> UInt16 {
    if node == address.node { return .max }
    return min(configuration.protocolVersion, peerVersions[node] ?? PeerProtocol.earliest)
  }

  mutating func note(_ version: UInt16, of node: NodeID) {
    peerVersions[node] = version
    stepMembership(.peerSpeaks(version, node))
  }

  /// Until it has said more, the next process there is spoken to as the oldest would be.
  mutating func peerDisconnected(_ node: NodeID) {
    peerVersions[node] = nil
    stepMembership(.peerDisconnected(node))
  }
}
