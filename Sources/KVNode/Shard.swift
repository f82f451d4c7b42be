public import KVBase
public import KVCluster
import KVModel

/// One shard of a node: a mini-node with its own partitions, store and coordinators.
///
/// Shard 0 also runs membership for its node and tells the other shards of every new view. The
/// shard owns the state machines of KVCluster and dispatches: each event and each peer message has
/// one line in a switch and one method in an extension file.
///
/// **Invariants**: 1. every client request gets exactly one final reply; 2. nothing is acknowledged
/// before it is as durable as was asked; 3. nothing is served before the shard's epoch is durable
/// and its view is known.
///
/// **Concurrency**: one owner calls ``step(_:at:into:)`` with one event after the other and
/// performs the effects in order.
public struct Shard {
  /// Where a shard is in its life.
  enum Phase {
    /// Not started.
    case created
    /// Its epoch is not durable or its view not known yet; events wait.
    case starting
    /// At work.
    case serving
    /// Finishing what is under way.
    case stopping
    /// Done; requests are refused and every other event is ignored.
    case stopped
  }

  let configuration: ShardConfiguration
  let store: any ReplicaStore
  /// The same store, with what it keeps for anti-entropy.
  package let trees: TreeKeeper
  let address: Address
  /// What this shard knows of the cluster.
  public internal(set) var view: ClusterView

  var phase = Phase.created
  var now = Now(instant: Instant(nanoseconds: 0), wallClock: WallClock(microseconds: 0))
  var random: SeededRandom
  var outbox: [ShardEffect] = []
  /// Messages of this shard to itself; they need no encoding and are taken in within the step.
  var inbox: [PeerMessage] = []
  var held: [ShardEvent] = []
  var hasReportedDrained = false
  /// Shard 0: the shards of the stopping node that have drained.
  var drainedShards: Set<ShardIndex> = []
  var deadlines = Deadlines()
  var durability = DurabilityQueue()
  var syncRequested: UInt64 = 0
  var storeFailure: ReplicaStoreFailure?
  var counters = ShardStatistics()

  var membership: Membership?
  /// What must be synced for the membership's state to survive a crash.
  var membershipSequence: UInt64 = 0
  /// The membership's state while the store does not take it.
  var unsavedMembership: Bytes?
  /// The number of the latest view, counted by shard 0; 0 for none.
  var viewNumber: UInt64 = 0
  var isEpochDurable = false
  var hasDeparted = false
  var transferRows: [ShardIndex: (rows: [ClusterStatus.TransferRow], isClosing: Bool)] = [:]

  var vnodes: Vnodes?
  var nextOperation: UInt64
  var clients: Set<RequestID> = []
  var gets: [OperationID: GetOperation] = [:]
  var puts: [OperationID: PutOperation] = [:]
  var forwards: [OperationID: ForwardOperation] = [:]
  var listings: [OperationID: ListOperation] = [:]
  var listPages: [OperationID: ListPage] = [:]
  /// What hedged reads may still spend; see ``hedgeDue(_:)``.
  var hedgeCredit = 100
  var queries: [OperationID: IndexOperation] = [:]
  var keyQueries = KeyQueries()
  var propertyChanges: [OperationID: RequestID] = [:]
  var forwardHistory = ForwardHistory()
  /// Forwarded PUTs whose sender has not been answered yet.
  var forwardedCount = 0

  var handoffs = Handoffs()
  var entropy: EntropyState
  /// What each node was last heard to speak; no entry means the earliest protocol.
  var peerVersions: [NodeID: UInt16] = [:]
  var consensus = ConsensusState()

  var reapQueue = ReapQueue()
  var reaps: [OperationID: ReapOperation] = [:]
  var tombstoneSweep = TombstoneSweep()
  var tombstoneWake = Instant.distantFuture
  var dropSweep: DropSweep?

  /// A shard over an open store; its first event must be ``ShardEvent/start``.
  public init(configuration: ShardConfiguration, store: any ReplicaStore) {
    self.configuration = configuration
    trees = TreeKeeper(store: store)
    self.store = trees
    address = Address(node: configuration.member.id, shard: configuration.shard)
    view = ClusterView(local: configuration.member, ringSize: configuration.ringSize)
    // Two shards given the same seed must still draw different instances and operations.
    random = SeededRandom(
      seed: StableHash.mix(configuration.seed ^ address.node.rawValue)
        &+ UInt64(address.shard.index))
    nextOperation = random.next() >> 1
    handoffs.limits = configuration.handoff
    entropy = EntropyState(scansPerSecond: configuration.entropyScansPerSecond)
  }

  /// When ``ShardEvent/timer`` is due; ``Instant/distantFuture`` when nothing is.
  ///
  /// Stored, not computed: whoever asks after each event must not copy the shard for it.
  public private(set) var nextDeadline = Instant.distantFuture

  private var earliestDeadline: Instant {
    switch phase {
    case .stopped: return .distantFuture
    // Membership takes nothing in before the shard serves.
    case .created, .starting: return deadlines.next
    case .serving, .stopping:
      return min(deadlines.next, membership?.nextDeadline ?? .distantFuture)
    }
  }

