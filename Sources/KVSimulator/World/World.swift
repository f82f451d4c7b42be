import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage

/// A request that a process has been sent.
struct UnderwayRequest {
  /// The shard it was sent to.
  var place: ShardPlace
  /// True once a shard has been told of a client's request: it must answer, even before it stops.
  var mustBeAnswered = false
}

/// A whole cluster in one process: nodes with real shards on real stores, joined by a simulated
/// network, over simulated disks, in virtual time.
///
/// The world performs what shards ask for and lets their faults happen; what clients do and what
/// must hold is the business of ``Simulation``.
///
/// **Invariants**: everything follows from the settings and the generator; no event reaches a
/// process later than its crash.
struct World {
  /// A run with more events than this, for each node, has messages that beget messages.
  static let eventLimitPerNode = 1_000_000
  private static let eventsPerCheck = 16
  /// The most nanoseconds that a slow process takes for one event.
  private static let slowCost: UInt64 = 10_000_000
  /// A slow process with so much to do lets its senders wait, and makes up for it.
  private static let backlogLimit: UInt64 = 500_000_000

  /// What the seed decided.
  let settings: RunSettings
  /// The virtual time, in nanoseconds.
  private(set) var time: UInt64 = 0
  /// The machines.
  var nodes: [SimulatedNode] = []
  /// What connects them.
  var network: Network
  /// What has happened.
  var trace: Trace
  /// What has not been looked at yet.
  var observations: [Observation] = []
  /// How often each rare path was taken.
  var probes = ProbeCounts()
  /// The number of events so far.
  private(set) var eventCount = 0
  /// What broke an invariant inside the world itself.
  var failure: SimulationFailure?
  var queue = EventQueue<WorldEvent>()
  var random: SeededRandom
  var diskRandom: SeededRandom
  /// Requests and commands that have been sent and not answered.
  var underway: [RequestID: UnderwayRequest] = [:]
  /// The lives of two nodes that have last exchanged their versions.
  var introductions: [[Int]: [Int]] = [:]
  private var nextRequest: UInt64 = 1
  private var describe = Describe()
  private var positions: [NodeID: Int] = [:]
  private var endpoints: [Endpoint: Int] = [:]

  init(settings: RunSettings, random: inout SeededRandom, sink: ((String) -> Void)?) {
    self.settings = settings
    let count = settings.nodeCount + settings.spareCount
    network = Network(nodeCount: count, settings: settings.network, random: random.fork())
    trace = Trace(sink: sink)
    diskRandom = random.fork()
    self.random = random.fork()
    for index in 0..<count {
      let member = Member(
        name: "n\(index)@sim", endpoint: Endpoint(host: "n\(index)", port: 8099),
        clientEndpoint: Endpoint(host: "n\(index)", port: 8087),
        shardCount: settings.shardCounts[index],
        // Members of older releases do not know the other layout.
        shardLayout: settings.isMixed || index % 4 == 3 ? .modulo : .spread, status: .valid,
        location: settings.locationCount > 0 ? "rack\(index % settings.locationCount)" : "")
      let skew = settings.faults.clockSkew
      let clock = SimulatedClock(
        driftPartsPerMillion: random.below(401) - 200,
        wallOffsetMicroseconds: Int64(random.below(2 * skew + 1) - skew))
      nodes.append(SimulatedNode(member: member, clock: clock))
      if settings.isMixed, random.chance(0.5) {
        nodes[index].protocolVersion = PeerProtocol.earliest
      }
      positions[member.id] = index
      describe.names[member.id] = "n\(index)"
      endpoints[member.endpoint] = index
    }
  }

  /// Plans a task of the simulation.
  mutating func plan(_ task: PlannedTask, after delay: UInt64) {
    queue.schedule(.due(task), at: time + delay)
  }

  /// Performs the next event, if there is one no later than `limit`; false when there is none.
  mutating func step(until limit: UInt64) -> Bool {
    guard let next = queue.nextTime, next <= limit, let (due, event) = queue.takeNext() else {
      time = max(time, limit)
      return false
    }
    time = max(time, due)
    eventCount += 1
    let limit = Self.eventLimitPerNode * nodes.count
    if eventCount > limit { fail(.world, "more than \(limit) events") }
    perform(event, isLate: false)
    return true
  }

