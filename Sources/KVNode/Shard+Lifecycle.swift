package import KVBase
package import KVCluster
import KVModel

/// Start, view, membership, durability and stop.
extension Shard {
  private static let membershipName = "membership"
  private static let stopTimeout = Duration.seconds(10)

  /// Like the public initializer, but with a view that a test sets instead of a membership.
  package init(
    configuration: ShardConfiguration, store: any ReplicaStore, fixedView: ClusterView
  ) {
    self.init(configuration: configuration, store: store)
    view = fixedView
    viewNumber = 1
  }

  /// Replaces the fixed view of a test.
  package mutating func replaceView(
    _ view: ClusterView, at now: Now, into effects: inout [ShardEffect]
  ) {
    self.now = now
    adopt(view)
    step(.timer, at: now, into: &effects)
  }

  /// True for events that must wait until the shard can serve.
  func mustWait(_ event: ShardEvent) -> Bool {
    switch event {
    case .request, .admin: return true
    case .message(let bytes, _):
      // The view is what the shard waits for.
      return !((try? PeerMessage(decoding: bytes))?.isWithinNode ?? false)
    case .start, .requestCancelled, .listingTaken, .synced, .syncFailed, .peerDisconnected,
      .peerSpeaks, .damaged, .timer, .stop:
      return false
    }
  }

  mutating func hold(_ event: ShardEvent) {
    guard held.count >= configuration.requestLimit else { return held.append(event) }
    refuse(event)
  }

  /// Answers what expects an answer from a shard that can do nothing about it.
  mutating func refuse(_ event: ShardEvent) {
    switch event {
    case .request(let id, _):
      counters.overloads += 1
      outbox.append(.reply(id, .failure(.overload), isFinal: true))
    case .admin(let id, _):
      outbox.append(.adminReply(id, .refused("The node is starting or stopping.")))
    default: break
    }
  }

  mutating func start() {
    precondition(phase == .created, "a shard starts once")
    phase = .starting
    // A driver may give the same seed to every life; replies must not reach the wrong one.
    nextOperation = StableHash.mix(nextOperation ^ now.wallClock.microseconds) >> 1
    do {
      try startSeats(wasUsed: try VnodeIdentities.areStored(in: store))
      let restored = try VnodeIdentities.restore(
        from: store, random: random.next(), startedCleanly: configuration.startedCleanly)
      var vnodes = Vnodes(
        store: store, identities: restored.identities, limits: configuration.vnodeLimits)
      vnodes.wallClock = now.wallClock
      vnodes.rules = BucketRules(view)
      self.vnodes = vnodes
      if restored.changes.isEmpty {
        isEpochDurable = true
      } else {
        probe("epoch bump")
        durability.wait(.epoch, for: try store.apply(restored.changes))
      }
      if configuration.shard == .membership, viewNumber == 0 {
        try restoreMembership()
      } else {
        viewChangedForSeats()
      }
    } catch {
      storeFailure = error as? ReplicaStoreFailure
      return log(.error, "the shard cannot start: \(error)")
    }
    deadlines.add(.tick, at: now.instant)
    serveIfReady()
  }

  private mutating func restoreMembership() throws {
    var settings = MembershipConfiguration(
      member: configuration.member, ringSize: configuration.ringSize, seed: random.next())
    settings.probeInterval = configuration.probeInterval
    settings.probeTimeout = configuration.probeTimeout
    settings.suspicionTimeout = configuration.suspicionTimeout
    settings.gossipInterval = configuration.gossipInterval
    let restored = try store.metadata(Self.membershipName)
    let membership = try Membership(configuration: settings, restored: restored)
    self.membership = membership
    adopt(membership.view)
  }

  /// Serves from now on if the epoch is durable and the view known, first what has waited.
  mutating func serveIfReady() {
    guard phase == .starting, isEpochDurable, areSeatsReady, viewNumber > 0 else { return }
    phase = .serving
    startEntropy()
    stepMembership(.start)
    // Peers that were heard meanwhile will not say again what they speak.
    for node in peerVersions.keys.sorted() {
      if let version = peerVersions[node] { stepMembership(.peerSpeaks(version, node)) }
    }
    let waiting = held
    held = []
    for event in waiting {
      take(event)
      drainInbox()
    }
  }

