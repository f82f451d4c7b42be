import KVBase

/// Finds out which members can be reached from here.
///
/// In each interval one member is pinged; without an answer two others are asked to ping it; without
/// an answer still it is suspect, and after the suspicion's time unreachable. A suspicion spreads as
/// a rumour with other messages, and its subject refutes it by a higher incarnation. Unreachable
/// members are pinged for ever, less often.
///
/// Unlike in SWIM, a rumour alone makes no member unreachable: it makes this node look for itself,
/// and only its own failed probe counts. A member that answers others but never this node is unreachable here,
/// and no rumour is made of it: the verdict is for this node's requests. Nor does a message from a member prove that it can be
/// reached: it too leads to a probe. So a link that carries one direction only does not make the
/// verdict flap.
///
/// A node that hears nobody while it waits for an answer is more likely ill itself than surrounded by
/// the dead: its *local health* grows worse, and with it the time it gives others. It mends with each
/// direct answer. Local health is kept small, because a node that is cut off must soon count on its
/// fallbacks.
///
/// **Invariants**: `peers` is sorted by id and never holds this node; at most one probe per peer.
///
/// **Source**: SWIM (DSN 2002), sections 3.1 (probes), 4.1 (dissemination), 4.2 (suspicion), 4.3
/// (round-robin targets); Lifeguard (DSN 2018) for local health (LHA-Probe, with silence in place of
/// its nacks) and for telling a suspect of its suspicion first (Buddy System). A suspicion need not
/// last longer in larger clusters, as it must in SWIM: who suspects also asks, in each interval.
struct FailureDetector: Sendable {
  /// What the owner must send or note.
  enum Output: Hashable, Sendable {
    case ping(NodeID, sequence: UInt64)
    case askToPing(target: NodeID, via: NodeID, sequence: UInt64)
    case relayAnswer(to: NodeID, sequence: UInt64, target: NodeID, incarnation: UInt64)
    case healthChanged(NodeID, Rumor.Health)
    case refuted
  }

  struct Peer: Hashable, Sendable {
    var id: NodeID
    var health = Rumor.Health.alive
    var incarnation: UInt64 = 0
    /// When a suspicion becomes a verdict.
    var suspectUntil = Instant.distantFuture
    /// Whether another node holds it to be unreachable: then one failed probe is enough.
    var isConfirmed = false
    /// How many probes in a row were answered through others only.
    var detours = 0
  }

  private struct Probe: Sendable {
    var target: NodeID
    var sequence: UInt64
    var deadline: Instant
    var isIndirect: Bool
    var startedAt: Instant
  }

  /// A ping made for another node.
  private struct Relay: Sendable {
    var requester: NodeID
    var theirSequence: UInt64
    var target: NodeID
    var sequence: UInt64
  }

  private struct QueuedRumor: Sendable {
    var rumor: Rumor
    var remaining: Int
  }

  /// The most pings made for others at a time; the oldest give way.
  private static let relayLimit = 64
  /// How many others are asked to ping a member that does not answer.
  private static let relayCount = 2
  /// So many probes in a row answered through others only: the member lives, but not for this node.
  private static let detourLimit = 4
  /// The worst local health: time-outs are at most this many times longer, beside the usual.
  static let worstHealth = 3
  /// Unreachable members are pinged in every so many intervals.
  private static let slowFactor = 5

  let local: NodeID
  private(set) var incarnation: UInt64
  private(set) var peers: [Peer] = []
  private let configuration: MembershipConfiguration
  private var random: SeededRandom
  private var order: [NodeID] = []
  private var probes: [Probe] = []
  private var relays: [Relay] = []
  private var rumors: [QueuedRumor] = []
  private var sequence: UInt64 = 0
  private var round: UInt64 = 0
  private var nextRound = Instant(nanoseconds: 0)
  /// How ill this node itself seems to be: 0 is well.
  private(set) var localHealth = 0
  private var heardAt = Instant(nanoseconds: 0)

  init(
    local: NodeID, incarnation: UInt64, configuration: MembershipConfiguration, random: SeededRandom
  ) {
    self.local = local
    self.incarnation = incarnation
    self.configuration = configuration
    self.random = random
  }

  private var probeTimeout: Duration { configuration.probeTimeout * (1 + localHealth) }

  private var suspicionTimeout: Duration { configuration.suspicionTimeout * (1 + localHealth) }

  /// The members that cannot be reached, sorted.
  var unreachable: [NodeID] { peers.filter { $0.health == .unreachable }.map(\.id) }

  func isReachable(_ node: NodeID) -> Bool {
    node == local || index(of: node).map { peers[$0].health != .unreachable } ?? false
  }

  var nextDeadline: Instant {
    guard !peers.isEmpty else { return .distantFuture }
    var deadline = nextRound
    for probe in probes { deadline = min(deadline, probe.deadline) }
    for peer in peers where peer.health == .suspect { deadline = min(deadline, peer.suspectUntil) }
    return deadline
  }

  private func index(of node: NodeID) -> Int? { peers.firstIndex { $0.id == node } }

