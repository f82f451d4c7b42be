import KVBase
import KVCluster
import KVModel
import KVNode
import KVTransport
import Logging
import Synchronization

/// A node's shards and what lies between them: messages from shard to shard, to and from peers, and
/// the choice of a shard for each client connection.
///
/// **Concurrency**: any thread. ``begin(member:drivers:network:)`` is called once; what arrives before
/// it is dropped, and connections that come so early are closed.
final class ShardSet: ShardSurroundings {
  private struct Parts {
    var member: Member
    var drivers: [ShardDriver]
    var network: PeerNetwork
  }

  private let parts = OnceCell<Parts>()
  private let routes = Mutex<[ShardIndex?]>([])
  private let nextConnection = Atomic<Int>(0)
  private let logger: Logger

  init(logger: Logger) { self.logger = logger }

  /// Starts the shards.
  func begin(member: Member, drivers: [ShardDriver], network: PeerNetwork) {
    parts.set(Parts(member: member, drivers: drivers, network: network))
    for driver in drivers { driver.start() }
  }

  /// The shard for a new client connection, round robin; nil before the node is ready.
  func assignDriver() -> ShardDriver? {
    guard let drivers = parts.value?.drivers else { return nil }
    let number = nextConnection.wrappingAdd(1, ordering: .relaxed).oldValue
    return drivers[number % drivers.count]
  }

  /// The shard for a request: one that has a primary of the request's key, so that nothing has to
  /// pass from shard to shard; nil when none of this node has, or the request is not of one key.
  func driver(for request: ClientRequest) -> ShardDriver? {
    guard let key = request.key, let drivers = parts.value?.drivers, drivers.count > 1 else {
      return nil
    }
    let shard = routes.withLock { routes in
      routes.isEmpty
        ? nil : routes[Ring.firstPartition(of: key, ringSize: routes.count).index]
    }
    return shard.map { drivers[$0.index] }
  }

  // MARK: Effects of the shards

  func send(_ message: Bytes, from shard: ShardIndex, to address: Address) {
    guard let parts = parts.value else { return }
    if address.node == parts.member.id {
      deliver(message, from: Address(node: address.node, shard: shard), to: address.shard)
    } else {
      parts.network.send(message, from: shard, to: address)
    }
  }

  func send(_ message: Bytes, from shard: ShardIndex, to endpoint: Endpoint) {
    parts.value?.network.send(message, from: shard, to: endpoint)
  }

  func viewChanged(_ view: ClusterView) {
    guard let parts = parts.value else { return }
    parts.network.setMembers(view.members)
    let table = view.shards(of: parts.member, within: Self.routedPartitions)
    routes.withLock { $0 = table }
  }

  /// As many partitions as most buckets keep copies: behind them no primary is looked for.
  private static let routedPartitions = 3

  func log(_ level: LogLevel, _ text: String, shard: ShardIndex) {
    logger.log(
      level: Self.level(level), "\(text)", metadata: ["shard": "\(shard.index)"])
  }

  private static func level(_ level: LogLevel) -> Logger.Level {
    switch level {
    case .debug: .debug
    case .info: .info
    case .warning: .warning
    case .error: .error
    }
  }

  // MARK: Peers

  /// What the peer network reports.
  var peerHandlers: PeerNetwork.Handlers {
    PeerNetwork.Handlers(
      deliver: { [weak self] in self?.deliver($0, from: $1, to: $2) },
      disconnected: { [weak self] node in
        for driver in self?.parts.value?.drivers ?? [] { driver.deliverDisconnect(of: node) }
      },
      speaks: { [weak self] version, node in
        for driver in self?.parts.value?.drivers ?? [] {
          driver.deliver(version, spokenBy: node)
        }
      },
      log: { [logger] in logger.log(level: Self.level($0), "\($1)") })
  }

  /// The receiver of a connection that a peer made; closes it while the node is starting.
  func acceptPeer(_ connection: FrameConnection) -> FrameReceiver {
    if let network = parts.value?.network { return network.accept(connection) }
    connection.close()
    return { _ in }
  }

  private func deliver(_ message: Bytes, from address: Address, to shard: ShardIndex) {
    guard let drivers = parts.value?.drivers, drivers.indices.contains(shard.index) else { return }
    drivers[shard.index].deliver(message, from: address)
  }

  // MARK: Requests of this process

  /// Runs an operator's command on the membership shard; nil when it does not answer in time.
  func administer(_ command: AdminCommand, timeout: Duration) async -> AdminReply? {
    guard let driver = parts.value?.drivers.first else { return nil }
    return await firstAnswer(within: timeout) { answer in
      driver.administer(command) { answer($0) }
    }
  }

