import KVBase
import KVCluster
import KVModel
import KVNode
import KVStorage

/// A small cluster of real shards over real stores in one thread: messages and flushes take seeded
/// times, messages may be lost or doubled, nodes may be cut off, crash and come back.
final class TestCluster {
  struct Faults {
    var drop = 0.0
    var duplicate = 0.0
    var maximumDelay = 2_000
  }

  private struct Item {
    var at: UInt64
    var order: UInt64
    var target: Address
    var generation: Int
    var event: ShardEvent
  }

  let names: [String]
  let shardCount: Int
  var view: ClusterView
  var faults = Faults()
  var isolated: Set<NodeID> = []
  /// By how much the wall clock of each node is ahead.
  var clockSkewSeconds: [UInt64] = [0]
  /// While false, clients take no part of their listings.
  var takesListings = true
  /// While true, batches of handoffs get lost.
  var blockHandoff = false
  private(set) var shards: [Address: Shard] = [:]
  private(set) var stores: [Address: LSMReplicaStore] = [:]
  private(set) var replies: [RequestID: [ClientReply]] = [:]
  private(set) var finals: [RequestID: Int] = [:]
  private(set) var probes: [String: Int] = [:]
  private(set) var logs: [String] = []
  private(set) var stopped: Set<Address> = []
  /// Flushes that have ended, by shard.
  private(set) var flushes: [Address: Int] = [:]
  /// While true, no flush comes to an end.
  var holdsFlushes = false
  var configure: (inout ShardConfiguration) -> Void = { _ in }
  /// What is done to a store before its shard starts on it.
  var prepare: (LSMReplicaStore, ClusterView) throws -> Void = { _, _ in }
  var clock: UInt64 = 1_000_000_000
  /// The peer protocol that each node speaks.
  lazy var versions = names.map { _ in PeerProtocol.latest }
  /// Peer messages that are lost, by a test's choice.
  var isLost: (PeerMessage) -> Bool = { _ in false }
  /// Peer messages between nodes, by kind.
  private(set) var sent: [String: Int] = [:]
  private var files: [Address: CrashableFileSystem] = [:]
  private var generations: [Address: Int] = [:]
  private var queue: [Item] = []
  private var order: UInt64 = 0
  private var random: SeededRandom
  private var nextRequest: UInt64 = 0

  init(nodes: Int = 3, shards: Int = 2, ringSize: Int = 16, seed: UInt64 = 1, members: Int? = nil) {
    names = (0..<nodes).map { "n\($0)@test" }
    shardCount = shards
    random = SeededRandom(seed: seed)
    let all = names.map { Self.member($0, shards) }
    view = ClusterView(local: all[0], ringSize: ringSize)
    view.members = all.sorted { $0.id < $1.id }
    let owners = members ?? nodes
    view.ring = Ring(owners: (0..<ringSize).map { all[$0 % owners].id })
  }

  static func member(_ name: String, _ shards: Int) -> Member {
    Member(
      name: name, endpoint: Endpoint(host: name, port: 8099),
      clientEndpoint: Endpoint(host: name, port: 8087), shardCount: shards, status: .valid)
  }

  func node(_ index: Int) -> NodeID { NodeID(name: names[index]) }

  func address(_ node: Int, _ shard: Int = 0) -> Address {
    Address(node: self.node(node), shard: ShardIndex(shard))
  }

  var addresses: [Address] { generations.keys.sorted() }

  // MARK: Life of nodes

  func start() throws {
    for node in names.indices { try start(node, cleanly: false) }
    try run(milliseconds: 50)
  }

  func start(_ node: Int, cleanly: Bool) throws {
    for shard in 0..<shardCount {
      let address = address(node, shard)
      let file = files[address] ?? CrashableFileSystem()
      files[address] = file
      let store = try Store.open(at: "data", fileSystem: file)
      var configuration = ShardConfiguration(
        member: Self.member(names[node], shardCount), shard: ShardIndex(shard),
        ringSize: view.ring.size, seed: random.next(), startedCleanly: cleanly)
      configuration.handoffInterval = .milliseconds(200)
      // Tests of other repairs must not find their work done.
      configuration.entropyLimit = 0
      configure(&configuration)
      var local = view
      local.local = self.node(node)
      let replicas = LSMReplicaStore(store: store)
      if generations[address] == nil { try prepare(replicas, local) }
      stores[address] = replicas
      shards[address] = Shard(configuration: configuration, store: replicas, fixedView: local)
      generations[address, default: 0] += 1
      enqueue(.start, to: address, after: 0)
      for index in names.indices where index != node {
        enqueue(.peerSpeaks(versions[index], self.node(index)), to: address, after: 1)
      }
    }
  }

