import KVBase
import KVCluster
import KVNode

/// Processes of different releases: what each speaks, and that nobody is told what it cannot know.
extension World {
  /// Lets two processes that have not spoken yet exchange their versions, as a connection's hellos do.
  mutating func introduce(_ a: Int, _ b: Int) {
    let pair = [min(a, b), max(a, b)]
    let lives = [nodes[pair[0]].incarnation, nodes[pair[1]].incarnation]
    guard introductions[pair] != lives else { return }
    introductions[pair] = lives
    for (node, peer) in [(a, b), (b, a)] where nodes[peer].state != .off {
      let ranges = [nodes[node], nodes[peer]].map { PeerProtocol.earliest...$0.protocolVersion }
      guard let version = PeerProtocol.agreed(ranges[0], ranges[1]) else { continue }
      for shard in nodes[node].shards.indices where shard < nodes[node].shards.count {
        tell(
          ShardPlace(node: node, shard: shard), .peerSpeaks(version, nodes[peer].member.id))
      }
    }
  }

  /// Fails the run when a process is sent what its release does not know.
  mutating func checkVersion(of bytes: Bytes, at node: Int) {
    guard nodes[node].protocolVersion < PeerProtocol.latest,
      let message = try? PeerMessage(decoding: bytes)
    else { return }
    probes.count("sim: message to an older release")
    guard message.protocolVersion > nodes[node].protocolVersion else { return }
    fail(
      .versions, "n\(node) speaks version \(nodes[node].protocolVersion) and is sent \(message)")
  }
}