  /// Runs one client request; it is given up when nobody takes its replies any more.
  func replies(to request: ClientRequest) -> ReplyStream {
    guard let driver = driver(for: request) ?? assignDriver() else {
      return ReplyStream(.failure(.overload))
    }
    let (replies, continuation) = AsyncStream.makeStream(of: ClientReply.self)
    let id = driver.submit(request, byteCount: request.approximateByteCount) { reply, isFinal in
      continuation.yield(reply)
      if isFinal { continuation.finish() }
    }
    guard let id else { return ReplyStream(.failure(.overload)) }
    continuation.onTermination = { if case .cancelled = $0 { driver.cancel(id) } }
    return ReplyStream(replies) { driver.takenListing(id) }
  }

  /// The counters of all shards and of what surrounds them.
  func statistics(
    uptime: Duration, clients: ClientListener.Counts, storage: [(name: String, value: Int)],
    dataDirectory: String
  ) async -> NodeStatistics {
    var snapshots: [ShardSnapshot] = []
    for driver in parts.value?.drivers ?? [] {
      let snapshot = await firstAnswer(within: .seconds(5)) { answer in
        driver.inspect { answer($0) }
      }
      if let snapshot { snapshots.append(snapshot) }
    }
    var status: ClusterStatus?
    if case .status(let found)? = await administer(.status, timeout: .seconds(5)) {
      status = found
    }
    return NodeStatistics(
      node: parts.value?.member.name ?? "", uptime: uptime, shards: snapshots, status: status,
      connectedClients: clients.active, refusedClients: clients.refused,
      acceptedClients: clients.accepted, peers: parts.value?.network.counts ?? (0, 0, 0),
      storage: storage, recentClients: clients.recent, dataDirectory: dataDirectory)
  }

  /// What the anti-entropy of each shard has done; nil when a shard does not answer in time.
  func entropyStatus(timeout: Duration) async -> [EntropyStatus]? {
    var all: [EntropyStatus] = []
    for driver in parts.value?.drivers ?? [] {
      let status = await firstAnswer(within: timeout) { answer in
        driver.inspectEntropy { answer($0) }
      }
      guard let status else { return nil }
      all.append(status)
    }
    return all
  }

  // MARK: Stop

  /// Stops every shard, then the outgoing connections; false when a shard did not finish in time.
  func stop(until deadline: Instant) async -> Bool {
    guard let parts = parts.value else { return true }
    let drivers = parts.drivers
    for driver in drivers { driver.requestStop() }
    let inOrder = await withCheckedContinuation { continuation in
      // The wait blocks, so it has a thread of its own.
      startThread("stop") {
        continuation.resume(
          returning: drivers.reduce(true) { $1.waitUntilStopped(until: deadline) && $0 })
      }
    }
    parts.network.close()
    return inOrder
  }
}

/// A value that is set once and read without a lock afterwards.
final class OnceCell<Value: Sendable>: @unchecked Sendable {
  // Written once, before `isSet` is released; read only after it was acquired.
  private var stored: Value?
  private let isSet = Atomic<Bool>(false)

  var value: Value? { isSet.load(ordering: .acquiring) ? stored : nil }

  func set(_ value: Value) {
    precondition(!isSet.load(ordering: .acquiring), "a once-cell is set twice")
    stored = value
    isSet.store(true, ordering: .releasing)
  }
}

/// Waits for one call of the closure handed out, at most for the time given.
///
/// `start` returns false when there will be none.
func firstAnswer<Value: Sendable>(
  within timeout: Duration, _ start: (@escaping @Sendable (Value) -> Void) -> Bool
) async -> Value? {
  await withCheckedContinuation { (continuation: CheckedContinuation<Value?, Never>) in
    let box = ContinuationBox(continuation)
    let timer = Task {
      // A cancelled sleep throws: the answer is there.
      if (try? await Task.sleep(for: timeout)) != nil { box.resume(nil) }
    }
    let started = start { value in
      box.resume(value)
      timer.cancel()
    }
    if !started {
      timer.cancel()
      box.resume(nil)
    }
  }
}

/// A continuation that the first of several callers resumes.
private final class ContinuationBox<Value: Sendable>: Sendable {
  private let waiting: Mutex<CheckedContinuation<Value?, Never>?>

  init(_ continuation: CheckedContinuation<Value?, Never>) { waiting = Mutex(continuation) }

  func resume(_ value: Value?) {
    let continuation = waiting.withLock { waiting in
      defer { waiting = nil }
      return waiting
    }
    continuation?.resume(returning: value)
  }
}
