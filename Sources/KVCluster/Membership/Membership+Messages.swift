import KVBase
import KVModel

/// Receiving: what every message's beginning leads to, and gossip of ring and properties.
extension Membership {
  /// To how many members a change is sent at once; the others hear of it from them.
  static let fanout = 16
  /// How many others a member tells what it has learnt, in a cluster too large for one to tell all.
  private static let relayCount = 3
  /// The most properties that are passed on as news.
  private static let newsLimit = 8

  mutating func receive(_ bytes: Bytes, from sender: NodeID) {
    guard !isDeparted, sender != local else { return }
    let message: MembershipMessage
    do {
      message = try MembershipMessage(decoding: bytes)
    } catch {
      log(.warning, "dropped a membership message from \(state.name(of: sender)): \(error)")
      return
    }
    guard message.clusterID == state.clusterID else {
      receiveForeign(message, from: sender)
      return
    }
    if case .ring(let theirs) = message.body {
      let isNew = theirs.version > state.version
      receive(theirs)
      if theirs.member(local) != nil { finishRepeatedJoin(isStagedAnew: isNew) }
    }
    guard !isDeparted else { return }
    guard state.member(sender) != nil else {
      receiveFromStranger(message, sender)
      return
    }
    seen[sender] = message.ring
    detect {
      $0.heard(from: sender, incarnation: message.incarnation, at: $1, into: &$2)
      for rumor in message.rumors { $0.hear(rumor, at: $1, into: &$2) }
    }
    act(on: message, from: sender)
    guard !isDeparted else { return }
    compareVersions(with: sender, ring: message.ring, propertyDigest: message.propertyDigest)
  }

  private mutating func act(on message: MembershipMessage, from sender: NodeID) {
    switch message.body {
    case .greeting, .ring, .notJoined: break
    case .joinRefused(let reason): finishJoin(.refused(reason))
    case .ping(let sequence): send(.pong(sequence: sequence), to: sender)
    case .pong(let sequence):
      let incarnation = incarnation(of: sender)
      detect {
        $0.answered(
          by: sender, sequence: sequence, incarnation: incarnation, isDirect: true, at: $1,
          into: &$2)
      }
    case .pingRequest(let sequence, let target):
      detect { $0.askedToPing(target, for: sender, sequence: sequence, into: &$2) }
    case .targetAnswered(let sequence, let target, let incarnation):
      detect {
        $0.answered(
          by: target, sequence: sequence, incarnation: incarnation, isDirect: false, at: $1,
          into: &$2)
      }
    case .ringRequest: sendRing(to: sender)
    case .facts(let facts): receive(facts, message.propertyDigest, from: sender)
    case .location(let location): receive(location: location, of: sender)
    case .propertySummary(let stamps): answer(stamps, from: sender)
    case .propertyRequest(let buckets):
      let entries = properties.entries(of: buckets)
      if !entries.isEmpty { send(.properties(entries), to: sender) }
    case .properties(let entries): merge(entries)
    case .joinRequest(let member, let ringSize): receiveJoinRequest(member, ringSize: ringSize)
    case .adminRequest(let id, let command): handle(command, id: id, from: sender)
    case .adminReply(let id, let reply): finishForwarded(id, with: reply)
    }
  }

  private func incarnation(of node: NodeID) -> UInt64 {
    detector.peers.first { $0.id == node }?.incarnation ?? 0
  }

  /// A node of this cluster that the ring here does not know: it was removed and has not heard, or
  /// it is new and this node has not.
  private mutating func receiveFromStranger(_ message: MembershipMessage, _ sender: NodeID) {
    if case .joinRequest(let member, let ringSize) = message.body {
      receiveJoinRequest(member, ringSize: ringSize)
    } else if message.ring < state.version,
      let former = state.removed.first(where: { $0.id == sender })
    {
      send(.ring(state), to: former.endpoint)
    }
  }

  // MARK: Ring

  /// Whoever is behind is helped, or asks; at most once in a while for each version.
  private mutating func compareVersions(
    with node: NodeID, ring: RingVersion, propertyDigest: UInt64
  ) {
    let pause = configuration.gossipInterval
    if ring < state.version {
      if let last = sentRing[node], last.version == state.version, now.instant < last.at + pause {
        return
      }
      sendRing(to: node)
    } else if ring > state.version {
      if let last = askedForRing[node], now.instant < last + configuration.probeTimeout { return }
      askedForRing[node] = now.instant
      send(.ringRequest, to: node)
    }
    guard propertyDigest != properties.digest else { return }
    if let last = comparedProperties[node], now.instant < last + pause { return }
    comparedProperties[node] = now.instant
    send(.propertySummary(properties.entries.map(\.stamp)), to: node)
  }

  private mutating func sendRing(to node: NodeID) {
    sentRing[node] = (state.version, now.instant)
    send(.ring(state), to: node)
  }

