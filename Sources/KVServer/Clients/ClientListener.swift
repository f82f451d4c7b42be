import KVBase
import KVCluster
import KVModel
import KVProtocol
import KVTransport
import NIOCore
import Synchronization

/// Serves the Riak protocol-buffers port: each connection gets a session on its event loop and a
/// shard that coordinates its requests, round robin.
///
/// **Concurrency**: any thread.
final class ClientListener: Sendable {
  private let listener: FrameListener
  private let clients: ClientTable

  private init(listener: FrameListener, clients: ClientTable) {
    self.listener = listener
    self.clients = clients
  }

  /// The port in use.
  var port: Int { listener.port }

  /// Connections open, accepted so far and in the last minute, and turned away.
  var counts: Counts {
    let (accepted, recent) = clients.acceptedCounts
    return Counts(
      active: listener.connectionCount, accepted: accepted, recent: recent,
      refused: listener.refusedCount)
  }

  /// See ``counts``.
  struct Counts: Sendable {
    var active = 0
    var accepted = 0
    var recent = 0
    var refused = 0
  }

  /// Listens for clients of the shards.
  static func bind(
    _ configuration: ServerConfiguration, on group: any EventLoopGroup, shards: ShardSet,
    memory: MemoryBudget
  ) async throws(ServerError) -> ClientListener {
    var transport = FrameConfiguration()
    transport.maximumFrameBytes = configuration.clientFrameByteLimit
    transport.outboundLimit = max(transport.outboundLimit, configuration.clientFrameByteLimit)
    transport.maximumConnections = configuration.clientConnectionLimit
    transport.memory = memory
    transport.frameTimeout = configuration.clientFrameTimeout
    var limits = ClientSessionLimits()
    limits.waitingRequests = configuration.clientPipelineLimit
    limits.replyBytes = configuration.clientFrameByteLimit
    limits.disabledJobs = configuration.disabledJobs
    limits.memory = memory
    let clients = ClientTable()
    let setup = Setup(
      limits: limits, nodeName: configuration.nodeName, inboxes: InboxTable(), shards: shards,
      clients: clients)
    let listener = try await NodeRuntime.listen(
      at: configuration.clientEndpoint, "listen.client", group, transport
    ) { setup.accept($0) }
    return ClientListener(listener: listener, clients: clients)
  }

  /// Accepts no more connections and reads no more requests, closes each connection after its last
  /// reply, and cuts those that are still open after the time given.
  func drain(for limit: Duration) async {
    await listener.stopAccepting()
    clients.drainAll()
    let deadline = ContinuousClock.now + limit
    while listener.connectionCount > 0, ContinuousClock.now < deadline {
      try? await Task.sleep(for: .milliseconds(5))
    }
    await listener.shutdown(grace: .zero)
  }
}

extension ServerConfiguration {
  /// The classes of operations that the settings switch off.
  var disabledJobs: Set<JobClass> {
    var result: Set<JobClass> = []
    if !allowsListBuckets { result.formUnion([.listBuckets, .streamListBuckets]) }
    if !allowsListKeys { result.insert(.streamListKeys) }
    if !allowsSecondaryIndex { result.formUnion([.secondaryIndex, .streamSecondaryIndex]) }
    if !allowsMapReduce { result.insert(.mapReduce) }
    return result
  }
}

/// What all client connections share.
private struct Setup: Sendable {
  var limits: ClientSessionLimits
  var nodeName: String
  var inboxes: InboxTable
  var shards: ShardSet
  var clients: ClientTable

  func accept(_ connection: FrameConnection) -> FrameReceiver {
    guard let driver = shards.assignDriver() else {
      connection.close()
      return { _ in }
    }
    let client = ClientConnection(
      connection: connection, shards: shards, driver: driver,
      inbox: inboxes.inbox(of: connection.eventLoop), nodeName: nodeName, limits: limits)
    let bound = NIOLoopBound(client, eventLoop: connection.eventLoop)
    clients.add(
      connection.id, NIOLoopBound(WeakReference(client), eventLoop: connection.eventLoop),
      on: connection.eventLoop)
    return { [clients] event in
      bound.value.receive(event)
      if case .closed = event { clients.remove(connection.id) }
    }
  }
}

/// The open client connections.
private final class ClientTable: Sendable {
  private struct Entry {
    var client: NIOLoopBound<WeakReference<ClientConnection>>
    var eventLoop: any EventLoop
  }

  private struct State {
    var open: [UInt64: Entry] = [:]
    var accepted = 0
    /// Connections accepted in slices of ten seconds.
    var slices: [UInt64: Int] = [:]
  }

  private let state = Mutex(State())

  /// Connections accepted since the start, and in the last minute with up to ten seconds more.
  var acceptedCounts: (all: Int, recent: Int) {
    let slice = Self.slice
    return state.withLock { state in
      state.slices = state.slices.filter { $0.key + 7 > slice }
      return (state.accepted, state.slices.values.reduce(0, +))
    }
  }

  private static var slice: UInt64 { SystemClock.instant().nanoseconds / 10_000_000_000 }

  func add(
    _ id: UInt64, _ client: NIOLoopBound<WeakReference<ClientConnection>>,
    on eventLoop: any EventLoop
  ) {
    let slice = Self.slice
    state.withLock { state in
      state.open[id] = Entry(client: client, eventLoop: eventLoop)
      state.accepted += 1
      if state.slices[slice] == nil { state.slices = state.slices.filter { $0.key + 7 > slice } }
      state.slices[slice, default: 0] += 1
    }
  }

  func remove(_ id: UInt64) { state.withLock { _ = $0.open.removeValue(forKey: id) } }

  func drainAll() {
    for entry in state.withLock({ Array($0.open.values) }) {
      entry.eventLoop.execute { entry.client.value.object?.drain() }
    }
  }
}
