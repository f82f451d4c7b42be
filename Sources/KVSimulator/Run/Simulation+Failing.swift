import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage

/// Members that fail for good, for a while, or lose their disks.
extension Simulation {
  /// Takes a member's process away; false when that would lose what only this member has.
  ///
  /// An operator gives up a member's data at that price and cannot know it; a run can, and waits.
  mutating func lose(_ node: Int, to change: MembershipScript.Change) -> Bool {
    guard world.nodes[node].isRunning else { return false }
    guard change == .down || isCovered(node) else { return false }
    guard change == .down || workload != .conditional || maySeatsBeLost(node) else { return false }
    world.crash(node, losesPower: change != .down || random.chance(0.5))
    membership.failing = node
    if change != .down { hasLostReplicas = true }
    switch change {
    case .remove: world.nodes[node].state = .departed
    case .emptied:
      world.nodes[node].fileSystem = CrashableFileSystem()
      world.nodes[node].emptiedAt = world.time
      // An empty disk gets the layout of the present release.
      if !world.settings.isMixed { world.nodes[node].member.shardLayout = .spread }
      world.boot(node)
      membership.joining = node
    case .join, .leave, .replace, .down: break
    }
    return true
  }

  /// True when other running members hold durably all that the member holds.
  private mutating func isCovered(_ node: Int) -> Bool {
    var clocks: [ObjectKey: VersionVector] = [:]
    for other in members where other != node && world.nodes[other].isRunning {
      for shard in world.nodes[other].shards {
        let sequences = shard.replicas.sequences
        guard sequences.applied == sequences.synced else { return false }
      }
      for object in objects(of: other) {
        clocks[object.key] = (clocks[object.key] ?? VersionVector()).merging(object.clock)
      }
    }
    return objects(of: node).allSatisfy { clocks[$0.key]?.descends($0.clock) == true }
  }

  private mutating func objects(of node: Int) -> [(key: ObjectKey, clock: VersionVector)] {
    world.occupiedPartitions(of: node).flatMap { partition in
      let shard = world.nodes[node].member.shard(of: partition).index
      return world.held(partition, at: ShardPlace(node: node, shard: shard))
    }
  }

  /// Asks for the failed member to be marked as down; one that has come back meanwhile needs it not.
  mutating func declareDown() {
    guard let node = membership.failing else { return }
    let mayRun = membership.change == .emptied
    guard mayRun || !world.nodes[node].isRunning else { return enter(.moving) }
    sendCommand(.down(world.nodes[node].member.name)) { .downing($0) }
  }

  mutating func afterDowning(_ reply: AdminReply?) {
    guard let node = membership.failing else { return }
    guard case .done = reply else {
      // It takes a while until everyone sees that it does not answer.
      return enter(.failed)
    }
    world.probes.count("sim: member marked down")
    if membership.change != .down { return stage() }
    world.boot(node)
    enter(.moving)
  }
}