  /// Watches exactly these members from now on; new ones are taken to be alive.
  mutating func setPeers(_ nodes: [NodeID]) {
    let wanted = nodes.filter { $0 != local }.sorted()
    guard wanted != peers.map(\.id) else { return }
    peers = wanted.map { node in index(of: node).map { peers[$0] } ?? Peer(id: node) }
    probes.removeAll { !wanted.contains($0.target) }
    relays.removeAll { !wanted.contains($0.target) || !wanted.contains($0.requester) }
    rumors.removeAll { $0.rumor.node != local && !wanted.contains($0.rumor.node) }
    order = []
  }

  /// Pings everyone: after a start nothing is known.
  mutating func start(at now: Instant, into outputs: inout [Output]) {
    nextRound = now + configuration.probeInterval
    for peer in peers { probe(peer.id, at: now, into: &outputs) }
  }

  // MARK: Time

  /// Does what is due.
  mutating func tick(at now: Instant, into outputs: inout [Output]) {
    for probe in probes where probe.deadline <= now { advance(probe, at: now, into: &outputs) }
    for peer in peers where peer.health == .suspect && peer.suspectUntil <= now {
      become(.unreachable, peer.id, at: now, into: &outputs)
    }
    guard nextRound <= now, !peers.isEmpty else { return }
    nextRound = now + configuration.probeInterval
    round += 1
    // A suspect is asked again in each interval: one lost packet must not cost it its place.
    for peer in peers where peer.health == .suspect || (peer.health == .alive && peer.detours > 0) {
      probe(peer.id, at: now, into: &outputs)
    }
    if let target = nextTarget() { probe(target, at: now, into: &outputs) }
    guard round % UInt64(Self.slowFactor) == 0 else { return }
    for peer in peers where peer.health == .unreachable { probe(peer.id, at: now, into: &outputs) }
  }

  /// The next member in an order that is drawn anew each time all have been visited, so that the
  /// time until a failed one is pinged is bounded.
  private mutating func nextTarget() -> NodeID? {
    while true {
      if order.isEmpty {
        order = peers.filter { $0.health == .alive }.map(\.id).shuffled(using: &random)
        if order.isEmpty { return nil }
      }
      let node = order.removeLast()
      if let index = index(of: node), peers[index].health == .alive { return node }
    }
  }

  private mutating func probe(_ target: NodeID, at now: Instant, into outputs: inout [Output]) {
    guard !probes.contains(where: { $0.target == target }) else { return }
    sequence += 1
    probes.append(
      Probe(
        target: target, sequence: sequence, deadline: now + probeTimeout, isIndirect: false,
        startedAt: now))
    outputs.append(.ping(target, sequence: sequence))
  }

  /// A probe went unanswered for one time-out: ask others, or give up.
  private mutating func advance(_ probe: Probe, at now: Instant, into outputs: inout [Output]) {
    guard let position = probes.firstIndex(where: { $0.sequence == probe.sequence }) else { return }
    if peers.count > 1, heardAt < probe.startedAt {
      localHealth = min(Self.worstHealth, localHealth + 1)
    }
    let helpers = peers.filter { $0.health == .alive && $0.id != probe.target }.map(\.id)
    guard !probe.isIndirect, !helpers.isEmpty, health(of: probe.target) != .unreachable else {
      probes.remove(at: position)
      fail(probe.target, at: now, into: &outputs)
      return
    }
    probes[position].isIndirect = true
    probes[position].deadline = now + probeTimeout
    for helper in helpers.shuffled(using: &random).prefix(Self.relayCount) {
      outputs.append(.askToPing(target: probe.target, via: helper, sequence: probe.sequence))
    }
  }

  private func health(of node: NodeID) -> Rumor.Health? { index(of: node).map { peers[$0].health } }

  private mutating func fail(_ node: NodeID, at now: Instant, into outputs: inout [Output]) {
    guard let index = index(of: node) else { return }
    switch peers[index].health {
    case .alive: become(.suspect, node, at: now, into: &outputs)
    case .suspect where peers[index].isConfirmed:
      become(.unreachable, node, at: now, into: &outputs)
    case .suspect, .unreachable: break
    }
  }

  private mutating func become(
    _ health: Rumor.Health, _ node: NodeID, at now: Instant, into outputs: inout [Output]
  ) {
    guard let index = index(of: node), peers[index].health != health else { return }
    peers[index].health = health
    peers[index].suspectUntil =
      health == .suspect ? now + suspicionTimeout : .distantFuture
    if health == .alive { peers[index].isConfirmed = false }
    // That only this node cannot reach it is no news for others.
    if health != .alive, peers[index].detours < Self.detourLimit {
      spread(Rumor(node: node, incarnation: peers[index].incarnation, health: health))
    }
    outputs.append(.healthChanged(node, health))
  }

  // MARK: Messages

