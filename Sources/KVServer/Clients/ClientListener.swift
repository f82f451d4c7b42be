import KVBase
import KVCluster
import KVModel
import KVTransport
import Logging
import NIOCore
import Synchronization

/// Serves the Riak protocol-buffers port: each connection gets a session on its event loop and a
/// shard that coordinates its requests, round robin.
///
/// **Concurrency**: any thread.
final class ClientListener: Sendable {
  private let listener: FrameListener
  private let accepted: AcceptCounter

  private init(listener: FrameListener, accepted: AcceptCounter) {
    self.listener = listener
    self.accepted = accepted
  }

  /// The port in use.
  var port: Int { listener.port }

  /// Connections open, accepted so far, and turned away.
  var counts: (active: Int, accepted: Int, refused: Int) {
    (listener.connectionCount, accepted.count, listener.refusedCount)
  }

  /// Listens for clients of the shards.
  static func bind(
    _ configuration: ServerConfiguration, on group: any EventLoopGroup, shards: ShardSet,
    logger: Logger
  ) async throws(ServerError) -> ClientListener {
    var transport = FrameConfiguration()
    transport.maximumFrameBytes = configuration.clientFrameByteLimit
    transport.outboundLimit = max(transport.outboundLimit, configuration.clientFrameByteLimit)
    transport.maximumConnections = configuration.clientConnectionLimit
    var limits = ClientSessionLimits()
    limits.waitingRequests = configuration.clientPipelineLimit
    limits.replyBytes = configuration.clientFrameByteLimit
    let setup = Setup(
      limits: limits, nodeName: configuration.nodeName, inboxes: InboxTable(), shards: shards,
      logger: logger)
    let accepted = AcceptCounter()
    let listener = try await NodeRuntime.listen(
      at: configuration.clientEndpoint, "listen.client", group, transport
    ) { connection in
      accepted.increment()
      return setup.accept(connection)
    }
    return ClientListener(listener: listener, accepted: accepted)
  }

  /// Accepts no more, closes every connection after its last reply, cuts the slow ones.
  func shutdown() async { await listener.shutdown() }
}

/// What all client connections share.
private struct Setup: Sendable {
  var limits: ClientSessionLimits
  var nodeName: String
  var inboxes: InboxTable
  var shards: ShardSet
  var logger: Logger

  func accept(_ connection: FrameConnection) -> FrameReceiver {
    guard let driver = shards.assignDriver() else {
      connection.close()
      return { _ in }
    }
    let client = ClientConnection(
      connection: connection, driver: driver,
      inbox: inboxes.inbox(of: connection.eventLoop), nodeName: nodeName, limits: limits)
    let bound = NIOLoopBound(client, eventLoop: connection.eventLoop)
    return { event in bound.value.receive(event) }
  }
}

/// Connections accepted since the start.
private final class AcceptCounter: Sendable {
  private let value = Atomic<Int>(0)

  var count: Int { value.load(ordering: .relaxed) }

  func increment() { value.add(1, ordering: .relaxed) }
}
