public import KVBase
public import KVModel

/// One node's part in the cluster: who is a member, who owns what, who can be reached, and the
/// properties of buckets.
///
/// The ring is changed by one member, the claimant, in versions that replace each other; the others
/// send it *facts* until the ring shows them. What this node can reach is its own knowledge and no
/// part of the ring. Bucket properties are changed anywhere and merged entry by entry.
///
/// Every message tells the sender's versions, so that any exchange, and at least a ping in each
/// interval, makes two nodes that differ notice and make up for it.
///
/// **Invariants**: this node is a member of `state`; `view` is what follows from the rest; a ring
/// state of another cluster is taken over only while this node, alone in its own, asks to join.
///
/// **Concurrency**: a value owned by the node's shard 0.
///
/// **Source**: reference sections 4.4, 4.5 and 7.3; SWIM for the failure detector.
public struct Membership: Sendable {
  let configuration: MembershipConfiguration
  var random: SeededRandom
  var state: RingState
  var properties: PropertyTable
  var detector: FailureDetector
  /// What the data path needs to know; a new value after each ``MembershipEffect/viewChanged``.
  public private(set) var view: ClusterView

  /// The ring version each member last said it had.
  var seen: [NodeID: RingVersion] = [:]
  /// When a ring, a ring request or a property summary was last sent to a member, so that each of
  /// several messages from a node that is behind does not cause one.
  var sentRing: [NodeID: (version: RingVersion, at: Instant)] = [:]
  var askedForRing: [NodeID: Instant] = [:]
  var comparedProperties: [NodeID: Instant] = [:]

  /// What each node was last heard to speak; no entry means the earliest protocol.
  var peerVersions: [NodeID: UInt16] = [:]

  var joinAttempt: JoinAttempt?
  var forwarded: [ForwardedCommand] = []
  var deferred: [DeferredCommand] = []
  var nextToken: UInt64 = 0
  /// The plan an operator has seen last, at the claimant.
  var shownPlan: UInt64?

  /// Finished transfers that the ring does not show yet, sorted by partition.
  var completed: [PendingTransfer] = []
  var localTransfers: [ClusterStatus.TransferRow] = []
  /// When an exiting node may close and go, if it has nothing left to give away.
  var exitAt: Instant?
  /// True when all shards have told of their transfers since they take nothing more.
  var areShardsClosing = false
  var isDeparted = false

  var gossipAt = Instant(nanoseconds: 0)
  var factsAt = Instant.distantFuture

  /// The present event's time and what it has caused so far.
  var now = Now(instant: Instant(nanoseconds: 0), wallClock: WallClock(microseconds: 0))
  var pending: [MembershipEffect] = []
  var needsPersisting = false
  var needsNewView = false

  /// A member of its own new cluster, or of the one whose state an earlier run persisted.
  ///
  /// Throws when the restored bytes are damaged or are another node's: starting without them would
  /// make this node forget its cluster, so that is for an operator to decide.
  public init(
    configuration: MembershipConfiguration, restored: Bytes?
  ) throws(DecodingFailure) {
    self.configuration = configuration
    var random = SeededRandom(seed: configuration.seed)
    let local = configuration.member
    var incarnation: UInt64 = 1
    if let restored {
      let saved = try SavedMembership(decoding: restored, local: local.id)
      (state, properties) = (saved.state, saved.properties)
      incarnation = saved.incarnation + 1
    } else {
      state = RingState(
        singleton: local, ringSize: configuration.ringSize, clusterID: random.next())
      properties = PropertyTable()
    }
    detector = FailureDetector(
      local: local.id, incarnation: incarnation, configuration: configuration,
      random: random.fork())
    self.random = random
    view = ClusterView(local: local, ringSize: state.owners.count)
    detector.setPeers(state.members.map(\.id))
    view = makeView()
  }

  /// This node.
  var local: NodeID { configuration.member.id }