  /// A state of this node's own cluster.
  private mutating func receive(_ newer: RingState) {
    guard newer.version > state.version else { return }
    guard newer.member(local) != nil else {
      loseMembership()
      return
    }
    let wasClaimant = isClaimant
    let wasExiting = localStatus == .exiting
    adopt(newer)
    if isClaimant, !wasClaimant { log(.info, "this node is the claimant now") }
    if localStatus == .exiting, !wasExiting {
      log(.info, "all partitions have been given away; leaving soon")
    }
    // The claimant waits for everyone to have a change; and a large cluster's last members hear of
    // it from here.
    greetAll()
    if state.members.count > Self.fanout {
      for node in randomMembers(Self.relayCount) { sendRing(to: node) }
    }
  }

  /// Makes a state this node's own and puts in order what depends on it.
  mutating func adopt(_ newState: RingState) {
    state = newState
    needsPersisting = true
    needsNewView = true
    detector.setPeers(state.members.map(\.id))
    completed.removeAll { !state.transfers.contains($0) }
    if localStatus != .exiting { exitAt = nil }
    if hasFacts { factsAt = now.instant }
    let ids = Set(state.members.map(\.id))
    seen = seen.filter { ids.contains($0.key) }
    sentRing = sentRing.filter { ids.contains($0.key) }
    askedForRing = askedForRing.filter { ids.contains($0.key) }
    comparedProperties = comparedProperties.filter { ids.contains($0.key) }
  }

  /// The cluster goes on without this node.
  private mutating func loseMembership() {
    switch localStatus {
    case .joining:
      log(.info, "the staged join was dropped: this node is alone again")
      becomeSingleton()
    case .exiting:
      log(.info, "this node has left the cluster")
      depart()
    case .valid, .leaving, .down:
      log(.error, "this node was removed from the cluster")
      depart()
    }
  }

  private mutating func becomeSingleton() {
    // The claimant's answer may not find this node any more; a clear has evidently been done.
    for waiting in forwarded {
      let isDone = waiting.command == .clear
      finishForwarded(
        waiting.token,
        with: isDone ? .done(Self.clearedText) : .refused(Self.claimantMovedText))
    }
    properties = PropertyTable()
    shownPlan = nil
    adopt(
      RingState(
        singleton: configuration.member, ringSize: state.owners.count, clusterID: random.next()))
  }

  private mutating func depart() {
    isDeparted = true
    needsPersisting = true
    needsNewView = true
    for command in deferred {
      reply(.refused(Self.departedText), to: command.origin)
    }
    for command in forwarded {
      pending.append(.adminReply(id: command.id, .refused(Self.departedText)))
    }
    (deferred, forwarded) = ([], [])
    pending.append(.departed)
  }

  // MARK: Gossip

  /// Compares versions with a random member.
  mutating func gossip() {
    gossipAt = now.instant + configuration.gossipInterval
    for node in randomMembers(1) { send(.greeting, to: node) }
  }

  private mutating func greetAll() {
    for node in randomMembers(Self.fanout) { send(.greeting, to: node) }
    let isFarFromClaimant = state.members.count > Self.fanout
    if isFarFromClaimant { send(.greeting, to: state.claimant) }
  }

  /// Up to `count` other members, at random when there are more.
  mutating func randomMembers(_ count: Int) -> [NodeID] {
    let others = state.members.map(\.id).filter { $0 != local }
    return others.count <= count ? others : Array(others.shuffled(using: &random).prefix(count))
  }

  // MARK: Properties

  mutating func setProperties(_ values: BucketProperties?, of bucket: BucketID) {
    guard !isClosing else { return }
    guard let entry = properties.set(values, of: bucket, nonce: random.next()) else {
      if !properties.hasRoom(for: bucket) {
        log(.error, "\(PropertyTable.limit) buckets have properties; another was refused")
      }
      return
    }
    propertiesChanged()
    for node in randomMembers(Self.fanout) { send(.properties([entry]), to: node) }
  }

  private mutating func merge(_ entries: [PropertyEntry]) {
    let news = entries.filter { properties.merge($0) }
    guard !news.isEmpty else { return }
    propertiesChanged()
    // As with the ring; many at once are what this node alone had missed, and no news.
    guard state.members.count > Self.fanout, news.count <= Self.newsLimit else { return }
    for node in randomMembers(Self.relayCount) { send(.properties(news), to: node) }
  }

  private mutating func answer(_ stamps: [PropertyStamp], from sender: NodeID) {
    let (newer, wanted) = properties.compare(stamps)
    if !newer.isEmpty { send(.properties(newer), to: sender) }
    if !wanted.isEmpty { send(.propertyRequest(wanted), to: sender) }
  }

  private mutating func propertiesChanged() {
    needsPersisting = true
    needsNewView = true
  }
}
