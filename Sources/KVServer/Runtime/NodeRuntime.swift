import Foundation
import KVBase
package import KVCluster
package import KVModel
import KVNode
import KVTransport
public import Logging
import NIOCore
import NIOPosix
import Synchronization

/// A whole node in this process: stores, shards on threads, peers, clients and HTTP.
///
/// ```
/// var configuration = ServerConfiguration()
/// configuration.dataDirectory = "/var/lib/spinekv"
/// let node = try await NodeRuntime.start(configuration, logger: logger)
/// …
/// try await node.stop()
/// ```
///
/// Start order: directory and lock, stores (recovery), listeners, shards. Stop order: no new
/// connections, replies of requests under way, shards (which flush), peers, stores, the mark of a
/// clean stop, the lock.
///
/// **Concurrency**: every method from any thread or task.
public final class NodeRuntime: Sendable {
  /// The settings the node runs with.
  public let configuration: ServerConfiguration
  /// The protobuf port in use.
  public var clientPort: Int { clients.port }
  /// The HTTP port in use.
  public var httpPort: Int { http.port }
  /// The peer port in use.
  public var peerPort: Int { peerListener.port }

  private let directory: NodeDirectory
  private let shards: ShardSet
  private let stores: [ShardStore]
  private let scrubber: Scrubber
  private let peerListener: FrameListener
  private let clients: ClientListener
  private let http: HTTPService
  private let group: MultiThreadedEventLoopGroup
  private let logger: Logger
  private let stopping = Atomic<Bool>(false)

  private init(
    configuration: ServerConfiguration, directory: NodeDirectory, shards: ShardSet,
    stores: [ShardStore], scrubber: Scrubber, peerListener: FrameListener, clients: ClientListener,
    http: HTTPService, group: MultiThreadedEventLoopGroup, logger: Logger
  ) {
    self.configuration = configuration
    self.directory = directory
    self.shards = shards
    self.stores = stores
    self.scrubber = scrubber
    self.peerListener = peerListener
    self.clients = clients
    self.http = http
    self.group = group
    self.logger = logger
  }

  // MARK: Start

