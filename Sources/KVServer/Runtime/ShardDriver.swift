import Foundation
import KVBase
import KVCluster
import KVModel
import KVNode
import Synchronization

/// Where the effects of a shard go that leave its thread.
protocol ShardSurroundings: AnyObject, Sendable {
  /// Carries a peer message to another shard, of this or another node; it may be dropped.
  func send(_ message: Bytes, from shard: ShardIndex, to address: Address)
  /// Carries a peer message to a node known only by its endpoint.
  func send(_ message: Bytes, from shard: ShardIndex, to endpoint: Endpoint)
  /// The members or the owners of partitions may have changed.
  func viewChanged(_ view: ClusterView)
  /// Writes a log line.
  func log(_ level: LogLevel, _ text: String, shard: ShardIndex)
}

/// Runs one shard: takes events, steps the shard and performs its effects.
///
/// The shard has a thread, which takes what waits in the mailbox. A small request or message that
/// meets an idle shard is served on the thread that brings it.
///
/// **Concurrency**: every method from any thread; the shard itself is touched by whoever has the
/// mailbox's right to serve.
final class ShardDriver: @unchecked Sendable {
  /// What waits in the mailbox.
  enum Item: Sendable {
    case event(ShardEvent)
    case request(RequestID, ClientRequest, received: Instant, ReplyHandler)
    case admin(RequestID, AdminCommand, @Sendable (AdminReply) -> Void)
    case inspect(@Sendable (ShardSnapshot) -> Void)
    case inspectEntropy(@Sendable (EntropyStatus) -> Void)
  }

  /// Takes a reply on the thread that serves the shard, possibly before ``submit(_:byteCount:reply:)``
  /// returns; the flag tells the last one.
  typealias ReplyHandler = @Sendable (ClientReply, Bool) -> Void

  let index: ShardIndex
  private let mailbox: Mailbox<Item>
  private let surroundings: any ShardSurroundings
  private let flusher: Flusher
  private let nextRequest = Atomic<UInt64>(1)
  private let stopped = Latch()

  // Touched only with the mailbox's right to serve.
  private var shard: Shard
  private var effects: [ShardEffect] = []
  private var requests: [RequestID: OpenRequest] = [:]
  private var adminReplies: [RequestID: @Sendable (AdminReply) -> Void] = [:]
  private var latencies = ShardLatencies()
  private var minute = CounterMinute()
  private var members: [Member] = []
  private var owners: [NodeID] = []
  private var hasStopped = false
  /// What ``serve(_:)`` takes with its item.
  private var late: [Item] = []

  private struct OpenRequest {
    var received: Instant
    var kind: ShardLatencies.Kind?
    var reply: ReplyHandler
  }

  /// A driver for one shard on its open store; `sync` makes everything up to a sequence durable and
  /// is called by the driver's flush thread alone.
  init(
    configuration: ShardConfiguration, store: any ReplicaStore, limits: ServerConfiguration,
    surroundings: any ShardSurroundings,
    sync: @escaping @Sendable (UInt64) throws(ReplicaStoreFailure) -> UInt64
  ) {
    index = configuration.shard
    mailbox = Mailbox(limit: limits.mailboxLimit, byteLimit: limits.mailboxByteLimit)
    self.surroundings = surroundings
    flusher = Flusher(name: "flush-\(configuration.shard.index)", sync: sync)
    shard = Shard(configuration: configuration, store: store)
  }

  /// Starts the shard's thread and its flush thread.
  func start() {
    flusher.start { event in
      // May not be lost, however full the mailbox is.
      if !self.offer(.event(event), byteCount: 0, at: SystemClock.instant()) {
        self.mailbox.force(.event(event))
      }
    }
    startThread("shard-\(index.index)") { self.run() }
  }

  // MARK: Other threads

  /// Hands a client's request to the shard.
  ///
  /// Nil when the mailbox is full: the caller answers `overload` itself.
  func submit(
    _ request: ClientRequest, byteCount: Int, reply: @escaping ReplyHandler
  ) -> RequestID? {
    let id = RequestID(rawValue: nextRequest.wrappingAdd(1, ordering: .relaxed).oldValue)
    let received = SystemClock.instant()
    let item = Item.request(id, request, received: received, reply)
    let isTaken =
      request.key != nil
      ? offer(item, byteCount: byteCount, at: received) : mailbox.post(item, byteCount: byteCount)
    return isTaken ? id : nil
  }