  /// Closes the stores of a node that has stopped and starts it again.
  func restart(_ node: Int, cleanly: Bool) throws {
    for shard in 0..<shardCount {
      let address = address(node, shard)
      try stores[address]?.store.close()
      shards[address] = nil
      stores[address] = nil
      stopped.remove(address)
    }
    try start(node, cleanly: cleanly)
  }

  /// Takes the node away as a crash does: what was not synced may be lost.
  func crash(_ node: Int) {
    for shard in 0..<shardCount {
      let address = address(node, shard)
      shards[address] = nil
      stores[address] = nil
      generations[address, default: 0] += 1
      files[address] = files[address]?.crash(random: &random)
    }
  }

  /// Gives a node that does not run an empty disk.
  func loseDisk(_ node: Int) {
    for shard in 0..<shardCount { files[address(node, shard)] = CrashableFileSystem() }
  }

  /// Changes what every running shard knows of the cluster.
  func changeView(_ change: (inout ClusterView) -> Void) {
    change(&view)
    for address in addresses where shards[address] != nil {
      var local = view
      local.local = address.node
      local.unavailable.removeAll { $0 == address.node }
      var effects: [ShardEffect] = []
      shards[address]?.replaceView(local, at: now, into: &effects)
      perform(effects, of: address)
    }
  }

  func setDown(_ nodes: [Int]) { changeView { $0.unavailable = nodes.map(node).sorted() } }

  // MARK: Requests

  @discardableResult
  func submit(_ request: ClientRequest, at node: Int, shard: Int = 0) -> RequestID {
    nextRequest += 1
    let id = RequestID(rawValue: nextRequest)
    finals[id] = 0
    enqueue(.request(id, request), to: address(node, shard), after: 1)
    return id
  }

  func ask(_ request: ClientRequest, at node: Int, shard: Int = 0) throws -> ClientReply {
    let id = submit(request, at: node, shard: shard)
    try run(milliseconds: 70_000) { self.finals[id] != 0 }
    return replies[id]?.last ?? .failure(.storage("no reply"))
  }

  func get(_ key: ObjectKey, at node: Int, shard: Int = 0, r: QuorumValue? = nil) throws
    -> KVObject?
  {
    var options = GetOptions()
    options.r = r
    guard case .object(let object) = try ask(.get(key, options), at: node, shard: shard) else {
      return nil
    }
    return object
  }

  @discardableResult
  func put(
    _ key: ObjectKey, _ value: String, context: VersionVector = VersionVector(), at node: Int,
    shard: Int = 0, _ options: PutOptions = PutOptions()
  ) throws -> ClientReply {
    let content = Content(value: Bytes(value.utf8))
    return try ask(
      .put(key, context: context, content, options), at: node, shard: shard)
  }

  func list(_ request: ClientRequest, at node: Int) throws -> (names: [String], last: ClientReply) {
    let id = submit(request, at: node)
    try run(milliseconds: 70_000) { self.finals[id] != 0 }
    var names: [String] = []
    for reply in replies[id] ?? [] {
      if case .keys(let keys, _) = reply {
        names += keys.map { String(decoding: $0, as: UTF8.self) }
      }
      if case .buckets(let buckets, _) = reply {
        names += buckets.map { String(decoding: $0, as: UTF8.self) }
      }
    }
    return (names.sorted(), replies[id]?.last ?? .failure(.storage("no reply")))
  }

  // MARK: Running

  var now: Now {
    Now(
      instant: Instant(nanoseconds: clock),
      wallClock: WallClock(microseconds: 1_700_000_000_000_000 + clock / 1000))
  }

  /// Runs until the condition holds, at the latest until the time has passed.
  func run(milliseconds: UInt64, until isDone: () -> Bool = { false }) throws {
    let end = clock + milliseconds * 1_000_000
    while clock < end, !isDone() {
      let timer = addresses.compactMap { address in
        shards[address].map { ($0.nextDeadline.nanoseconds, address) }
      }.min { $0.0 < $1.0 }
      let index = queue.indices.min {
        (queue[$0].at, queue[$0].order) < (queue[$1].at, queue[$1].order)
      }
      let next = index.map { queue[$0].at } ?? UInt64.max
      if let timer, timer.0 < next {
        guard timer.0 <= end else { break }
        clock = max(clock, timer.0)
        step(.timer, at: timer.1)
      } else if let index {
        guard next <= end else { break }
        let item = queue.remove(at: index)
        clock = max(clock, item.at)
        guard generations[item.target] == item.generation else { continue }
        try deliver(item)
      } else {
        break
      }
    }
    if !isDone() { clock = max(clock, end) }
  }

