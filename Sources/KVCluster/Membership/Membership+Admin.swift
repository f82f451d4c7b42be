import KVBase
import KVModel

/// Whom the answer to a command goes to.
enum CommandOrigin: Hashable, Sendable {
  /// An operator at this node.
  case local(id: UInt64)
  /// Another member, which has the operator waiting.
  case member(NodeID, id: UInt64)
}

/// A command that waits at the claimant until all members agree on the ring.
struct DeferredCommand: Sendable {
  var command: AdminCommand
  var origin: CommandOrigin
  var deadline: Instant
}

/// A command that was sent to the claimant and is not answered yet.
struct ForwardedCommand: Sendable {
  var token: UInt64
  var id: UInt64
  var command: AdminCommand
  var deadline: Instant
}

/// Operators' commands: answered here, by the claimant, or when the ring is agreed on.
extension Membership {
  /// The most commands waiting at a time.
  private static let waitingLimit = 256

  mutating func handle(_ command: AdminCommand, id: UInt64) {
    switch command {
    case .status: pending.append(.adminReply(id: id, .status(makeStatus())))
    case _ where isDeparted:
      pending.append(.adminReply(id: id, .refused(Self.departedText)))
    case .join(let endpoint): startJoin(endpoint, id: id)
    case .leave(nil): handle(.leave(configuration.member.name), id: id)
    case .locate(nil, let location):
      handle(.locate(configuration.member.name, at: location), id: id)
    case .transferLimit:
      pending.append(.adminReply(id: id, .refused("Failed: this is not the membership's to set")))
    case .locate where !isClaimant && version(of: state.claimant) < 2:
      pending.append(.adminReply(id: id, .refused(oldClaimantText)))
    case _ where isClaimant: execute(command, for: .local(id: id))
    case .down(let name) where state.member(named: name)?.id == state.claimant:
      pending.append(.adminReply(id: id, declareClaimantDown(name)))
    default: forward(command, id: id)
    }
  }

  /// A command that another member passes on.
  mutating func handle(_ command: AdminCommand, id: UInt64, from sender: NodeID) {
    guard isClaimant else {
      send(.adminReply(id: id, .refused(Self.claimantMovedText)), to: sender)
      return
    }
    execute(command, for: .member(sender, id: id))
  }

  private mutating func forward(_ command: AdminCommand, id: UInt64) {
    guard detector.isReachable(state.claimant), forwarded.count < Self.waitingLimit else {
      pending.append(.adminReply(id: id, .refused(claimantUnreachableText)))
      return
    }
    nextToken += 1
    // Longer than the claimant itself may wait, so that its answer is heard.
    forwarded.append(
      ForwardedCommand(
        token: nextToken, id: id, command: command,
        deadline: now.instant + configuration.adminTimeout + configuration.adminTimeout))
    send(.adminRequest(id: nextToken, command), to: state.claimant)
  }

  mutating func finishForwarded(_ token: UInt64, with reply: AdminReply) {
    guard let index = forwarded.firstIndex(where: { $0.token == token }) else { return }
    pending.append(.adminReply(id: forwarded.remove(at: index).id, reply))
  }

  mutating func expireForwarded() {
    guard !forwarded.isEmpty else { return }
    for command in forwarded where isClaimant {
      finishForwarded(command.token, with: .refused(Self.claimantMovedText))
    }
    for command in forwarded
    where command.deadline <= now.instant || !detector.isReachable(state.claimant) {
      finishForwarded(command.token, with: .refused(claimantUnreachableText))
    }
  }

  mutating func reply(_ reply: AdminReply, to origin: CommandOrigin) {
    switch origin {
    case .local(let id): pending.append(.adminReply(id: id, reply))
    case .member(let node, let id):
      if case .plan(let plan) = reply, version(of: node) < 2 {
        send(.adminReply(id: id, .plan(plan.plain)), to: node)
      } else {
        send(.adminReply(id: id, reply), to: node)
      }
    }
  }