  /// Tells the shard that nobody waits for the request any more.
  func cancel(_ request: RequestID) { mailbox.force(.event(.requestCancelled(request))) }

  /// Tells the shard that the client of a listing has taken a part of it.
  func takenListing(_ request: RequestID) { mailbox.force(.event(.listingTaken(request))) }

  /// Hands a peer message to the shard; dropped when the mailbox is full.
  func deliver(_ message: Bytes, from address: Address) {
    let item = Item.event(.message(message, from: address))
    _ = offer(item, byteCount: message.count, at: SystemClock.instant())
  }

  /// Tells the shard that a connection to a node broke; dropped when the mailbox is full, since it
  /// is a hint only.
  func deliverDisconnect(of node: NodeID) {
    _ = mailbox.post(.event(.peerDisconnected(node)))
  }

  /// Tells the shard what a scrub has come upon.
  func deliverDamage(_ event: ShardEvent) { mailbox.force(.event(event)) }

  /// Tells the shard which peer protocol a node speaks.
  func deliver(_ version: UInt16, spokenBy node: NodeID) {
    mailbox.force(.event(.peerSpeaks(version, node)))
  }

  /// Hands an operator's command to the shard; false when the mailbox is full.
  func administer(
    _ command: AdminCommand, reply: @escaping @Sendable (AdminReply) -> Void
  ) -> Bool {
    let id = RequestID(rawValue: nextRequest.wrappingAdd(1, ordering: .relaxed).oldValue)
    return mailbox.post(.admin(id, command, reply))
  }

  /// Calls the closure on the shard's thread with a copy of its counters; false when the mailbox is
  /// full.
  func inspect(_ body: @escaping @Sendable (ShardSnapshot) -> Void) -> Bool {
    mailbox.post(.inspect(body))
  }

  /// Calls the closure on the shard's thread with what anti-entropy does; false when the mailbox is
  /// full.
  func inspectEntropy(_ body: @escaping @Sendable (EntropyStatus) -> Void) -> Bool {
    mailbox.post(.inspectEntropy(body))
  }

  /// Asks the shard to finish, which it does when the node's other shards can too.
  func requestStop() { mailbox.force(.event(.stop)) }

  /// Waits until the shard has finished, all writes flushed; false when that took too long.
  func waitUntilStopped(until deadline: Instant) -> Bool { stopped.wait(until: deadline) }

  // MARK: On the thread that brings the work

  /// More than this is not worth a hold-up of the thread that brings it.
  private static let shortByteCount = 32 << 10
  /// Served with an item that was taken, if they have come meanwhile.
  private static let shortBatch = 16
  /// A service that took longer leaves the shard to its thread for a hundred times as long: a slow
  /// disk then holds up a connection's loop, which has other shards to serve, for 1 % of its time.
  private static let longService = Duration.microseconds(500)

  /// Serves the item here when the shard is idle, else leaves it to its thread; false when the
  /// mailbox is full.
  private func offer(_ item: Item, byteCount: Int, at now: Instant) -> Bool {
    guard byteCount <= Self.shortByteCount else { return mailbox.post(item, byteCount: byteCount) }
    switch mailbox.offer(item, byteCount: byteCount, at: now) {
    case .posted: return true
    case .refused: return false
    case .taken:
      serve(item)
      return true
    }
  }

  private func serve(_ item: Item) {
    let now = SystemClock.now()
    if now.instant >= shard.nextDeadline { step(.timer, at: now) }
    handle(item, at: now)
    perform()
    mailbox.takeMore(into: &late, limit: Self.shortBatch)
    if !late.isEmpty {
      let now = SystemClock.now()
      for item in late { handle(item, at: now) }
      perform()
      late.removeAll(keepingCapacity: true)
    }
    let end = SystemClock.instant()
    let duration = end - now.instant
    // The thread must see that the shard has stopped.
    mailbox.release(
      next: hasStopped ? end : shard.nextDeadline,
      pause: duration > Self.longService ? end + duration * 100 : nil)
  }

