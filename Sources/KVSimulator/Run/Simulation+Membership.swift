import KVBase
import KVCluster
import KVNode

/// One change of membership at a time, carried through by an operator who does not give up.
struct MembershipScript {
  /// What is changed.
  enum Change: Int, CaseIterable {
    /// A spare node joins.
    case join
    /// A member leaves.
    case leave
    /// A spare node joins in place of a member, which leaves.
    case replace
    /// A member's machine is lost for good; the member is marked down and removed.
    case remove
    /// A member fails, is marked down, and comes back.
    case down
    /// A member loses its disk and joins again.
    case emptied
  }

  /// What the operator waits for.
  enum Stage: Equatable {
    /// Nothing: no change is under way.
    case idle
    /// The answer to a staging command.
    case staging(RequestID)
    /// Time to ask for a plan.
    case staged
    /// The plan.
    case planning(RequestID)
    /// The answer to the commit.
    case committing(RequestID)
    /// Time to mark a member as down.
    case failed
    /// The answer to that.
    case downing(RequestID)
    /// The end of the transfers.
    case moving
  }

  /// What is changed.
  var change = Change.join
  /// What the operator waits for.
  var stage = Stage.idle
  /// The node that is joining.
  var joining: Int?
  /// The node that is leaving, or has left.
  var leaving: Int?
  /// The member that has failed.
  var failing: Int?
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
    if membership.stage != .idle, !awaitsAnswer, isMembershipDone() { finishChange() }
    switch membership.stage {
    case .idle: beginChange()
    case .staging(let id):
      // Whatever the answer: the plan shows what has been staged.
      if hasEnded(id) { afterStaging(adminReplies[id]) }
    case .staged: sendCommand(.plan) { .planning($0) }
    case .planning(let id):
      if hasEnded(id) { judge(adminReplies[id]) }
    case .committing(let id):
      if hasEnded(id) { enter(.moving) }
    case .failed: declareDown()
    case .downing(let id):
      if hasEnded(id) { afterDowning(adminReplies[id]) }
    case .moving:
      // A commit may have come to nothing: ask again what is staged.
      guard world.time - membership.stageStart > 15 * Self.second else { break }
      // The same for a join whose answer the node never got.
      if !isCommitted() { enter(.staged) } else if isJoinerAlone() { stage() }
    }
    guard isStormy || membership.stage != .idle else { return }
    world.plan(.membership, after: 300_000_000 + UInt64(random.below(700_000_000)))
  }

  /// True while a command that stages the change has no answer yet.
  private var awaitsAnswer: Bool {
    if case .staging(let id) = membership.stage { !hasEnded(id) } else { false }
  }

  mutating func enter(_ stage: MembershipScript.Stage) {
    membership.stage = stage
    membership.stageStart = world.time
  }

  private mutating func beginChange() {
    guard isStormy, random.chance(workload == .handoff ? 0.7 : 0.3) else { return }
    let spare = world.nodes.indices.first {
      $0 >= settings.nodeCount && world.nodes[$0].state == .off && !members.contains($0)
    }
    let changes = MembershipScript.Change.allCases
    let change = changes[random.below(changes.count)]
    let member = members[random.below(members.count)]
    switch change {
    case .join, .replace:
      guard let spare, change == .join || members.count > 1 else { return }
      world.boot(spare)
      membership.joining = spare
      if change == .replace { membership.leaving = member }
    case .leave:
      guard members.count > 2 else { return }
      membership.leaving = member
    case .remove, .down, .emptied:
      guard members.count > 2, lose(member, to: change) else { return }
    }
    membership.change = change
    world.probes.count("sim: \(change) during the storm")
    hasMoved = true
    if membership.failing == nil || change == .emptied { stage() } else { enter(.failed) }
  }

  private mutating func afterStaging(_ reply: AdminReply?) {
    if membership.change == .emptied, case .refused(let text) = reply,
      text.contains("ring-admin down")
    {
      return enter(.failed)
    }
    enter(isCommitted() ? .moving : .staged)
  }

  /// Gives the command that the change begins with, or goes on with.
  mutating func stage() {
    switch membership.change {
    case .join, .replace, .emptied:
      guard let node = membership.joining, world.nodes[node].isRunning,
        let other = someMember(except: node)
      else { return }
      let endpoint = world.nodes[other].member.endpoint
      enter(.staging(send(.join(endpoint), to: node)))
    case .leave:
      guard let node = membership.leaving else { return }
      sendCommand(.leave(world.nodes[node].member.name)) { .staging($0) }
    case .remove:
      guard let node = membership.failing else { return }
      sendCommand(.forceRemove(world.nodes[node].member.name)) { .staging($0) }
    case .down: break
    }
  }

  /// Commits a plan that has what it should have; else stages what is missing.
  private mutating func judge(_ reply: AdminReply?) {
    guard case .plan(let plan) = reply else { return stage() }
    let actions = Set(plan.changes.map(\.action))
    switch membership.change {
    case .replace where actions.contains("join") && !actions.contains("replace"):
      guard let old = membership.leaving, let new = membership.joining else { return }
      let names = [old, new].map { world.nodes[$0].member.name }
      sendCommand(.replace(names[0], with: names[1])) { .staging($0) }
    case .remove where !actions.contains("force-remove"), _ where actions.isEmpty: stage()
    default: sendCommand(.commit) { .committing($0) }
    }
  }

  mutating func sendCommand(
    _ command: AdminCommand, then next: (RequestID) -> MembershipScript.Stage
  ) {
    guard let node = someMember(except: membership.failing) else { return }
    enter(next(send(command, to: node)))
  }

  func hasEnded(_ id: RequestID) -> Bool {
    adminReplies[id] != nil || lostCommands.contains(id)
      || world.time - membership.stageStart > 8 * Self.second
  }

  mutating func someMember(except excluded: Int?) -> Int? {
    let running = members.filter { $0 != excluded && world.nodes[$0].isRunning }
    return running.isEmpty ? nil : running[random.below(running.count)]
  }

  private mutating func finishChange() {
    switch membership.change {
    case .join, .replace:
      if let node = membership.joining { members = (members + [node]).sorted() }
    case .remove: members.removeAll { $0 == membership.failing }
    case .leave, .down, .emptied: break
    }
    world.probes.count("sim: \(membership.change) finished")
    membership = MembershipScript()
    enter(.idle)
  }
}
