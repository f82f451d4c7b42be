import KVBase
import KVModel

/// A join that this node has asked for.
struct JoinAttempt: Sendable {
  /// The operator's request.
  var id: UInt64
  /// A member of the cluster to join.
  var endpoint: Endpoint
  /// When to give up.
  var deadline: Instant
  /// When to ask again.
  var nextRequest: Instant
  /// The properties of the cluster, as far as they have come.
  var properties = PropertyTable()
}

/// Becoming a member: the newcomer's side and the cluster's.
///
/// ```
/// newcomer            any member          claimant
///    │ joinRequest ──────▶│ joinRequest ──────▶│  stages the join
///    │◀────────────────────────── ring ────────│
///    │ propertySummary ───────────────────────▶│
///    │◀──────────────────────── properties ────│
///    │ joinRequest ...                         │
/// ```
///
/// The newcomer becomes a member once it has the properties too: one that has lost its disk owns
/// partitions already, and would take writes by the rules of buckets without properties.
extension Membership {
  // MARK: The newcomer

  mutating func startJoin(_ endpoint: Endpoint, id: UInt64) {
    guard endpoint != configuration.member.endpoint else {
      pending.append(.adminReply(id: id, .refused(Self.joinItselfText)))
      return
    }
    guard state.isSingleton || localStatus == .joining else {
      pending.append(.adminReply(id: id, .refused(Self.alreadyMemberText)))
      return
    }
    guard joinAttempt == nil else {
      pending.append(.adminReply(id: id, .refused(Self.tryAgainText)))
      return
    }
    joinAttempt = JoinAttempt(
      id: id, endpoint: endpoint, deadline: now.instant + configuration.adminTimeout,
      nextRequest: now.instant)
  }

  mutating func continueJoin() {
    guard let attempt = joinAttempt else { return }
    if attempt.deadline <= now.instant {
      finishJoin(.refused("Node \(attempt.endpoint) is not reachable!"))
    } else if attempt.nextRequest <= now.instant {
      joinAttempt?.nextRequest = now.instant + configuration.gossipInterval
      send(
        .joinRequest(configuration.member, ringSize: state.owners.count), to: attempt.endpoint)
    }
  }

  mutating func finishJoin(_ reply: AdminReply) {
    guard let attempt = joinAttempt else { return }
    joinAttempt = nil
    pending.append(.adminReply(id: attempt.id, reply))
  }

  /// A node that waits to be let in has asked its cluster again, and has the ring: a claimant that was
  /// none any more may have staged its join, which then nobody knows of.
  mutating func finishRepeatedJoin(isStagedAnew: Bool) {
    finishJoin(isStagedAnew ? .done(stagedText(for: nil)) : .refused(Self.alreadyMemberText))
  }

  private func stagedText(for target: Member?) -> String {
    let name = target?.name ?? state.name(of: state.claimant)
    return "Success: staged join request for '\(configuration.member.name)' to '\(name)'"
  }

  /// A message of another cluster: to a node that asks to join it, or by mistake.
  mutating func receiveForeign(_ message: MembershipMessage, from sender: NodeID) {
    switch message.body {
    case .joinRequest(let member, let ringSize):
      receiveJoinRequest(member, ringSize: ringSize)
    case .joinRefused(let reason): finishJoin(.refused(reason))
    case .ring(let theirs): receiveForeign(theirs, message.propertyDigest, from: sender)
    case .properties(let entries): receiveForeign(entries)
    case .notJoined: dropNewcomer(sender)
    case .ping, .greeting, .facts, .pingRequest, .ringRequest:
      // Their ring lists this node, or they would not ask. Not while a join is under way: then the
      // ring that makes it true may just be behind the ping.
      if joinAttempt == nil { send(.notJoined, to: sender) }
    case .pong, .targetAnswered, .propertySummary, .propertyRequest, .adminRequest, .adminReply,
      .location:
      break
    }
  }

  /// Properties of the cluster to join.
  private mutating func receiveForeign(_ entries: [PropertyEntry]) {
    guard joinAttempt != nil else { return }
    var isNew = false
    for entry in entries where joinAttempt?.properties.merge(entry) == true { isNew = true }
    guard isNew else { return }
    // The answer, the ring once more, tells whether these are all.
    joinAttempt?.nextRequest = now.instant
    continueJoin()
  }