  // MARK: Membership and view

  mutating func stepMembership(_ event: MembershipEvent) {
    guard var machine = membership, phase != .starting else { return }
    membership = nil
    var effects: [MembershipEffect] = []
    machine.step(event, at: now, into: &effects)
    let view = machine.view
    membership = machine
    for effect in effects { perform(effect, view) }
  }

  private mutating func perform(_ effect: MembershipEffect, _ view: ClusterView) {
    switch effect {
    case .send(let bytes, let node):
      let target = Address(node: node, shard: .membership)
      whenMembershipIsDurable(.message(.membership(bytes), to: target))
    case .sendToEndpoint(let bytes, let endpoint):
      whenMembershipIsDurable(.messageToEndpoint(.membership(bytes), endpoint))
    case .viewChanged: adopt(view)
    case .persist(let bytes): persistMembership(bytes)
    case .adminReply(let id, let reply):
      whenMembershipIsDurable(.adminReply(RequestID(rawValue: id), reply))
    case .log(let level, let text): log(level, text)
    case .departed:
      hasDeparted = true
      log(.info, "this node has left the cluster")
    }
  }

  mutating func persistMembership(_ bytes: Bytes) {
    guard storeFailure == nil else { return keepUnsaved(bytes) }
    do {
      let sequence = try store.apply([.metadata(Self.membershipName, bytes)])
      membershipSequence = sequence
      if sequence > syncRequested {
        syncRequested = sequence
        outbox.append(.sync(through: sequence))
      }
    } catch {
      log(.error, "the membership's state could not be stored: \(error)")
      storeFailure = error
      keepUnsaved(bytes)
    }
  }

  /// Not durable: until it is, this node says nothing more about the cluster.
  private mutating func keepUnsaved(_ bytes: Bytes) {
    membershipSequence = .max
    unsavedMembership = bytes
  }

  /// Tells others nothing that a crash could make this node forget: a claimant that has announced a
  /// ring must come back with it.
  private mutating func whenMembershipIsDurable(_ waiting: DurabilityQueue.Waiting) {
    if store.sequences.synced >= membershipSequence {
      perform(waiting)
    } else if let storeFailure {
      refuse(waiting, storeFailure)
    } else {
      durability.wait(waiting, for: max(membershipSequence, durability.lastSequence ?? 0))
    }
  }

  /// Works by a new view from now on; shard 0 also tells the others.
  mutating func adopt(_ view: ClusterView) {
    let old = self.view
    self.view = view
    vnodes?.rules = BucketRules(view)
    if configuration.shard == .membership {
      viewNumber += 1
      for index in 0..<configuration.member.shardCount where index != configuration.shard.index {
        sendView(to: Address(node: address.node, shard: ShardIndex(index)), after: 0)
      }
    }
    viewChangedForSeats()
    guard phase == .serving || phase == .stopping else { return }
    viewChangedForEntropy()
    viewChangedForGets()
    viewChangedForPuts()
    viewChangedForListings()
    viewChangedForConsensus()
    viewChangedForQueries()
    viewChangedForKeyQueries()
    viewChangedForHandoffs()
    hastenHandOff(since: old)
  }

  mutating func takeView(_ view: ClusterView, number: UInt64) {
    guard configuration.shard != .membership, number > viewNumber else { return }
    viewNumber = number
    adopt(view)
    serveIfReady()
  }

  mutating func sendView(to target: Address, after number: UInt64) {
    guard configuration.shard == .membership, viewNumber > number else { return }
    send(.view(view, number: viewNumber), to: target)
  }

  mutating func takeAdmin(_ command: AdminCommand, _ id: RequestID) {
    if case .transferLimit(let concurrency, let rate) = command {
      return setTransferLimit(concurrency: concurrency, bytesPerSecond: rate, id)
    }
    guard membership != nil else {
      return outbox.append(.adminReply(id, .refused("This shard does not run the membership.")))
    }
    stepMembership(.admin(id: id.rawValue, command))
  }