  // MARK: The shard's thread

  private func run() {
    step(.start, at: SystemClock.now())
    perform()
    var batch: [Item] = []
    while !hasStopped {
      mailbox.drain(into: &batch, until: shard.nextDeadline)
      let now = SystemClock.now()
      minute.note(shard.totals, at: now.instant)
      if now.instant >= shard.nextDeadline { step(.timer, at: now) }
      for item in batch { handle(item, at: now) }
      perform()
    }
    refuse(mailbox.close())
    flusher.stop()
    stopped.open()
  }

  /// Answers what came too late; posters of later items learn it from the closed mailbox.
  private func refuse(_ items: [Item]) {
    for item in items {
      switch item {
      case .request(_, _, _, let reply): reply(.failure(.overload), true)
      case .admin(_, _, let reply): reply(.refused("The node is stopping."))
      case .event, .inspect, .inspectEntropy: break
      }
    }
  }

  private func step(_ event: ShardEvent, at now: Now) {
    shard.step(event, at: now, into: &effects)
  }

  private func handle(_ item: Item, at now: Now) {
    switch item {
    case .event(let event):
      if case .requestCancelled(let id) = event { requests[id] = nil }
      step(event, at: now)
    case .request(let id, let request, let received, let reply):
      requests[id] = OpenRequest(
        received: received, kind: ShardLatencies.Kind(request), reply: reply)
      step(.request(id, request), at: now)
    case .admin(let id, let command, let reply):
      adminReplies[id] = reply
      step(.admin(id, command), at: now)
    case .inspect(let body):
      body(snapshot(at: now))
    case .inspectEntropy(let body): body(shard.entropyStatus)
    }
    // A long batch must not hold back the answers of its beginning.
    if effects.count >= 64 { perform() }
  }

  private func perform() {
    var syncTarget: UInt64?
    for effect in effects {
      switch effect {
      case .send(let message, let address):
        surroundings.send(message, from: index, to: address)
      case .sendToEndpoint(let message, let endpoint):
        surroundings.send(message, from: index, to: endpoint)
      case .reply(let id, let reply, let isFinal): answer(id, reply, isFinal)
      case .adminReply(let id, let reply): adminReplies.removeValue(forKey: id)?(reply)
      case .sync(let sequence): syncTarget = max(syncTarget ?? 0, sequence)
      case .log(let level, let text): surroundings.log(level, text, shard: index)
      case .probe: break
      case .stopped: hasStopped = true
      }
    }
    effects.removeAll(keepingCapacity: true)
    if let syncTarget { flusher.request(through: syncTarget) }
    // The arrays are the same buffers while nothing changed, so these compare addresses.
    if index == .membership, shard.view.members != members || shard.view.ring.owners != owners {
      members = shard.view.members
      owners = shard.view.ring.owners
      surroundings.viewChanged(shard.view)
    }
  }

  private func answer(_ id: RequestID, _ reply: ClientReply, _ isFinal: Bool) {
    guard let request = requests[id] else { return }
    if isFinal {
      requests[id] = nil
      if let kind = request.kind {
        let now = SystemClock.instant()
        latencies.record(kind, now - request.received, at: now)
        if kind == .get, case .object(let object) = reply { latencies.note(object, at: now) }
      }
    }
    request.reply(reply, isFinal)
  }

  private func snapshot(at now: Now) -> ShardSnapshot {
    let mail = mailbox.counts
    return ShardSnapshot(
      shard: index, statistics: shard.statistics, before: minute.before(now.instant),
      latencies: latencies.lastMinute(at: now.instant),
      mailboxWaiting: mail.waiting, mailboxHighest: mail.highest, mailboxRefused: mail.refused)
  }
}

/// The counters of one shard at one moment.
struct ShardSnapshot: Sendable {
  var shard: ShardIndex
  var statistics: ShardStatistics
  /// The totals a minute ago.
  var before: ShardStatistics
  var latencies: LatencySummary
  var mailboxWaiting: Int
  var mailboxHighest: Int
  var mailboxRefused: Int
}