  private mutating func receiveForeign(
    _ theirs: RingState, _ propertyDigest: UInt64, from sender: NodeID
  ) {
    guard theirs.member(local) != nil, let member = theirs.member(sender) else { return }
    guard let attempt = joinAttempt else {
      send(.notJoined, to: member.endpoint)
      return
    }
    guard state.isSingleton else { return finishJoin(.refused(Self.alreadyMemberText)) }
    guard theirs.owners.count == state.owners.count else {
      finishJoin(
        .refused("Failed: \(member.name) has a different ring_creation_size"))
      return
    }
    guard attempt.properties.digest == propertyDigest else {
      // Asked as a member of their cluster, which their ring says it is: so any release answers.
      let question = MembershipMessage(
        clusterID: theirs.clusterID, incarnation: detector.incarnation, ring: state.version,
        propertyDigest: attempt.properties.digest, rumors: [],
        body: .propertySummary(attempt.properties.entries.map(\.stamp)))
      pending.append(.sendToEndpoint(question.encoded(), member.endpoint))
      return
    }
    // The cluster's properties replace those of the lone node, as its ring does.
    properties = attempt.properties
    adopt(theirs)
    let target = theirs.members.first { $0.endpoint == attempt.endpoint } ?? member
    finishJoin(.done(stagedText(for: target)))
    log(.info, "joined the cluster of \(state.name(of: state.claimant))")
    for node in randomMembers(Self.fanout) { send(.greeting, to: node) }
    detect { $0.start(at: $1, into: &$2) }
  }

  // MARK: The cluster

  mutating func receiveJoinRequest(_ newcomer: Member, ringSize: Int) {
    guard newcomer.id != local else {
      send(.joinRefused(Self.joinItselfText), to: newcomer.endpoint)
      return
    }
    if let version = peerVersions[newcomer.id], version < UInt16(state.encodingVersion) {
      send(.joinRefused(tooOldText), to: newcomer.endpoint)
      return
    }
    if let obstacle = layoutObstacle(newcomer) {
      send(.joinRefused(obstacle), to: newcomer.endpoint)
      return
    }
    guard isClaimant else {
      if newcomer.id == state.claimant {
        // It has lost its state, and with it the role that it would need to take itself back.
        send(.joinRefused(claimantLostText(newcomer.name)), to: newcomer.endpoint)
      } else if localStatus == .joining {
        send(.joinRefused(Self.tryAgainText), to: newcomer.endpoint)
      } else {
        send(.joinRequest(newcomer, ringSize: ringSize), to: state.claimant)
      }
      return
    }
    if let refusal = refusal(of: newcomer, ringSize: ringSize) {
      send(.joinRefused(refusal), to: newcomer.endpoint)
      return
    }
    if let known = state.member(newcomer.id) {
      // Asked again, or a member that lost its disk: it is in the ring already.
      if known.status != .joining {
        log(.warning, "\(newcomer.name) has joined again, without its data")
      }
      if !Self.isSameNode(known, newcomer) {
        change { $0.update(newcomer) }
      }
    } else {
      change { _ = $0.stageJoin(newcomer) }
    }
    send(.ring(state), to: newcomer.endpoint)
  }

  private func refusal(of newcomer: Member, ringSize: Int) -> String? {
    guard joinAttempt == nil else { return Self.tryAgainText }
    guard ringSize == state.owners.count else {
      return "Failed: \(configuration.member.name) has a different ring_creation_size"
    }
    guard let known = state.member(newcomer.id) else {
      return state.members.count < RingState.memberLimit
        ? nil : "Failed: a cluster has at most \(RingState.memberLimit) members"
    }
    // A member with the same name, elsewhere and alive: the newcomer is misnamed.
    if known.endpoint != newcomer.endpoint, detector.isReachable(known.id), known.status != .joining
    {
      return "Failed: '\(known.name)' is already a member at \(known.endpoint)."
    }
    return nil
  }

  static func isSameNode(_ a: Member, _ b: Member) -> Bool {
    a.endpoint == b.endpoint && a.clientEndpoint == b.clientEndpoint
      && a.shardCount == b.shardCount && a.shardLayout == b.shardLayout
  }

  /// A newcomer does not know of its join, having given up waiting: then it is no member.
  private mutating func dropNewcomer(_ node: NodeID) {
    guard isClaimant, let member = state.member(node), member.status == .joining else { return }
    log(.info, "\(member.name) has given up joining")
    change { $0.remove(node) }
  }

  private func claimantLostText(_ name: String) -> String {
    """
    Failed: '\(name)' is the claimant of that cluster and has lost its state.
    Mark it as down first, with 'ring-admin down \(name)' at another member.
    """
  }

  private var tooOldText: String {
    """
    Failed: the cluster needs peer protocol \(state.encodingVersion). Upgrade this node first.
    """
  }

  /// Why the newcomer's shards may not be laid out as they are: a member that does not know the layout
  /// could not read the ring any more.
  private func layoutObstacle(_ newcomer: Member) -> String? {
    guard newcomer.shardLayout != .modulo else { return nil }
    let old = state.members.first { member in
      member.id != local && member.id != newcomer.id && member.status != .down
        && version(of: member.id) < 3
    }
    return old.map {
      "Failed: '\($0.name)' is not known to speak peer protocol 3, which new nodes need. Upgrade all "
        + "members first, or try again in a few moments."
    }
  }

  static let alreadyMemberText = "Failed: This node is already a member of a cluster"
  static let joinItselfText = "Failed: This node cannot join itself in a cluster"
  static let tryAgainText = "Join failed. Try again in a few moments."
  static let departedText = "This node has left its cluster; start it again to use it."
}
