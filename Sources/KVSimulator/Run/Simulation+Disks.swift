import KVBase
import KVCluster
import KVNode

/// Nodes that forget what they had made durable, and what an operator does about it.
///
/// One node of a run at most forgets: then a write that two primaries had made durable must
/// survive, and ``History`` demands it of those alone.
extension Simulation {
  /// A disk rots or is lost, if the run may survive that.
  mutating func destroy(_ kind: FaultKind) {
    guard let victim = diskVictim() else { return }
    if workload == .conditional {
      guard kind == .lostDisk, maySeatsBeLost(victim) else { return }
    }
    diskLoser = victim
    history.lostDiskCount = 1
    world.probes.count("sim: fault \(kind)")
    switch kind {
    case .bitRot: world.rot(victim)
    default: loseDisk(victim, downFor: 1_000_000 + UInt64(faultRandom.below(4_000_000_000)))
    }
  }

  /// The one node of the run whose disk may fail; nil when it would take the only copy of a key.
  private mutating func diskVictim() -> Int? {
    if let diskLoser { return diskLoser }
    guard members.count > 1, let view = world.nodes[members[0]].shards.first?.shard.view else {
      return nil
    }
    for key in history.keys {
      let partitions = view.ring.preferencePartitions(of: key.name, n: settings.nVal)
      let owners = Set(partitions.map { view.ring.owner(of: $0) })
      guard owners.count == partitions.count else { return nil }
    }
    return members[faultRandom.below(members.count)]
  }

  private mutating func loseDisk(_ node: Int, downFor pause: UInt64) {
    world.crash(node, losesPower: true)
    world.replaceDisk(of: node)
    world.plan(.recovery(.boot(node: node)), after: pause)
    world.plan(.rejoin(node: node), after: pause + Self.second)
  }

  /// A store has come upon damage: the operator replaces the disk.
  mutating func replaceDamagedDisk(_ node: Int) {
    guard world.nodes[node].isRotten else { return }
    loseDisk(node, downFor: Self.second)
  }

  /// A node that has lost its disk is alone until it joins its own cluster again.
  mutating func rejoin(_ node: Int) {
    guard diskLoser == node, members.contains(node) else { return }
    if world.nodes[node].isRunning, isAlone(node),
      let other = members.first(where: { $0 != node && world.nodes[$0].isRunning })
    {
      world.probes.count("sim: rejoin without data")
      let name = world.nodes[node].member.name
      let view = world.nodes[other].shards.first?.shard.view
      if view?.isAvailable(world.nodes[node].member.id) == false {
        // Were it the claimant, nobody could take it back before another is.
        _ = send(.down(name), to: other)
      }
      _ = send(.join(world.nodes[other].member.endpoint), to: node)
    }
    guard !world.nodes[node].isRunning || isAlone(node) else { return }
    world.plan(.rejoin(node: node), after: 2 * Self.second)
  }

  private func isAlone(_ node: Int) -> Bool {
    world.nodes[node].shards.first?.shard.view.members.count == 1 && members.count > 1
  }

  /// After the storm: a rotten disk is read through, and replaced when anything in it is damaged.
  mutating func inspectDisks() throws(SimulationFailure) {
    for node in members where world.nodes[node].isRotten {
      // What only an opening reads must be read too.
      world.crash(node, losesPower: false)
      world.boot(node)
      try advance(to: world.time + Self.second)
      guard world.nodes[node].isRotten else { continue }
      if world.nodes[node].isRunning, world.isSound(node) {
        // The bits have been compacted away, or nothing needed them.
        world.nodes[node].isRotten = false
        world.probes.count("sim: rot without damage")
      } else {
        world.probes.count("sim: damage found by a scrub")
        replaceDamagedDisk(node)
      }
    }
    guard let node = diskLoser else { return }
    let isBack = try wait(upTo: 60 * Self.second) {
      $0.world.nodes[node].isRunning && !$0.isAlone(node)
    }
    guard isBack else {
      throw SimulationFailure(
        checker: .ring, explanation: "n\(node) lost its disk and is not taken back")
    }
    try waitForAgreement(upTo: 60 * Self.second)
  }
}