  var isClaimant: Bool { state.claimant == local }

  var localStatus: MemberStatus { state.member(local)?.status ?? .down }

  /// Whether a bucket can be given properties; false when the cluster's table is full.
  public func hasRoomForProperties(of bucket: BucketID) -> Bool { properties.hasRoom(for: bucket) }

  /// When ``MembershipEvent/timer`` is due; ``Instant/distantFuture`` when nothing is.
  public var nextDeadline: Instant {
    guard !isDeparted else { return .distantFuture }
    var deadline = detector.nextDeadline
    if !state.isSingleton { deadline = min(deadline, gossipAt) }
    if hasFacts { deadline = min(deadline, factsAt) }
    if let joinAttempt { deadline = min(deadline, joinAttempt.deadline, joinAttempt.nextRequest) }
    if let exitAt, exitAt > now.instant { deadline = min(deadline, exitAt) }
    for command in deferred { deadline = min(deadline, command.deadline) }
    for command in forwarded { deadline = min(deadline, command.deadline) }
    return deadline
  }

  /// Takes one event and appends what is to be done.
  public mutating func step(
    _ event: MembershipEvent, at now: Now, into effects: inout [MembershipEffect]
  ) {
    self.now = now
    switch event {
    case .start: start()
    case .message(let bytes, let sender): receive(bytes, from: sender)
    case .timer: break
    case .admin(let id, let command): handle(command, id: id)
    case .peerSpeaks(let version, let node): peerVersions[node] = version
    case .peerDisconnected(let node):
      peerVersions[node] = nil
      detect { $0.disconnected(node, at: $1, into: &$2) }
    case .transferCompleted(let transfer): noteCompletion(of: transfer)
    case .transferProgress(let rows, let isClosing):
      localTransfers = rows
      areShardsClosing = isClosing
    case .setProperties(let bucket, let values): setProperties(values, of: bucket)
    }
    doWhatIsDue()
    flush(into: &effects)
  }

  private mutating func start() {
    gossipAt = now.instant + configuration.gossipInterval
    needsPersisting = true
    // The view of a restored ring is news to the rest of the node.
    pending.append(.viewChanged)
    if hasFacts { factsAt = now.instant }
    detect { $0.start(at: $1, into: &$2) }
  }

  private mutating func doWhatIsDue() {
    guard !isDeparted else { return }
    let instant = now.instant
    if detector.nextDeadline <= instant { detect { $0.tick(at: $1, into: &$2) } }
    if joinAttempt != nil { continueJoin() }
    if exitAt == nil, localStatus == .exiting {
      exitAt = instant + configuration.exitDelay
      factsAt = instant + configuration.exitDelay
    }
    if isClosing != view.isClosing { needsNewView = true }
    if hasFacts, factsAt <= instant || isClaimant { sendFacts() }
    if gossipAt <= instant { gossip() }
    retryDeferred()
    expireForwarded()
  }

  /// Hands over what the event caused: first what must be kept, then the new view, which knows the
  /// members that messages go to.
  private mutating func flush(into effects: inout [MembershipEffect]) {
    if needsPersisting {
      needsPersisting = false
      effects.append(.persist(savedBytes))
    }
    if needsNewView {
      needsNewView = false
      let newView = makeView()
      if newView != view {
        view = newView
        effects.append(.viewChanged)
      }
    }
    effects += pending
    pending.removeAll(keepingCapacity: true)
  }

  private var savedBytes: Bytes {
    guard !isDeparted else {
      // The next start begins a new cluster, from which the node may join again.
      let alone = RingState(
        singleton: configuration.member, ringSize: state.owners.count,
        clusterID: state.clusterID
          ^ StableHash.mix(local.rawValue ^ state.version.nonce))
      return SavedMembership(
        incarnation: detector.incarnation, state: alone, properties: PropertyTable()
      ).encoded()
    }
    return SavedMembership(
      incarnation: detector.incarnation, state: state, properties: properties
    ).encoded()
  }