  /// A message came from a member: it lives, but whether it can be reached only a probe tells.
  mutating func heard(
    from node: NodeID, incarnation: UInt64, at now: Instant, into outputs: inout [Output]
  ) {
    guard let index = index(of: node) else { return }
    heardAt = now
    peers[index].incarnation = max(peers[index].incarnation, incarnation)
    if peers[index].health != .alive { probe(node, at: now, into: &outputs) }
  }

  /// The target of a probe, or of a ping made for another, answered: to this node itself, or to one
  /// that was asked to ping it.
  mutating func answered(
    by node: NodeID, sequence: UInt64, incarnation: UInt64, isDirect: Bool, at now: Instant,
    into outputs: inout [Output]
  ) {
    if isDirect,
      let position = relays.firstIndex(where: { $0.sequence == sequence && $0.target == node })
    {
      let relay = relays.remove(at: position)
      outputs.append(
        .relayAnswer(
          to: relay.requester, sequence: relay.theirSequence, target: node,
          incarnation: incarnation))
      return
    }
    guard let position = probes.firstIndex(where: { $0.sequence == sequence && $0.target == node }),
      let index = index(of: node)
    else { return }
    probes.remove(at: position)
    if isDirect { localHealth = max(0, localHealth - 1) }
    peers[index].incarnation = max(peers[index].incarnation, incarnation)
    peers[index].isConfirmed = false
    peers[index].detours = isDirect ? 0 : peers[index].detours + 1
    let isCutOff = peers[index].detours >= Self.detourLimit
    become(isCutOff ? .unreachable : .alive, node, at: now, into: &outputs)
  }

  /// Another member asks whether `target` answers.
  mutating func askedToPing(
    _ target: NodeID, for requester: NodeID, sequence theirs: UInt64, into outputs: inout [Output]
  ) {
    guard index(of: target) != nil, target != requester else { return }
    sequence += 1
    relays.append(
      Relay(requester: requester, theirSequence: theirs, target: target, sequence: sequence))
    relays.removeFirst(max(0, relays.count - Self.relayLimit))
    outputs.append(.ping(target, sequence: sequence))
  }

  /// The connection to a node broke, or there was none to make.
  mutating func disconnected(_ node: NodeID, at now: Instant, into outputs: inout [Output]) {
    guard index(of: node) != nil else { return }
    if let probe = probes.first(where: { $0.target == node }) {
      // The ping under way is lost with the connection: no use in waiting for its answer.
      if !probe.isIndirect { advance(probe, at: now, into: &outputs) }
    } else if health(of: node) != .unreachable {
      probe(node, at: now, into: &outputs)
    }
  }

  // MARK: Rumours

  /// Takes note of what another node heard.
  mutating func hear(_ rumor: Rumor, at now: Instant, into outputs: inout [Output]) {
    guard rumor.node != local else {
      guard rumor.health != .alive, rumor.incarnation >= incarnation else { return }
      incarnation = rumor.incarnation + 1
      spread(Rumor(node: local, incarnation: incarnation, health: .alive))
      outputs.append(.refuted)
      return
    }
    guard let index = index(of: rumor.node) else { return }
    let known = peers[index]
    switch rumor.health {
    case .alive:
      guard rumor.incarnation > known.incarnation else { return }
      peers[index].incarnation = rumor.incarnation
      peers[index].isConfirmed = false
      spread(rumor)
      if known.health != .alive { probe(rumor.node, at: now, into: &outputs) }
    case .suspect:
      guard rumor.incarnation >= known.incarnation, known.health == .alive else { return }
      peers[index].incarnation = rumor.incarnation
      become(.suspect, rumor.node, at: now, into: &outputs)
      probe(rumor.node, at: now, into: &outputs)
    case .unreachable:
      guard rumor.incarnation >= known.incarnation, known.health != .unreachable,
        !known.isConfirmed
      else { return }
      peers[index].incarnation = rumor.incarnation
      peers[index].isConfirmed = true
      become(.suspect, rumor.node, at: now, into: &outputs)
      probe(rumor.node, at: now, into: &outputs)
    }
  }

  private mutating func spread(_ rumor: Rumor) {
    rumors.removeAll { $0.rumor.node == rumor.node }
    let rounds = Int.bitWidth - (peers.count + 1).leadingZeroBitCount
    rumors.append(QueuedRumor(rumor: rumor, remaining: 3 * rounds))
  }

  /// The rumours to send along to `node`: the one about itself, so that it can refute it, then those
  /// told least often.
  mutating func rumors(for node: NodeID) -> [Rumor] {
    var chosen: [Rumor] = []
    if let index = index(of: node), peers[index].health != .alive {
      let peer = peers[index]
      chosen.append(Rumor(node: node, incarnation: peer.incarnation, health: peer.health))
    }
    let others = rumors.indices.filter { rumors[$0].rumor.node != node }
      .sorted { (rumors[$1].remaining, $0) < (rumors[$0].remaining, $1) }
    for index in others.prefix(MembershipMessage.rumorLimit - chosen.count) {
      chosen.append(rumors[index].rumor)
      rumors[index].remaining -= 1
    }
    rumors.removeAll { $0.remaining <= 0 }
    return chosen
  }
}
