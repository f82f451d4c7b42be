import KVBase
import KVCluster
import KVNode

/// One change of membership at a time, carried through by an operator who does not give up.
struct MembershipScript {
  /// What the operator waits for.
  enum Stage: Equatable {
    /// Nothing: no change is under way.
    case idle
    /// The answer to the staging command.
    case staging(RequestID)
    /// Time to ask for a plan.
    case staged
    /// The plan.
    case planning(RequestID)
    /// The answer to the commit.
    case committing(RequestID)
    /// The end of the transfers.
    case moving
  }

  /// What the operator waits for.
  var stage = Stage.idle
  /// The node that is joining.
  var joining: Int?
  /// The node that is leaving, or has left.
  var leaving: Int?
  /// Since when no other running member knows the node that is leaving.
  var forgottenSince: UInt64?
  /// True once the operator has stopped the node that was leaving.
  var isRetired = false
  /// When the present stage began.
  var stageStart: UInt64 = 0
}

extension Simulation {
  /// The operator looks at how far the change has come, and does what is next.
  mutating func continueMembership() throws(SimulationFailure) {
    try retire()
    if isMembershipDone() { finishChange() }
    switch membership.stage {
    case .idle: beginChange()
    case .staging(let id):
      // Whatever the answer: the plan shows what has been staged.
      if hasEnded(id) { enter(isCommitted() ? .moving : .staged) }
    case .staged: sendCommand(.plan) { .planning($0) }
    case .planning(let id):
      guard hasEnded(id) else { break }
      if case .plan(let plan) = adminReplies[id], !plan.changes.isEmpty {
        sendCommand(.commit) { .committing($0) }
      } else {
        stage()
      }
    case .committing(let id):
      if hasEnded(id) { enter(.moving) }
    case .moving:
      // A commit may have come to nothing: ask again what is staged.
      guard world.time - membership.stageStart > 15 * Self.second else { break }
      // The same for a join whose answer the node never got.
      if !isCommitted() { enter(.staged) } else if isJoinerAlone() { stage() }
    }
    guard isStormy || membership.stage != .idle else { return }
    world.plan(.membership, after: 300_000_000 + UInt64(random.below(700_000_000)))
  }

  private mutating func enter(_ stage: MembershipScript.Stage) {
    membership.stage = stage
    membership.stageStart = world.time
  }

  private mutating func beginChange() {
    guard isStormy, random.chance(0.3) else { return }
    let spare = world.nodes.indices.first {
      $0 >= settings.nodeCount && world.nodes[$0].state == .off && !members.contains($0)
    }
    if let spare, random.chance(0.6) {
      world.boot(spare)
      membership.joining = spare
      world.probes.count("sim: join during the storm")
    } else if members.count > 2 {
      membership.leaving = members[random.below(members.count)]
      world.probes.count("sim: leave during the storm")
    } else {
      return
    }
    hasMoved = true
    stage()
  }

  private mutating func stage() {
    if let node = membership.joining {
      guard world.nodes[node].isRunning, let other = someMember(except: node) else { return }
      let endpoint = world.nodes[other].member.endpoint
      enter(.staging(send(.join(endpoint), to: node)))
    } else if let node = membership.leaving {
      let name = world.nodes[node].member.name
      sendCommand(.leave(name)) { .staging($0) }
    }
  }

  private mutating func sendCommand(
    _ command: AdminCommand, then next: (RequestID) -> MembershipScript.Stage
  ) {
    guard let node = someMember(except: nil) else { return }
    enter(next(send(command, to: node)))
  }

  private mutating func someMember(except excluded: Int?) -> Int? {
    let running = members.filter { $0 != excluded && world.nodes[$0].isRunning }
    return running.isEmpty ? nil : running[random.below(running.count)]
  }

  private func hasEnded(_ id: RequestID) -> Bool {
    adminReplies[id] != nil || lostCommands.contains(id)
      || world.time - membership.stageStart > 8 * Self.second
  }

  /// True when every running member has seen the change to its end.
  private func isMembershipDone() -> Bool {
    if let node = membership.joining {
      let id = world.nodes[node].member.id
      return ([node] + members).allSatisfy { index in
        guard let view = world.nodes[index].shards.first?.shard.view else { return false }
        return view.member(id)?.status == .valid
          && view.member(world.nodes[members[0]].member.id)
            != nil
          && view.transfers.isEmpty && view.ring.owners.contains(id)
      }
    }
    guard let node = membership.leaving else { return false }
    return world.nodes[node].state == .departed
  }

  /// Stops a node that has left, once it has given everything away.
  private mutating func retire() throws(SimulationFailure) {
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
    let others = members.filter { $0 != node && world.nodes[$0].isRunning }
    return !others.isEmpty
      && others.allSatisfy { world.nodes[$0].shards.first?.shard.view.member(id) == nil }
  }

  /// True when some running member's ring shows the change.
  private func isCommitted() -> Bool {
    members.contains { index in
      guard let view = world.nodes[index].shards.first?.shard.view else { return false }
      if let node = membership.joining {
        return view.member(world.nodes[node].member.id)?.status == .valid
      }
      guard let node = membership.leaving else { return false }
      let status = view.member(world.nodes[node].member.id)?.status
      return status != .valid && index != node
    }
  }

  /// True when the node that is joining knows no other member.
  private func isJoinerAlone() -> Bool {
    guard let node = membership.joining else { return false }
    return world.nodes[node].shards.first?.shard.view.members.count == 1
  }

  private mutating func finishChange() {
    if let node = membership.joining { members = (members + [node]).sorted() }
    membership.joining = nil
    membership.leaving = nil
    membership.forgottenSince = nil
    membership.isRetired = false
    enter(.idle)
  }
}