  private func deliver(_ item: Item) throws {
    var event = item.event
    if case .synced(let sequence) = item.event {
      if holdsFlushes { return enqueue(item.event, to: item.target, after: 1_000) }
      do throws(StorageError) {
        if let store = stores[item.target]?.store, store.syncedSequence.rawValue < sequence {
          flushes[item.target, default: 0] += 1
          // One flush takes all that has been appended by then.
          try store.sync(through: store.appendedSequence)
        }
      } catch {
        guard error.code == .diskFull else { throw error }
        event = .syncFailed(
          ReplicaStoreFailure(code: error.code.rawValue, description: error.description))
      }
    }
    step(event, at: item.target)
  }

  private func step(_ event: ShardEvent, at address: Address) {
    var effects: [ShardEffect] = []
    let index = names.firstIndex { NodeID(name: $0) == address.node } ?? 0
    var local = now
    local.wallClock.microseconds += 1_000_000 * clockSkewSeconds[index % clockSkewSeconds.count]
    files[address]?.setSecondsSinceEpoch(local.wallClock.microseconds / 1_000_000)
    shards[address]?.step(event, at: local, into: &effects)
    perform(effects, of: address)
  }

  private func perform(_ effects: [ShardEffect], of address: Address) {
    for effect in effects {
      switch effect {
      case .send(let bytes, let target): transmit(bytes, from: address, to: target)
      case .sendToEndpoint: break
      case .reply(let id, let reply, let isFinal):
        replies[id, default: []].append(reply)
        if isFinal {
          finals[id, default: 0] += 1
        } else if takesListings {
          enqueue(.listingTaken(id), to: address, after: 50)
        }
      case .adminReply: break
      case .sync(let sequence):
        enqueue(.synced(through: sequence), to: address, after: UInt64(100 + random.below(1000)))
      case .log(let level, let text):
        if level == .error || level == .warning { logs.append(text) }
      case .probe(let name): probes["\(name)", default: 0] += 1
      case .stopped: stopped.insert(address)
      }
    }
  }

  /// Has a shard say something to another.
  func send(_ message: PeerMessage, from: Address, to target: Address) {
    transmit(message.encoded(), from: from, to: target)
  }

  private func transmit(_ bytes: Bytes, from: Address, to target: Address) {
    let isLocal = from.node == target.node
    if !isLocal, isolated.contains(from.node) || isolated.contains(target.node) { return }
    if !isLocal, random.chance(faults.drop) { return }
    if !isLocal, let message = try? PeerMessage(decoding: bytes) {
      sent[Self.kind(of: message), default: 0] += 1
      if isLost(message) { return }
    }
    if blockHandoff {
      switch try? PeerMessage(decoding: bytes) {
      case .handoff, .handoffMessage: return
      default: break
      }
    }
    let copies = !isLocal && random.chance(faults.duplicate) ? 2 : 1
    for _ in 0..<copies {
      let delay = isLocal ? 5 : UInt64(50 + random.below(faults.maximumDelay))
      enqueue(.message(bytes, from: from), to: target, after: delay)
    }
  }

  private static func kind(of message: PeerMessage) -> String {
    if case .handoff(let batch) = message { return batch.entries.isEmpty ? "empty" : "handoff" }
    if case .handoffMessage(let message) = message {
      return String(describing: message).prefix { $0 != "(" }.description
    }
    return String(describing: message).prefix { $0 != "(" }.description
  }

  private func enqueue(_ event: ShardEvent, to target: Address, after microseconds: UInt64) {
    order += 1
    queue.append(
      Item(
        at: clock + microseconds * 1000, order: order, target: target,
        generation: generations[target] ?? 0, event: event))
  }

  func sendStop(_ node: Int) {
    for shard in 0..<shardCount { enqueue(.stop, to: address(node, shard), after: 1) }
  }

  // MARK: What is stored

  func stored(_ key: ObjectKey, _ partition: PartitionID, on node: NodeID) throws -> KVObject? {
    guard let place = view.address(of: partition, on: node),
      let bytes = try stores[place]?.object(key, in: partition)
    else { return nil }
    return try KVObject(encoded: bytes)
  }

  /// The objects at the key's primaries, nil where there is none.
  func primaries(of key: ObjectKey, n: Int = 3) throws -> [KVObject?] {
    try view.ring.preferencePartitions(of: key, n: n).map {
      try stored(key, $0, on: view.ring.owner(of: $0))
    }
  }

  func total(_ counter: (ShardStatistics) -> Int) -> Int {
    addresses.reduce(0) { $0 + (shards[$1].map { counter($0.statistics) } ?? 0) }
  }
}

extension KVObject {
  var values: [String] {
    siblings.filter { !$0.content.isTombstone }
      .map { String(decoding: $0.content.value, as: UTF8.self) }.sorted()
  }
}
