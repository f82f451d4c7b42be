import KVModel

/// The outcome of asking for a staged change: the reference's words for success or refusal.
enum StagingOutcome: Hashable, Sendable {
  case staged(String)
  case refused(String)
}

extension RingState {
  /// Takes a new member in, to own partitions after the next commit.
  mutating func stageJoin(_ newcomer: Member) -> StagingOutcome {
    guard members.count < Self.memberLimit else {
      return .refused("Failed: a cluster has at most \(Self.memberLimit) members")
    }
    var newcomer = newcomer
    newcomer.status = .joining
    newcomer.location = ""
    insert(newcomer)
    staged.append(.join(newcomer.id))
    return .staged("Success: staged join request for '\(newcomer.name)'")
  }

  /// Asks that a member gives its partitions away and goes.
  mutating func stageLeave(_ name: String) -> StagingOutcome {
    guard let member = member(named: name) else { return Self.notMember(name) }
    if let refusal = refusalToGo(member) { return .refused(refusal) }
    if member.status == .joining {
      return .refused("Failed: '\(name)' is joining: commit or clear the staged changes first.")
    }
    staged.append(.leave(member.id))
    return .staged("Success: staged leave request for '\(name)'")
  }

  /// Asks that a member is dropped with its data; in place of what else was staged for it.
  mutating func stageForceRemove(_ name: String) -> StagingOutcome {
    guard let member = member(named: name) else { return Self.notMember(name) }
    guard member.id != claimant else { return .refused(Self.claimantRefusal(name)) }
    if staged.contains(.forceRemove(member.id)) { return .refused(Self.alreadyLeaving(name)) }
    guard remainsWithout(member.id) else { return .refused(Self.onlyMember(name)) }
    staged.removeAll { $0.subject == member.id && $0 != .join(member.id) }
    staged.append(.forceRemove(member.id))
    return .staged("Success: staged remove request for '\(name)'")
  }

  /// Asks that a joining member takes the place of another.
  mutating func stageReplace(_ old: String, with new: String) -> StagingOutcome {
    guard let leaver = member(named: old) else { return Self.notMember(old) }
    guard let newcomer = member(named: new), newcomer.status == .joining,
      staged.contains(.join(newcomer.id)), leaver.id != newcomer.id, leaver.status != .joining
    else { return .refused("Failed: '\(new)' is not a valid replacement candidate.") }
    let isTaken = staged.contains {
      if case .replace(_, with: newcomer.id) = $0 { true } else { false }
    }
    guard !isTaken else {
      return .refused("Failed: '\(new)' is already staged to replace another node.")
    }
    if let refusal = refusalToGo(leaver) { return .refused(refusal) }
    staged.append(.replace(leaver.id, with: newcomer.id))
    return .staged("Success: staged replacement of '\(old)' with '\(new)'")
  }

  /// Asks that a member is at a location from the next commit on; an empty one takes it away.
  mutating func stageLocation(_ location: String, of name: String) -> StagingOutcome {
    guard let member = member(named: name) else { return Self.notMember(name) }
    guard location.utf8.count <= Member.locationByteLimit,
      location.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
    else {
      return .refused(
        "Failed: a location has at most \(Member.locationByteLimit) bytes and no control characters."
      )
    }
    staged.removeAll {
      if case .locate(member.id, _) = $0 { true } else { false }
    }
    if member.location != location { staged.append(.locate(member.id, location)) }
    return .staged("Success: staged changing location of '\(name)' to '\(location)'")
  }

  /// Drops everything staged; members that were still joining are members no more.
  mutating func clearStaged() {
    let newcomers = members.filter { $0.status == .joining }.map(\.id)
    staged = []
    for node in newcomers { remove(node) }
  }

  private func refusalToGo(_ member: Member) -> String? {
    let isGoing =
      member.status == .leaving || member.status == .exiting
      || staged.contains { $0.subject == member.id && $0.isDeparture }
    if isGoing { return Self.alreadyLeaving(member.name) }
    return remainsWithout(member.id) ? nil : Self.onlyMember(member.name)
  }

  /// Whether someone would be left to own the partitions.
  private func remainsWithout(_ node: NodeID) -> Bool {
    members.contains { member in
      guard member.id != node, member.status != .leaving, member.status != .exiting else {
        return false
      }
      return !staged.contains { $0.subject == member.id && $0.isDeparture }
    }
  }

  static func notMember(_ name: String) -> StagingOutcome {
    .refused("Failed: '\(name)' is not a member of the cluster.")
  }

  private static func onlyMember(_ name: String) -> String {
    "Failed: '\(name)' is the only member."
  }

  private static func alreadyLeaving(_ name: String) -> String {
    "'\(name)' is already in the process of leaving the cluster."
  }

  private static func claimantRefusal(_ name: String) -> String {
    """
    Failed: '\(name)' is the claimant (see: ring-admin ring-status).
    The claimant is the node responsible for initiating cluster changes,
    and cannot forcefully remove itself. You can use 'ring-admin down' to
    mark the node as offline, which will trigger a new claimant to take over.
    """
  }
}