  private mutating func perform(_ event: WorldEvent, isLate: Bool) {
    if !isLate, isPutOff(event) { return }
    switch event {
    case .arrival(let bytes, let from, let to, let connection):
      guard deferredWhilePaused(event, at: to) else { return }
      deliver(bytes, from: from, to: to, connection: connection)
    case .timer(let place, let incarnation):
      guard isCurrent(place, incarnation), deferredWhilePaused(event, at: place) else { return }
      fireTimer(place)
    case .flush(let place, let incarnation):
      guard isCurrent(place, incarnation) else { return }
      flush(place)
    case .flushed(let place, let incarnation, let through):
      guard isCurrent(place, incarnation), deferredWhilePaused(event, at: place) else { return }
      finishFlush(place, through: through)
    case .backgroundWork(let place, let incarnation):
      guard isCurrent(place, incarnation) else { return }
      performBackgroundWork(place)
    case .request(let id, let request, let place, let incarnation):
      guard isCurrent(place, incarnation), nodes[place.node].isRunning else {
        lose(id)
        return
      }
      guard deferredWhilePaused(event, at: place) else { return }
      underway[id]?.mustBeAnswered = true
      tell(place, .request(id, request))
    case .cancellation(let id, let place, let incarnation):
      guard isCurrent(place, incarnation), deferredWhilePaused(event, at: place) else { return }
      tell(place, .requestCancelled(id))
    case .listingTaken(let id, let place, let incarnation):
      guard isCurrent(place, incarnation), deferredWhilePaused(event, at: place) else { return }
      tell(place, .listingTaken(id))
    case .disconnection(let node, let incarnation, let peer):
      let place = ShardPlace(node: node, shard: 0)
      guard isCurrent(place, incarnation), deferredWhilePaused(event, at: place) else { return }
      for shard in nodes[node].shards.indices where isCurrent(place, incarnation) {
        tell(ShardPlace(node: node, shard: shard), .peerDisconnected(nodes[peer].member.id))
      }
      introductions[[min(node, peer), max(node, peer)]] = nil
    case .boot(let node): boot(node)
    case .late(let event): perform(event, isLate: true)
    case .due(let task): observations.append(.due(task))
    }
  }

  /// True when the event is for a slow process, which gets round to it later, in order.
  private mutating func isPutOff(_ event: WorldEvent) -> Bool {
    let place: ShardPlace
    switch event {
    case .arrival(_, _, let to, _): place = to
    case .timer(let to, _), .flushed(let to, _, _), .request(_, _, let to, _),
      .cancellation(_, let to, _), .listingTaken(_, let to, _):
      place = to
    case .flush, .backgroundWork, .disconnection, .boot, .late, .due: return false
    }
    let (slow, busy) = (nodes[place.node].slowUntil, nodes[place.node].busyUntil)
    guard max(slow, busy) > time else { return false }
    let isSwamped = busy > time + Self.backlogLimit || slow <= time
    let cost = isSwamped ? 1_000 : UInt64(diskRandom.below(Int(Self.slowCost)))
    nodes[place.node].busyUntil = max(busy, time) + cost
    queue.schedule(.late(event), at: nodes[place.node].busyUntil)
    return true
  }

  /// False, with the event put off, while the node's process stands still.
  private mutating func deferredWhilePaused(_ event: WorldEvent, at place: ShardPlace) -> Bool {
    guard nodes[place.node].pausedUntil > time else { return true }
    queue.schedule(event, at: nodes[place.node].pausedUntil)
    return false
  }

  func isCurrent(_ place: ShardPlace, _ incarnation: Int) -> Bool {
    nodes[place.node].incarnation == incarnation && !nodes[place.node].shards.isEmpty
  }

  // MARK: Shards

  /// Gives a shard an event and performs its effects.
  mutating func tell(_ place: ShardPlace, _ event: ShardEvent) {
    let now = nodes[place.node].clock.now(at: time)
    nodes[place.node].fileSystem.setSecondsSinceEpoch(now.wallClock.microseconds / 1_000_000)
    trace.record(
      at: time, kind: UInt64(Describe.tag(of: event)), UInt64(place.node),
      UInt64(place.shard), Describe.fingerprint(of: event),
      text: "n\(place.node)/\(place.shard) <- \(describe.text(of: event))")
    var effects: [ShardEffect] = []
    nodes[place.node].shards[place.shard].shard.step(event, at: now, into: &effects)
    for effect in effects { perform(effect, of: place) }
    scheduleTimer(place)
    if settings.coldKeyCount > 0 { checkFinishedTransfers(of: place) }
    if eventCount % Self.eventsPerCheck == 0 { checkInvariants(of: place) }
  }

