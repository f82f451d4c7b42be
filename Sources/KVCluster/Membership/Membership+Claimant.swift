import KVBase
import KVModel

/// Changing the ring, which only the claimant does, and the facts that make it do so.
extension Membership {
  /// Makes a new version of the ring and sends it to everyone concerned; for the claimant only.
  mutating func change(_ body: (inout RingState) -> Void) {
    precondition(isClaimant, "\(configuration.member.name) changes a ring it is not claimant of")
    var next = state
    body(&next)
    next.settle()
    install(next)
  }

  /// Takes the role over from a claimant that an operator has declared down.
  mutating func takeOver(_ body: (inout RingState) -> Void) {
    var next = state
    next.claimant = local
    next.version.term += 1
    body(&next)
    next.settle()
    log(.warning, "this node takes over as the claimant from \(state.name(of: state.claimant))")
    install(next)
  }

  private mutating func install(_ changed: RingState) {
    guard changed != state else { return }
    var next = changed
    handOver(&next)
    next.version.number += 1
    next.version.nonce = random.next()
    let former = next.removed.filter { member in state.member(member.id) != nil }
    adopt(next)
    for node in randomMembers(Self.fanout) {
      sentRing[node] = (state.version, now.instant)
      send(.ring(state), to: node)
    }
    for member in former { send(.ring(state), to: member.endpoint) }
  }

  /// A claimant that goes leaves its role to the first member that stays and can be reached.
  private func handOver(_ next: inout RingState) {
    guard next.claimant == local, next.member(local)?.status == .exiting else { return }
    let heir = next.members.first { $0.status == .valid && detector.isReachable($0.id) }
    guard let heir else { return }
    next.claimant = heir.id
    next.version.term += 1
  }

  // MARK: Facts

  /// The shard has seen every object of a partition acknowledged by its next owner.
  mutating func noteCompletion(of transfer: PendingTransfer) {
    guard transfer.from == local, state.transfers.contains(transfer),
      !completed.contains(transfer)
    else { return }
    completed.append(transfer)
    completed.sort { $0.partition < $1.partition }
    factsAt = now.instant
  }

  /// What the claimant should know and the ring does not show.
  var facts: MembershipMessage.Facts {
    MembershipMessage.Facts(
      member: configuration.member, hasExited: mayExit,
      completed: Array(completed.prefix(MembershipMessage.Facts.transferLimit)))
  }

  var hasFacts: Bool {
    guard !isDeparted, let known = state.member(local) else { return false }
    return !completed.isEmpty || mayExit || known.status == .down
      || !Self.isSameNode(known, configuration.member)
  }

  /// A node that is told to go does so when nothing more arrives that it would have to pass on.
  var mayExit: Bool {
    guard localStatus == .exiting, let exitAt, exitAt <= now.instant else { return false }
    let name = configuration.member.name
    return !localTransfers.contains { $0.from == name }
  }

  mutating func sendFacts() {
    factsAt = now.instant + configuration.gossipInterval
    if isClaimant {
      receive(facts, from: local)
    } else {
      send(.facts(facts), to: state.claimant)
    }
  }

  mutating func receive(_ facts: MembershipMessage.Facts, from sender: NodeID) {
    guard isClaimant, let known = state.member(sender), facts.member.id == sender else { return }
    var next = state
    if known.status == .down { next.setStatus(.valid, of: sender) }
    if !Self.isSameNode(known, facts.member) { next.update(facts.member) }
    for transfer in facts.completed where transfer.from == sender { _ = next.complete(transfer) }
    if facts.hasExited, known.status == .exiting, sender != local { next.remove(sender) }
    guard next != state else { return }
    change { $0 = next }
  }

  // MARK: Agreement

  /// Whether every member that can be reached is known to have this ring.
  var isRingReady: Bool {
    state.members.allSatisfy { member in
      member.id == local || member.status == .down || !detector.isReachable(member.id)
        || seen[member.id] == state.version
    }
  }
}