  private func makeView() -> ClusterView {
    var view = view
    view.cluster = state.clusterID
    view.version = state.version.term << 32 | state.version.number
    view.ring = Ring(owners: state.owners)
    view.transfers = state.transfers
    view.members = state.members
    view.unavailable = detector.unreachable
    view.isClosing = isClosing
    view.properties = properties.entries.compactMap { entry in
      entry.properties.map { ClusterView.BucketEntry(bucket: entry.bucket, properties: $0) }
    }
    return view
  }

  mutating func log(_ level: LogLevel, _ text: String) { pending.append(.log(level, text)) }

  /// Lets the failure detector act and carries out what it asks for.
  mutating func detect(
    _ body: (inout FailureDetector, Instant, inout [FailureDetector.Output]) -> Void
  ) {
    guard !isDeparted else { return }
    var outputs: [FailureDetector.Output] = []
    body(&detector, now.instant, &outputs)
    for output in outputs {
      switch output {
      case .ping(let node, let sequence): send(.ping(sequence: sequence), to: node)
      case .askToPing(let target, let helper, let sequence):
        send(.pingRequest(sequence: sequence, target: target), to: helper)
      case .relayAnswer(let node, let sequence, let target, let incarnation):
        send(
          .targetAnswered(sequence: sequence, target: target, incarnation: incarnation), to: node)
      case .refuted: needsPersisting = true
      case .healthChanged(let node, let health):
        needsNewView = true
        let name = state.name(of: node)
        switch health {
        case .alive: log(.info, "\(name) can be reached")
        case .suspect: log(.debug, "\(name) does not answer")
        case .unreachable: log(.warning, "\(name) cannot be reached")
        }
      }
    }
  }

  /// Sends a message to a member, unless it would not understand it.
  mutating func send(_ body: MembershipMessage.Body, to node: NodeID) {
    guard node != local, body.protocolVersion <= version(of: node) else { return }
    let rumors = detector.rumors(for: node)
    pending.append(.send(message(body, rumors: rumors).encoded(), to: node))
  }

  /// The version of the peer protocol in which the node is spoken to.
  func version(of node: NodeID) -> UInt16 { peerVersions[node] ?? PeerProtocol.earliest }

  /// Sends a message to a node that is not, or not yet, a member.
  mutating func send(_ body: MembershipMessage.Body, to endpoint: Endpoint) {
    pending.append(.sendToEndpoint(message(body, rumors: []).encoded(), endpoint))
  }

  private func message(_ body: MembershipMessage.Body, rumors: [Rumor]) -> MembershipMessage {
    MembershipMessage(
      clusterID: state.clusterID, incarnation: detector.incarnation, ring: state.version,
      propertyDigest: properties.digest, rumors: rumors, body: body)
  }

  /// What a member of a cluster with these members, formed long ago, has saved; for tests and the
  /// simulator.
  package static func saved(
    by local: Member, of members: [Member], ringSize: Int, clusterID: UInt64
  ) -> Bytes {
    let sorted = members.sorted { $0.id < $1.id }
    var state = RingState(singleton: sorted[0], ringSize: ringSize, clusterID: clusterID)
    state.members = sorted
    state.owners = (0..<ringSize).map { sorted[$0 % sorted.count].id }
    return SavedMembership(incarnation: 1, state: state, properties: PropertyTable()).encoded()
  }

  /// Stops the program when an invariant does not hold.
  ///
  /// Slow; for tests and the simulator.
  public func checkInvariants() {
    state.checkInvariants()
    precondition(state.member(local) != nil, "\(configuration.member.name) is no member")
    precondition(
      detector.peers.map(\.id) == state.members.map(\.id).filter { $0 != local },
      "the failure detector watches others than the members")
    precondition(view == makeView(), "the view is not what follows from the state")
  }
}