  /// Holds what every view must be against what the shard works by.
  private mutating func checkInvariants(of place: ShardPlace) {
    guard place.shard < nodes[place.node].shards.count else { return }
    let view = nodes[place.node].shards[place.shard].shard.view
    func isAscending<T: Comparable>(_ list: [T]) -> Bool {
      zip(list, list.dropFirst()).allSatisfy { $0 < $1 }
    }
    let isSound =
      isAscending(view.members.map(\.id)) && isAscending(view.unavailable)
      && isAscending(view.properties.map(\.bucket))
      && isAscending(view.transfers.map(\.partition)) && view.local == nodes[place.node].member.id
      && view.transfers.allSatisfy { view.ring.owner(of: $0.partition) == $0.from }
    nodes[place.node].shards[place.shard].shard.checkInvariants()
    if !isSound { fail(.invariants, "n\(place.node)/\(place.shard) works by the view \(view)") }
  }

  private mutating func perform(_ effect: ShardEffect, of place: ShardPlace) {
    guard place.shard < nodes[place.node].shards.count else { return }
    trace.record(
      at: time, kind: UInt64(Describe.tag(of: effect)), UInt64(place.node),
      UInt64(place.shard), Describe.fingerprint(of: effect),
      text: "n\(place.node)/\(place.shard) -> \(describe.text(of: effect))")
    switch effect {
    case .send(let bytes, let address):
      guard let node = positions[address.node] else {
        return fail(.world, "n\(place.node) sends to a node nobody knows: \(address)")
      }
      send(bytes, from: place, to: ShardPlace(node: node, shard: address.shard.index))
    case .sendToEndpoint(let bytes, let endpoint):
      guard let node = endpoints[endpoint] else { return }
      send(bytes, from: place, to: ShardPlace(node: node, shard: 0))
    case .reply(let id, let reply, let isFinal):
      if isFinal { underway[id] = nil } else { takeListing(id, at: place) }
      observations.append(.reply(id, reply, isFinal: isFinal))
    case .adminReply(let id, let reply):
      underway[id] = nil
      observations.append(.adminReply(id, reply))
    case .sync(let through): wantFlush(place, through: through)
    case .log: break
    case .probe(let name):
      let text = String(describing: name)
      probes.count(text)
      if text == "batch forwarded during transfer" {
        nodes[place.node].shards[place.shard].batchForwardedAt = time
      }
    case .stopped:
      nodes[place.node].shards[place.shard].isStopped = true
      if nodes[place.node].shards.allSatisfy(\.isStopped) { finishStop(place.node) }
    }
  }

  /// A client takes its time with a part of a listing.
  private mutating func takeListing(_ id: RequestID, at place: ShardPlace) {
    queue.schedule(
      .listingTaken(id, place, incarnation: nodes[place.node].incarnation),
      at: time + 50_000 + UInt64(random.below(20_000_000)))
  }

  private mutating func scheduleTimer(_ place: ShardPlace) {
    guard place.shard < nodes[place.node].shards.count else { return }
    let deadline = nodes[place.node].shards[place.shard].shard.nextDeadline
    let due = max(time, nodes[place.node].clock.worldTime(of: deadline))
    guard deadline != .distantFuture, due != .max,
      due < nodes[place.node].shards[place.shard].wakeTime
    else { return }
    nodes[place.node].shards[place.shard].wakeTime = due
    queue.schedule(.timer(place, incarnation: nodes[place.node].incarnation), at: due)
  }

  private mutating func fireTimer(_ place: ShardPlace) {
    // No copies of nodes here: changing one that has a copy copies all its shards.
    guard nodes[place.node].shards[place.shard].wakeTime <= time else { return }
    nodes[place.node].shards[place.shard].wakeTime = .max
    let deadline = nodes[place.node].shards[place.shard].shard.nextDeadline
    guard nodes[place.node].clock.now(at: time).instant >= deadline else {
      scheduleTimer(place)
      return
    }
    if nodes[place.node].shards[place.shard].latestTimer == time {
      nodes[place.node].shards[place.shard].timersAtOnce += 1
      if nodes[place.node].shards[place.shard].timersAtOnce > 100 {
        fail(.world, "the timer of n\(place.node)/\(place.shard) is due again and again at \(time)")
        return
      }
    } else {
      nodes[place.node].shards[place.shard].latestTimer = time
      nodes[place.node].shards[place.shard].timersAtOnce = 0
    }
    tell(place, .timer)
  }