  /// Starts a node and returns when it serves.
  ///
  /// - Throws: a ``ServerError`` that says what to change.
  public static func start(
    _ configuration: ServerConfiguration, logger: Logger
  ) async throws(ServerError) -> NodeRuntime {
    let began = SystemClock.instant()
    let processors = ProcessInfo.processInfo.activeProcessorCount
    let directory = try NodeDirectory.open(configuration, processorCount: processors)
    let stores: [ShardStore]
    do throws(ServerError) {
      stores = try openStores(directory, configuration, logger)
    } catch {
      directory.release()
      throw error
    }
    logger.info(
      "opened \(stores.count) shards in \(directory.path)",
      metadata: [
        "clean": "\(directory.startedCleanly)",
        "milliseconds": "\((SystemClock.instant() - began).wholeMilliseconds)",
      ])
    let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, min(processors, 16)))
    do throws(ServerError) {
      let node = try await serve(configuration, directory, stores, group, logger)
      logger.info(
        "serving clients on port \(node.clientPort), HTTP on \(node.httpPort), peers on \(node.peerPort)"
      )
      return node
    } catch {
      try? await group.shutdownGracefully()
      for store in stores { try? store.close() }
      directory.release()
      throw error
    }
  }

  private static func openStores(
    _ directory: NodeDirectory, _ configuration: ServerConfiguration, _ logger: Logger
  ) throws(ServerError) -> [ShardStore] {
    let paths = (0..<directory.identity.shardCount).map { directory.storePath(of: ShardIndex($0)) }
    let fileSystem = try StoreFiles.open(configuration, stores: paths, logger)
    var stores: [ShardStore] = []
    for path in paths {
      stores.append(
        try ShardStore(
          path: path, fileSystem: fileSystem, configuration: configuration,
          nodeStoppedCleanly: directory.startedCleanly))
    }
    return stores
  }

  private static func serve(
    _ configuration: ServerConfiguration, _ directory: NodeDirectory, _ stores: [ShardStore],
    _ group: MultiThreadedEventLoopGroup, _ logger: Logger
  ) async throws(ServerError) -> NodeRuntime {
    let shards = ShardSet(logger: logger)
    let peerListener = try await listen(
      at: configuration.peerEndpoint, "listen.peer", group,
      PeerNetwork.transport(configuration)
    ) { shards.acceptPeer($0) }
    let memory = MemoryBudget(limit: configuration.clientMemoryByteLimit)
    let clients = try await ClientListener.bind(
      configuration, on: group, shards: shards, memory: memory)
    let member = member(configuration, directory.identity, peerListener.port, clients.port)
    let network = PeerNetwork(
      local: member, configuration: configuration, group: group, handlers: shards.peerHandlers)
    let drivers = stores.enumerated().map { index, store in
      ShardDriver(
        configuration: shardConfiguration(
          configuration, member, ShardIndex(index), directory, startedCleanly: store.isIntact),
        store: store.replicaStore, limits: configuration, surroundings: shards,
        sync: { (sequence) throws(ReplicaStoreFailure) in try store.sync(through: sequence) })
    }
    shards.begin(member: member, drivers: drivers, network: network)
    let started = SystemClock.instant()
    let interface = HTTPInterface(
      node: HTTPInterface.Node(
        administer: { await shards.administer($0, timeout: configuration.adminTimeout) },
        statistics: { [weak clients] in
          await shards.statistics(
            uptime: SystemClock.instant() - started, clients: clients?.counts ?? .init(),
            storage: ShardStore.figures(of: stores), dataDirectory: configuration.dataDirectory)
        },
        replies: { shards.replies(to: $0) },
        entropy: { await shards.entropyStatus(timeout: configuration.adminTimeout) },
        memory: memory),
      configuration: configuration)
    let http = try await HTTPService.start(interface, on: group, logger: logger)
    let scrubber = Scrubber(
      stores, bytesPerSecond: configuration.scrubByteRate, logger: logger
    ) { drivers[$0].deliverDamage($1) }
    scrubber.start()
    return NodeRuntime(
      configuration: configuration, directory: directory, shards: shards, stores: stores,
      scrubber: scrubber, peerListener: peerListener, clients: clients, http: http, group: group,
      logger: logger)
  }

  /// Binds a frame listener, with an error that names the setting.
  static func listen(
    at endpoint: Endpoint, _ setting: String, _ group: any EventLoopGroup,
    _ transport: FrameConfiguration, accept: @escaping @Sendable (FrameConnection) -> FrameReceiver
  ) async throws(ServerError) -> FrameListener {
    do throws(TransportError) {
      return try await FrameListener.bind(
        host: endpoint.host, port: Int(endpoint.port), on: group, configuration: transport,
        accept: accept)
    } catch {
      throw ServerError(.bind, error.message, context: setting)
    }
  }

  private static func member(
    _ configuration: ServerConfiguration, _ identity: NodeDirectory.Identity, _ peerPort: Int,
    _ clientPort: Int
  ) -> Member {
    var peer = configuration.publicPeerEndpoint
    if peer.port == 0 { peer.port = UInt16(clamping: peerPort) }
    var client = configuration.publicClientEndpoint
    if client.port == 0 { client.port = UInt16(clamping: clientPort) }
    return Member(
      name: identity.name, endpoint: peer, clientEndpoint: client,
      shardCount: identity.shardCount, shardLayout: identity.shardLayout, status: .valid,
      location: configuration.location)
  }

  private static func shardConfiguration(
    _ configuration: ServerConfiguration, _ member: Member, _ shard: ShardIndex,
    _ directory: NodeDirectory, startedCleanly: Bool
  ) -> ShardConfiguration {
    var result = ShardConfiguration(
      member: member, shard: shard, ringSize: directory.identity.ringSize,
      seed: SystemClock.seed(), startedCleanly: startedCleanly)
    result.syncByDefault = configuration.syncByDefault
    result.requestTimeout = configuration.requestTimeout
    result.requestLimit = configuration.requestLimit
    result.objectByteLimit = configuration.objectByteLimit
    result.siblingLimit = configuration.siblingLimit
    result.objectByteWarning = configuration.objectByteWarning
    result.siblingWarning = configuration.siblingWarning
    result.deleteMode = configuration.shardDeleteMode
    result.deleteMemory = configuration.deleteMemory
    result.tombstoneScanCount = configuration.tombstoneScanCount
    result.inlineByteLimit = configuration.inlineByteLimit
    result.probeInterval = configuration.probeInterval
    result.probeTimeout = configuration.probeTimeout
    result.suspicionTimeout = configuration.suspicionTimeout
    result.gossipInterval = configuration.gossipInterval
    result.handoffInterval = configuration.handoffInterval
    result.handoff.concurrency = configuration.handoffLimit
    result.handoff.bytesPerSecond = configuration.handoffByteRate
    return result
  }

  // MARK: Use

  /// Runs an operator's command; nil when the node does not answer in time.
  package func administer(_ command: AdminCommand) async -> AdminReply? {
    await shards.administer(command, timeout: configuration.adminTimeout)
  }

  /// Runs one client request in this process and returns its replies, the last one final.
  package func perform(_ request: ClientRequest) async -> [ClientReply] {
    var all: [ClientReply] = []
    for await reply in shards.replies(to: request) { all.append(reply) }
    return all
  }

  // MARK: Stop

  /// Stops in order; everything acknowledged is on disk afterwards.
  ///
  /// - Throws: `stopTimeout` or `store` when that could not be done in order; the next start then
  ///   recovers as after a crash.
  public func stop() async throws(ServerError) {
    guard !stopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
    logger.info("stopping")
    defer { directory.release() }
    let deadline = SystemClock.instant() + configuration.stopTimeout
    scrubber.stop()
    await http.stop()
    // Half of the time is for clients, so that the shards have some left.
    await clients.drain(for: configuration.stopTimeout / 2)
    await peerListener.stopAccepting()
    let inOrder = await shards.stop(until: deadline)
    await peerListener.shutdown(grace: .milliseconds(200))
    try? await group.shutdownGracefully()
    guard inOrder else {
      throw ServerError(
        .stopTimeout, "shards did not finish within node.stop_timeout", context: directory.path)
    }
    for store in stores { try store.close(afterServing: true) }
    try directory.markCleanShutdown()
    logger.info("stopped in order")
  }
}