  /// Transfers whose every object this shard, the sender, has found at the next owner; for tests
  /// and the simulator.
  package var finishedTransfers: Set<PendingTransfer> { handoffs.completed }

  /// The invariants of what the shard keeps, checked in full; for tests and the simulator.
  package func checkInvariants() { membership?.checkInvariants() }

  /// Takes in one event and appends what must be done about it.
  public mutating func step(
    _ event: ShardEvent, at now: Now, into effects: inout [ShardEffect]
  ) {
    self.now = now
    vnodes?.wallClock = now.wallClock
    switch phase {
    case .stopped: refuse(event)
    case .starting where mustWait(event): hold(event)
    case .created, .starting, .serving, .stopping: take(event)
    }
    drainInbox()
    finishStep()
    drainInbox()
    effects.append(contentsOf: outbox)
    outbox.removeAll(keepingCapacity: true)
    nextDeadline = earliestDeadline
  }

  mutating func take(_ event: ShardEvent) {
    switch event {
    case .start: start()
    case .message(let bytes, let from): receive(bytes, from: from)
    case .request(let id, let request): take(request, id)
    case .requestCancelled(let id): cancel(id)
    case .listingTaken(let id): taken(id)
    case .admin(let id, let command): takeAdmin(command, id)
    case .synced(let sequence): synced(through: sequence)
    case .syncFailed(let failure): syncFailed(failure)
    case .damaged(let lower, let upper, let isValue):
      store.noteDamage(from: lower, to: upper, isValue: isValue)
    case .peerDisconnected(let node): peerDisconnected(node)
    case .peerSpeaks(let version, let node): note(version, of: node)
    case .timer: timerFired()
    case .stop: stop()
    }
  }

  /// Performs one peer message.
  mutating func dispatch(_ message: PeerMessage, from: Address) {
    switch message {
    case .membership(let bytes): stepMembership(.message(bytes, from: from.node))
    case .view(let view, let number): takeView(view, number: number)
    case .viewRequest(let number): sendView(to: from, after: number)
    case .read(let request): serveRead(request, from: from)
    case .readReply(let reply): takeReadReply(reply, from: from)
    case .write(let request): serveWrite(request, from: from)
    case .writeReply(let reply): takeWriteReply(reply, from: from)
    case .forward(let put): serveForward(put, from: from)
    case .forwardReply(let reply): takeForwardReply(reply, from: from)
    case .list(let request): serveList(request, from: from)
    case .listReply(let reply): takeListReply(reply, from: from)
    case .index(let request): serveIndex(request, from: from)
    case .indexReply(let reply): takeIndexReply(reply, from: from)
    case .keyQuery(let message): takeKeyQuery(message, from: from)
    case .handoff(let batch): serveHandoff(batch, from: from)
    case .handoffReceipt(let receipt): takeHandoffReceipt(receipt, from: from)
    case .handoffMessage(let message): takeHandoffMessage(message, from: from)
    case .reap(let message): takeReap(message, from: from)
    case .setProperties(let change): serveProperties(change, from: from)
    case .propertiesStored(let operation): takePropertiesStored(operation)
    case .transferCompleted(let transfer): stepMembership(.transferCompleted(transfer))
    case .transferProgress(let rows, let isClosing):
      takeTransferProgress(rows, isClosing: isClosing, from: from)
    case .drained: takeDrained(from: from)
    case .stopNow: stopNow()
    case .entropy(let message): takeEntropy(message, from: from)
    case .consensus(let message, let cluster): dispatch(message, of: cluster, from: from)
    }
  }

  private mutating func receive(_ bytes: Bytes, from: Address) {
    let message: PeerMessage
    do {
      message = try PeerMessage(decoding: bytes)
    } catch {
      counters.undecodableMessages += 1
      return log(.warning, "dropped a message that does not decode: \(error)")
    }
    guard !message.isWithinNode || from.node == address.node else {
      return log(.warning, "dropped a message that only an own shard may send")
    }
    dispatch(message, from: from)
  }

  mutating func drainInbox() {
    guard phase != .stopped else { return inbox.removeAll() }
    var index = 0
    while index < inbox.count {
      let message = inbox[index]
      index += 1
      dispatch(message, from: address)
    }
    inbox.removeAll(keepingCapacity: true)
  }

  private mutating func finishStep() {
    guard phase != .stopped else { return }
    if let last = durability.lastSequence, last > syncRequested {
      syncRequested = last
      outbox.append(.sync(through: last))
    }
    if phase == .stopping { reportIfDrained() }
    if deadlines.count > 4 * liveOperations + 1024 {
      let shard = self
      deadlines.compact { shard.isLive($0) }
    }
  }