  // MARK: Messages

  private mutating func send(_ bytes: Bytes, from: ShardPlace, to: ShardPlace) {
    guard to.shard < nodes[to.node].member.shardCount else {
      return fail(.world, "n\(from.node) sends to shard \(to.shard) of n\(to.node)")
    }
    let fate = network.send(
      from: Network.End(node: from.node, shard: from.shard),
      to: Network.End(node: to.node, shard: to.shard), at: time)
    switch fate {
    case .arrives(let times, let connection):
      let isWithinNode = from.node == to.node
      let connection = isWithinNode ? UInt64(nodes[to.node].incarnation) : connection
      for arrival in times {
        queue.schedule(.arrival(bytes, from: from, to: to, connection: connection), at: arrival)
      }
    case .lost: break
    case .connectionBroken: noticeDisconnection(from.node, to.node)
    }
  }

  private mutating func deliver(
    _ bytes: Bytes, from: ShardPlace, to: ShardPlace, connection: UInt64
  ) {
    if from.node == to.node {
      guard connection == UInt64(nodes[to.node].incarnation) else { return }
    } else {
      guard network.delivers(from: from.node, to: to.node, connection: connection) else { return }
    }
    guard to.shard < nodes[to.node].shards.count else {
      // Nobody listens there: the connection is refused.
      if from.node != to.node { noticeDisconnection(from.node, to.node) }
      return
    }
    let sender = Address(node: nodes[from.node].member.id, shard: ShardIndex(from.shard))
    if from.node != to.node {
      introduce(from.node, to.node)
      guard to.shard < nodes[to.node].shards.count else { return }
      checkVersion(of: bytes, at: to.node)
    }
    tell(to, .message(bytes, from: sender))
  }

  /// Lets both ends learn, each by chance, that their connection is gone.
  mutating func noticeDisconnection(_ a: Int, _ b: Int) {
    for (node, peer) in [(a, b), (b, a)] where random.chance(0.5) && !nodes[node].shards.isEmpty {
      let delay = UInt64(random.below(50_000_000))
      queue.schedule(
        .disconnection(node: node, incarnation: nodes[node].incarnation, peer: peer),
        at: time + delay)
    }
  }

  // MARK: Requests

  /// A number that no request or command has had.
  mutating func nextRequestID() -> RequestID {
    defer { nextRequest += 1 }
    return RequestID(rawValue: nextRequest)
  }

  /// Sends a client's request on its way to a shard.
  mutating func submit(_ request: ClientRequest, to place: ShardPlace) -> RequestID {
    let id = nextRequestID()
    underway[id] = UnderwayRequest(place: place)
    let delay = 50_000 + UInt64(random.below(500_000))
    queue.schedule(
      .request(id, request, place, incarnation: nodes[place.node].incarnation), at: time + delay)
    return id
  }

  /// Gives an operator's command to a running node at once.
  mutating func command(_ command: AdminCommand, id: RequestID, to node: Int) {
    let place = ShardPlace(node: node, shard: 0)
    underway[id] = UnderwayRequest(place: place)
    tell(place, .admin(id, command))
  }

  /// Tells the shard that its client is gone.
  mutating func cancel(_ id: RequestID) {
    guard let place = underway.removeValue(forKey: id)?.place else { return }
    queue.schedule(
      .cancellation(id, place, incarnation: nodes[place.node].incarnation), at: time + 50_000)
  }

  /// The process that had the request is gone.
  mutating func lose(_ id: RequestID) {
    guard underway.removeValue(forKey: id) != nil else { return }
    observations.append(.lost(id))
  }

  /// Remembers the first thing that went wrong.
  mutating func fail(_ checker: Checker, _ explanation: String) {
    guard failure == nil else { return }
    trace.record(at: time, kind: 999, text: "FAILED \(checker.rawValue): \(explanation)")
    failure = SimulationFailure(checker: checker, explanation: explanation)
  }
}