  // MARK: At the claimant

  private mutating func execute(_ command: AdminCommand, for origin: CommandOrigin) {
    switch command {
    case .plan, .commit:
      guard isRingReady else {
        deferUntilReady(command, for: origin)
        return
      }
      reply(command == .plan ? showPlan() : commitPlan(), to: origin)
    case .leave(let name): stage(for: origin) { $0.stageLeave(name ?? "") }
    case .forceRemove(let name): stage(for: origin) { $0.stageForceRemove(name) }
    case .replace(let old, let new): stage(for: origin) { $0.stageReplace(old, with: new) }
    case .locate(let name, let location):
      if let locationObstacle { return reply(.refused(locationObstacle), to: origin) }
      stage(for: origin) { $0.stageLocation(location, of: name ?? "") }
    case .clear:
      change { $0.clearStaged() }
      reply(.done(Self.clearedText), to: origin)
    case .down(let name): reply(declareDown(name), to: origin)
    case .join, .status, .transferLimit:
      reply(.refused("Failed: not a command for the claimant"), to: origin)
    }
  }

  private mutating func stage(
    for origin: CommandOrigin, _ body: (inout RingState) -> StagingOutcome
  ) {
    var next = state
    switch body(&next) {
    case .staged(let text):
      change { $0 = next }
      reply(.done(text), to: origin)
    case .refused(let text): reply(.refused(text), to: origin)
    }
  }

  private mutating func deferUntilReady(_ command: AdminCommand, for origin: CommandOrigin) {
    guard deferred.count < Self.waitingLimit else {
      reply(notConverged(command), to: origin)
      return
    }
    deferred.append(
      DeferredCommand(
        command: command, origin: origin, deadline: now.instant + configuration.adminTimeout))
  }

  mutating func retryDeferred() {
    guard !deferred.isEmpty else { return }
    let waiting = deferred
    deferred = []
    for entry in waiting {
      if !isClaimant {
        reply(.refused(Self.claimantMovedText), to: entry.origin)
      } else if isRingReady {
        execute(entry.command, for: entry.origin)
      } else if entry.deadline <= now.instant {
        reply(notConverged(entry.command), to: entry.origin)
      } else {
        deferred.append(entry)
      }
    }
  }

  private func notConverged(_ command: AdminCommand) -> AdminReply {
    let verb = command == .plan ? "plan" : "commit"
    return .refused(
      "Cannot \(verb) until cluster state has converged.\n"
        + "Check 'Ring Ready' in 'ring-admin ring-status'")
  }

  private mutating func showPlan() -> AdminReply {
    guard let plan = RingPlan(for: state, targetNVal: configuration.targetNVal) else {
      return .refused(Self.nobodyLeftText)
    }
    shownPlan = plan.digest
    var shown = ClusterPlan(
      changes: state.staged.map(describe), membersAfter: memberRows(of: plan.next),
      moves: plan.moves, warnings: plan.warnings + waitingWarnings(plan.next))
    shown.notes = plan.notes
    return .plan(shown)
  }

  /// Members that must give partitions away, or take them, and cannot be reached.
  private func waitingWarnings(_ next: RingState) -> [String] {
    next.members.compactMap { member in
      let count = next.transfers.count { $0.from == member.id || $0.to == member.id }
      guard count > 0, member.status != .down, !detector.isReachable(member.id) else { return nil }
      return "'\(member.name)' is unreachable: \(count) transfers wait until it is back"
    }
  }

  private mutating func commitPlan() -> AdminReply {
    guard !state.staged.isEmpty else { return .refused("There are no staged changes") }
    guard let shownPlan else {
      return .refused(
        "You must verify the plan with 'ring-admin cluster plan' before committing")
    }
    guard let plan = RingPlan(for: state, targetNVal: configuration.targetNVal) else {
      return .refused(Self.nobodyLeftText)
    }
    guard plan.digest == shownPlan else {
      return .refused(
        "The plan has changed. Verify with 'ring-admin cluster plan' before committing")
    }
    self.shownPlan = nil
    change { $0 = plan.next }
    return .done("Cluster changes committed")
  }