  private mutating func timerFired() {
    if let membership, membership.nextDeadline <= now.instant { stepMembership(.timer) }
    while let deadline = deadlines.popDue(at: now.instant) {
      switch deadline {
      case .tick: tick()
      case .get(let operation): getDue(operation)
      case .hedge(let operation): hedgeDue(operation)
      case .put(let operation): putDue(operation)
      case .forward(let operation): forwardDue(operation)
      case .listing(let operation): listingDue(operation)
      case .listPage(let operation): listPageDue(operation)
      case .index(let operation): indexDue(operation)
      case .keyQuery(let deadline): keyQueryDue(deadline)
      case .properties(let operation): propertiesDue(operation)
      case .consensus(let operation): consensusDue(operation)
      case .consensusQueue(let key): consensusQueueDue(key)
      case .handoff(let partition, let operation, let number):
        answerDue(partition, operation, number: number)
      case .handoffPause(let partition, let operation): resume(partition, operation)
      case .tombstones: tombstonesDue()
      case .drop: dropDue()
      case .reap(let operation): reapDue(operation)
      case .reapDrain(let drain): voteOrWait(drain)
      case .stop: stopNow()
      case .entropy(let deadline): entropyDue(deadline)
      }
      drainInbox()
    }
  }
}

extension Shard {
  /// Sends to a shard, which may be this one.
  mutating func send(_ message: PeerMessage, to target: Address) {
    if target == address {
      inbox.append(message)
    } else if version(of: target.node) >= message.protocolVersion {
      outbox.append(.send(message.encoded(), to: target))
    } else {
      probe("message unknown to its receiver held back")
    }
  }

  /// Sends once everything through `sequence` is durable.
  mutating func send(_ message: PeerMessage, to target: Address, whenSynced sequence: UInt64) {
    if store.sequences.synced >= sequence, durability.count == 0 {
      send(message, to: target)
    } else {
      durability.wait(.message(message, to: target), for: sequence)
    }
  }

  mutating func log(_ level: LogLevel, _ text: String) { outbox.append(.log(level, text)) }

  mutating func probe(_ name: StaticString) { outbox.append(.probe(name)) }

  mutating func newOperation() -> OperationID {
    nextOperation += 1
    return OperationID(rawValue: nextOperation)
  }

  /// True when this shard runs the vnodes of `partition` on its node.
  func runs(_ partition: PartitionID) -> Bool {
    partition.index < view.ring.size
      && configuration.member.shard(of: partition) == configuration.shard
  }

  /// The partitions whose vnodes this shard runs on its node, owned or not.
  var ownPartitions: some Sequence<PartitionID> {
    (0..<view.ring.size).lazy.map { PartitionID($0) }.filter {
      [member = configuration.member, shard = configuration.shard] in
      member.shard(of: $0) == shard
    }
  }

  var liveOperations: Int {
    gets.count + puts.count + forwards.count + listings.count + listPages.count + queries.count
      + keyQueries.count + propertyChanges.count + handoffs.active.count
      * handoffs.limits.windowCount + reaps.count
      + entropy.exchanges.count + entropy.folds.count + consensus.proposals.count
  }

  func isLive(_ deadline: Deadline) -> Bool {
    switch deadline {
    case .tick, .tombstones, .reapDrain, .drop, .stop: true
    case .reap(let operation): reaps[operation] != nil
    case .get(let operation), .hedge(let operation): gets[operation] != nil
    case .put(let operation): puts[operation] != nil
    case .forward(let operation): forwards[operation] != nil
    case .listing(let operation): listings[operation] != nil
    case .listPage(let operation): listPages[operation] != nil
    case .index(let operation): queries[operation] != nil
    case .keyQuery(let deadline): keyQueries.isLive(deadline)
    case .properties(let operation): propertyChanges[operation] != nil
    case .consensus(let operation): consensus.proposals[operation] != nil
    case .consensusQueue(let key): consensus.waiting[key] != nil
    case .handoff(let partition, let operation, let number):
      handoffs.sender(of: partition, operation)?.isWaiting(for: number) ?? false
    case .handoffPause(let partition, let operation):
      handoffs.sender(of: partition, operation) != nil
    case .entropy(let deadline): entropy.isLive(deadline)
    }
  }

  /// Totals since the start; the present values among them are not filled in.
  public var totals: ShardStatistics { counters }

  /// Totals since the start, and present values.
  public var statistics: ShardStatistics {
    var result = counters
    result.requestsActive = clients.count
    result.getsActive = gets.count
    result.putsActive = puts.count
    result.listingsActive = listings.count
    result.queriesActive = queries.count + keyQueries.operations.count
    result.foldsActive = entropy.folds.count
    result.handoffsActive = handoffs.active.count
    result.hintsPending = pendingHints()
    result.seatsMissing = missingSeats
    return result
  }
}

extension PeerMessage {
  /// True for what only shards of one node say to each other.
  var isWithinNode: Bool {
    switch self {
    case .view, .viewRequest, .setProperties, .propertiesStored, .transferCompleted,
      .transferProgress, .drained, .stopNow, .handoffMessage(.limits):
      true
    case .membership, .read, .readReply, .write, .writeReply, .forward, .forwardReply, .list,
      .listReply, .index, .indexReply, .keyQuery, .handoff, .handoffReceipt, .handoffMessage, .reap,
      .consensus:
      false
    case .entropy(let message): message.isWithinNode
    }
  }
}
