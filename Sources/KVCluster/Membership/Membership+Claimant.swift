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
    return !completed.isEmpty || mayExit || known.status == .down || mustTellLocation
      || !Self.isSameNode(known, configuration.member)
  }

  /// True while the ring shows no location for this node, though it has been configured with one.
  var mustTellLocation: Bool {
    !configuration.member.location.isEmpty && state.member(local)?.location.isEmpty == true
      && (isClaimant || version(of: state.claimant) >= 2)
  }

  /// A node that is told to go takes nothing more after a while, when the others know of it.
  var isClosing: Bool {
    if isDeparted { return true }
    guard localStatus == .exiting, let exitAt else { return false }
    return exitAt <= now.instant
  }

  /// It goes when its shards have passed on what they took before.
  var mayExit: Bool {
    guard !isDeparted, isClosing, areShardsClosing else { return false }
    let name = configuration.member.name
    return !localTransfers.contains { $0.from == name }
  }

  mutating func sendFacts() {
    factsAt = now.instant + configuration.gossipInterval
    if isClaimant {
      receive(facts, properties.digest, from: local)
      if mustTellLocation { receive(location: configuration.member.location, of: local) }
    } else {
      send(.facts(facts), to: state.claimant)
      if mustTellLocation { send(.location(configuration.member.location), to: state.claimant) }
    }
  }

  /// A member says where it is; an operator's word, once there is one, counts for more.
  mutating func receive(location: String, of sender: NodeID) {
    guard isClaimant, let known = state.member(sender), known.location.isEmpty,
      !location.isEmpty, location.utf8.count <= Member.locationByteLimit, locationObstacle == nil
    else { return }
    change { $0.setLocation(location, of: sender) }
  }

  /// Why there may be no locations: a member that does not know them would pass the ring on without.
  var locationObstacle: String? {
    let old = state.members.first { member in
      member.id != local && member.status != .down && version(of: member.id) < 2
    }
    return old.map {
      "Failed: '\($0.name)' is not known to speak peer protocol 2. Locations can be used when all "
        + "members do."
    }
  }

  mutating func receive(
    _ facts: MembershipMessage.Facts, _ propertyDigest: UInt64, from sender: NodeID
  ) {
    guard isClaimant, let known = state.member(sender), facts.member.id == sender else { return }
    var next = state
    if known.status == .down { next.setStatus(.valid, of: sender) }
    if !Self.isSameNode(known, facts.member) { next.update(facts.member) }
    for transfer in facts.completed where transfer.from == sender { _ = next.complete(transfer) }
    // A change of properties that it has acknowledged must not go with it.
    let isKnown = propertyDigest == properties.digest
    if facts.hasExited, isKnown, known.status == .exiting, sender != local { next.remove(sender) }
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
