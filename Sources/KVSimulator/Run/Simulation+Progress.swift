import KVBase
import KVCluster
import KVNode

/// How far a change of membership has come, as far as the running members show.
extension Simulation {
  /// True when every running member has seen the change to its end.
  func isMembershipDone() -> Bool {
    switch membership.change {
    case .join: return hasJoined()
    case .leave: return hasDeparted()
    case .replace: return hasJoined() && hasDeparted()
    case .remove:
      guard let node = membership.failing else { return false }
      // Nobody may be running: then nothing shows.
      let views = runningViews
      return !views.isEmpty
        && views.allSatisfy { view in
          view.member(world.nodes[node].member.id) == nil && view.transfers.isEmpty
        }
    case .down, .emptied:
      // A node whose disk has failed forgets with its process that it has joined.
      guard let node = membership.failing, world.nodes[node].isRunning,
        !world.nodes[node].hasSyncFailed, membership.stage != .failed
      else { return false }
      let id = world.nodes[node].member.id
      return runningViews.allSatisfy { $0.member(id)?.status == .valid && $0.members.count > 1 }
    }
  }

  private var runningViews: [ClusterView] {
    members.filter { world.nodes[$0].isRunning }.compactMap {
      world.nodes[$0].shards.first?.shard.view
    }
  }

  private func hasJoined() -> Bool {
    guard let node = membership.joining, !world.nodes[node].hasSyncFailed else { return false }
    let id = world.nodes[node].member.id
    return ([node] + members).allSatisfy { index in
      if world.nodes[index].state == .departed { return true }
      guard let view = world.nodes[index].shards.first?.shard.view else { return false }
      return view.member(id)?.status == .valid
        && view.member(world.nodes[members[0]].member.id) != nil
        && view.transfers.isEmpty && view.ring.owners.contains(id)
    }
  }

  private func hasDeparted() -> Bool {
    guard let node = membership.leaving else { return false }
    return world.nodes[node].state == .departed
  }

  /// Stops a node that has left, once it has given everything away.
  mutating func retire() throws(SimulationFailure) {
    guard let node = membership.leaving, membership.stage == .moving,
      world.nodes[node].isRunning, isForgotten(node)
    else { return }
    let forgotten = membership.forgottenSince ?? world.time
    membership.forgottenSince = forgotten
    let occupied = world.occupiedPartitions(of: node)
    // A process started after that is a cluster of its own and owns what a lost deletion left.
    let isAlone = world.nodes[node].shards.first?.shard.view.members.count == 1
    if occupied.isEmpty || isAlone {
      membership.isRetired = true
      world.stop(node)
    } else if !isStormy, world.time - forgotten > 120 * Self.second {
      throw SimulationFailure(
        checker: .hints,
        explanation: "n\(node) has left and still holds objects of \(occupied.count) partitions")
    }
  }

  /// True when no other running member knows the node.
  private func isForgotten(_ node: Int) -> Bool {
    let id = world.nodes[node].member.id
    let others = (members + [membership.joining].compactMap { $0 }).filter {
      $0 != node && world.nodes[$0].isRunning
    }
    return !others.isEmpty
      && others.allSatisfy { world.nodes[$0].shards.first?.shard.view.member(id) == nil }
  }

  /// True when some running member's ring shows the change.
  func isCommitted() -> Bool {
    members.contains { index in
      guard let view = world.nodes[index].shards.first?.shard.view else { return false }
      switch membership.change {
      case .join, .replace, .emptied:
        guard let node = membership.joining, index != node else { return false }
        return view.member(world.nodes[node].member.id)?.status == .valid
      case .leave:
        guard let node = membership.leaving else { return false }
        let status = view.member(world.nodes[node].member.id)?.status
        return status != .valid && index != node
      case .remove:
        guard let node = membership.failing else { return false }
        return view.member(world.nodes[node].member.id) == nil
      case .down: return true
      }
    }
  }

  /// True when the node that is joining knows no other member.
  func isJoinerAlone() -> Bool {
    guard let node = membership.joining else { return false }
    return world.nodes[node].shards.first?.shard.view.members.count == 1
  }
}