  private mutating func declareDown(_ name: String) -> AdminReply {
    guard let member = state.member(named: name) else {
      return .refused("Failed: '\(name)' is not a member of the cluster.")
    }
    guard !detector.isReachable(member.id) else { return .refused("Failed: \(name) is up") }
    change { $0.setStatus(.down, of: member.id) }
    return .done("Success: '\(name)' marked as down")
  }

  private mutating func declareClaimantDown(_ name: String) -> AdminReply {
    guard !detector.isReachable(state.claimant) else { return .refused("Failed: \(name) is up") }
    guard localStatus == .valid else {
      return .refused("Failed: only a valid member can take the claimant's place")
    }
    let former = state.claimant
    takeOver { $0.setStatus(.down, of: former) }
    return .done("Success: '\(name)' marked as down")
  }

  // MARK: Status

  private func makeStatus() -> ClusterStatus {
    ClusterStatus(
      local: configuration.member.name, claimant: state.name(of: state.claimant),
      isRingReady: isRingReady, version: view.version, members: memberRows(of: state),
      owners: state.owners.map { state.name(of: $0) }, transfers: transferRows,
      staged: state.staged.map(describe))
  }

  /// The ring's pending transfers, those under way here with their progress, and the hinted ones.
  private var transferRows: [ClusterStatus.TransferRow] {
    let ownership = state.transfers.map { transfer in
      let row = ClusterStatus.TransferRow(
        kind: "ownership", partition: transfer.partition.index, from: state.name(of: transfer.from),
        to: state.name(of: transfer.to), objects: 0, bytes: 0, isActive: false)
      return localTransfers.first {
        ($0.kind, $0.partition, $0.from, $0.to) == (row.kind, row.partition, row.from, row.to)
      } ?? row
    }
    return ownership + localTransfers.filter { $0.kind != "ownership" }
  }

  private func memberRows(of state: RingState) -> [ClusterStatus.MemberRow] {
    let future = state.futureOwners
    return state.members.map { member in
      var row = ClusterStatus.MemberRow(
        name: member.name, status: member.status, isReachable: detector.isReachable(member.id),
        partitions: state.owners.count { $0 == member.id },
        pendingPartitions: future.count { $0 == member.id },
        clientEndpoint: member.clientEndpoint, endpoint: member.endpoint)
      row.location = member.location
      return row
    }.sorted { $0.name < $1.name }
  }

  private func describe(_ change: StagedChange) -> ClusterPlan.Change {
    func quoted(_ node: NodeID) -> String { "'\(state.name(of: node))'" }
    return switch change {
    case .join(let node): ClusterPlan.Change(action: "join", details: quoted(node))
    case .leave(let node): ClusterPlan.Change(action: "leave", details: quoted(node))
    case .forceRemove(let node): ClusterPlan.Change(action: "force-remove", details: quoted(node))
    case .replace(let old, let new):
      ClusterPlan.Change(action: "replace", details: "\(quoted(old)) with \(quoted(new))")
    case .locate(let node, let location):
      ClusterPlan.Change(action: "location", details: "\(quoted(node)) to '\(location)'")
    }
  }

  private var oldClaimantText: String {
    "Failed: the claimant '\(state.name(of: state.claimant))' is not known to speak peer protocol 2."
  }

  private var claimantUnreachableText: String {
    let name = state.name(of: state.claimant)
    return """
      Failed: the claimant '\(name)' is not reachable.
      If it does not come back, mark it as down with 'ring-admin down \(name)'.
      """
  }

  static let nobodyLeftText = "Failed: no member would be left to own the partitions."
  static let clearedText = "Cleared staged cluster changes"
  static let claimantMovedText = "Failed: the claimant has changed. Try again in a few moments."
}