  // MARK: Durability

  mutating func synced(through sequence: UInt64) {
    consensus.synced(through: sequence)
    for waiting in durability.release(through: sequence) { perform(waiting) }
    resumeAfterFullDisk(through: sequence)
  }

  private mutating func perform(_ waiting: DurabilityQueue.Waiting) {
    switch waiting {
    case .epoch:
      isEpochDurable = true
      serveIfReady()
    case .seats:
      serveIfReady()
    case .message(let message, let target): send(message, to: target)
    case .messageToEndpoint(let message, let endpoint):
      outbox.append(.sendToEndpoint(message.encoded(), endpoint))
    case .adminReply(let id, let reply): outbox.append(.adminReply(id, reply))
    }
  }

  /// Nothing that waits may be acknowledged; reads go on.
  mutating func syncFailed(_ failure: ReplicaStoreFailure) {
    storeFailure = failure
    log(.error, "a flush failed, no more writes are accepted: \(failure)")
    for waiting in durability.removeAll() { refuse(waiting, failure) }
  }

  private mutating func refuse(
    _ waiting: DurabilityQueue.Waiting, _ failure: ReplicaStoreFailure
  ) {
    switch waiting {
    case .adminReply(let id, _):
      outbox.append(.adminReply(id, .refused("The disk failed: \(failure.description)")))
    case .message(.writeReply(var reply), let target):
      reply.outcome = .refused(.storage(failure.description))
      send(.writeReply(reply), to: target)
    case .message(.handoffReceipt(var receipt), let target):
      receipt.isAccepted = false
      send(.handoffReceipt(receipt), to: target)
    case .message(.handoffMessage(let message), let target):
      send(.handoffMessage(message.refused), to: target)
    case .message, .messageToEndpoint, .epoch, .seats: break
    }
  }

  // MARK: Tick and stop

  mutating func tick() {
    deadlines.add(.tick, at: now.instant + configuration.handoffInterval)
    if configuration.shard != .membership, configuration.member.shardCount > 1 {
      send(.viewRequest(after: viewNumber), to: Address(node: address.node, shard: .membership))
    }
    retryFlushOnFullDisk()
    guard phase == .serving else { return }
    if storeFailure == nil, store.sequences.applied > syncRequested {
      syncRequested = store.sequences.applied
      outbox.append(.sync(through: syncRequested))
    }
    tickSeats()
    handOff()
    sweepTombstones()
    continueDrops()
  }

  /// A shard serves its siblings until all of them have drained: what is under way in one may need
  /// the vnodes of another.
  mutating func stop() {
    guard phase == .serving else {
      send(.drained, to: Address(node: address.node, shard: .membership))
      if configuration.shard == .membership { stopSiblings() }
      return stopNow()
    }
    phase = .stopping
    deadlines.add(.stop, at: now.instant + Self.stopTimeout)
  }

  mutating func reportIfDrained() {
    guard !hasReportedDrained, clients.isEmpty, forwardedCount == 0, durability.count == 0 else {
      return
    }
    hasReportedDrained = true
    send(.drained, to: Address(node: address.node, shard: .membership))
  }

  mutating func takeDrained(from: Address) {
    drainedShards.insert(from.shard)
    guard phase == .stopping, drainedShards.count == configuration.member.shardCount else { return }
    stopSiblings()
    stopNow()
  }

  private mutating func stopSiblings() {
    for index in 0..<configuration.member.shardCount where index != configuration.shard.index {
      send(.stopNow, to: Address(node: address.node, shard: ShardIndex(index)))
    }
  }

  mutating func stopNow() {
    guard phase != .stopped else { return }
    for id in clients.sorted() { reply(id, .failure(.timeout)) }
    stopEntropy()
    phase = .stopped
    for event in held { refuse(event) }
    held = []
    outbox.append(.stopped)
  }
}
