import KVBase
import KVCluster
import KVModel
import KVNode

/// What it means that the members of a cluster agree and that data is where it belongs.
extension Simulation {
  /// Waits until all members agree; what they disagree about is the failure.
  ///
  /// A suspicion from before may yet become a verdict, so they must agree some seconds later too.
  mutating func waitForAgreement(upTo duration: UInt64) throws(SimulationFailure) {
    if try wait(upTo: duration, until: { $0.disagreement() == nil }) {
      try advance(to: world.time + 3 * Self.second)
    }
    let agree = try wait(upTo: duration) { $0.disagreement() == nil }
    guard !agree, let reason = disagreement() else { return }
    throw SimulationFailure(
      checker: .ring, explanation: "after \(duration / Self.second) s: \(reason)")
  }

  /// What the members do not agree about, if anything.
  func disagreement() -> String? {
    guard let first = world.nodes[members[0]].shards.first?.shard.view else {
      return "n\(members[0]) is not running"
    }
    for node in members {
      guard world.nodes[node].isRunning else { return "n\(node) is not running" }
      for index in world.nodes[node].shards.indices {
        if let reason = difference(world.nodes[node].shards[index].shard.view, first) {
          return "n\(node)/\(index): \(reason)"
        }
      }
    }
    let ids = members.map { world.nodes[$0].member.id }.sorted()
    guard first.members.map(\.id) == ids else {
      return "the members are \(first.members.map(\.name)), not \(members.map { "n\($0)" })"
    }
    let strange = first.members.first { $0.status != .valid }
    if let strange { return "\(strange.name) is \(strange.status)" }
    let poor = first.members.first { !first.ring.owners.contains($0.id) }
    if let poor { return "\(poor.name) owns nothing" }
    guard first.ring.owners.allSatisfy({ ids.contains($0) }) else {
      return "a partition belongs to a stranger"
    }
    return nil
  }

  private func difference(_ view: ClusterView, _ first: ClusterView) -> String? {
    if !view.unavailable.isEmpty { return "\(view.unavailable.count) members seem unreachable" }
    if !view.transfers.isEmpty { return "\(view.transfers.count) transfers are pending" }
    if view.version != first.version { return "version \(view.version), not \(first.version)" }
    if view.ring != first.ring { return "another ring" }
    if view.members != first.members { return "other members" }
    if view.properties != first.properties { return "other bucket properties" }
    return nil
  }

  /// What is not where it belongs, if anything.
  mutating func misplacedData() -> String? {
    for node in members {
      for index in world.nodes[node].shards.indices {
        let statistics = world.nodes[node].shards[index].shard.statistics
        if statistics.hintsPending > 0 {
          return "n\(node)/\(index) counts \(statistics.hintsPending) hints"
        }
        if statistics.handoffsActive > 0 {
          return "n\(node)/\(index) counts \(statistics.handoffsActive) handoffs"
        }
      }
      guard let view = world.nodes[node].shards.first?.shard.view else {
        return "n\(node) is not running"
      }
      let owner = world.nodes[node].member.id
      for partition in world.occupiedPartitions(of: node)
      where view.ring.owner(of: partition) != owner {
        return "n\(node) holds objects of partition \(partition.index), which is another's"
      }
    }
    return nil
  }

  /// The objects that the primaries of a key hold; an empty object where there is none.
  mutating func replicas(of key: Int) -> [(node: Int, object: Bytes?)] {
    guard let view = world.nodes[members[0]].shards.first?.shard.view else { return [] }
    let name = history.keys[key].name
    var found: [(node: Int, object: Bytes?)] = []
    for partition in view.ring.preferencePartitions(of: name, n: settings.nVal) {
      let owner = view.ring.owner(of: partition)
      guard let node = members.first(where: { world.nodes[$0].member.id == owner }) else {
        continue
      }
      let shard = world.nodes[node].member.shard(of: partition).index
      do throws(ReplicaStoreFailure) {
        let store = LSMReplicaStore(observing: world.nodes[node].shards[shard].store)
        found.append((node: node, object: try store.object(name, in: partition)))
      } catch {
        // What cannot be read is no object.
        found.append((node: node, object: Bytes("damaged".utf8)))
        if !isRotten { world.fail(.storage, "n\(node)/\(shard) cannot read: \(error)") }
      }
    }
    return found
  }

  /// The first key whose replicas differ, with what they hold.
  mutating func divergence() -> String? {
    for key in history.keys.indices {
      let copies = replicas(of: key)
      guard let first = copies.first, copies.contains(where: { $0.object != first.object }) else {
        continue
      }
      let rows = copies.map {
        "n\($0.node) \($0.object.map(Describe.text(ofObject:)) ?? "nothing")"
      }
      return "\(Describe.name(history.keys[key].name)): \(rows.joined(separator: ", "))"
    }
    return nil
  }
}
