import Synchronization
public import NIOCore
import NIOPosix

/// What the owner of a new connection returns: the receiver of its events.
public typealias FrameReceiver = @Sendable (FrameEvent) -> Void

/// Accepts frame connections on one address.
///
/// **Concurrency**: any thread. The acceptor given to ``bind(host:port:on:configuration:accept:)`` is
/// called on the new connection's event loop, before its first event.
public final class FrameListener: Sendable {
  private let channel: any Channel
  private let connections: ConnectionTable

  private init(channel: any Channel, connections: ConnectionTable) {
    self.channel = channel
    port = channel.localAddress?.port ?? 0
    self.connections = connections
  }

  /// The port listened on; differs from the one asked for when that was 0.
  public let port: Int

  /// The number of connections open now.
  public var connectionCount: Int { connections.count }

  /// The number of connections turned away because too many were open.
  public var refusedCount: Int { connections.refusedCount }

  /// Listens on `host` and `port`.
  ///
  /// - Parameters:
  ///   - host: a name or address to listen on.
  ///   - port: 0 lets the system choose.
  ///   - group: the event loops that serve the connections, round robin.
  ///   - configuration: limits of the listener and of its connections.
  ///   - accept: told each new connection; returns the receiver of its events.
  /// - Throws: `bindFailed`.
  public static func bind(
    host: String, port: Int, on group: any EventLoopGroup,
    configuration: FrameConfiguration = FrameConfiguration(),
    accept: @escaping @Sendable (FrameConnection) -> FrameReceiver
  ) async throws(TransportError) -> FrameListener {
    let table = ConnectionTable(limit: configuration.maximumConnections)
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: configuration.backlog)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.socketOption(.so_keepalive), value: 1)
      .childChannelInitializer { channel in
        guard let id = table.admit() else {
          return channel.eventLoop.makeFailedFuture(ChannelError.connectPending)
        }
        let connection = FrameConnection(id: id, channel: channel, configuration: configuration)
        table.add(connection)
        channel.closeFuture.whenComplete { _ in table.remove(connection) }
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            FrameHandler(connection: connection, receive: accept(connection)))
        }
      }
    do {
      let channel = try await bootstrap.bind(host: host, port: port).get()
      return FrameListener(channel: channel, connections: table)
    } catch {
      throw TransportError(.bindFailed, "cannot listen on \(host):\(port): \(error)")
    }
  }

  /// Stops accepting; open connections go on.
  public func stopAccepting() async {
    try? await channel.close().get()
  }

  /// Stops accepting, closes every connection after its queued replies have gone, and cuts those that
  /// are still open after `grace`.
  public func shutdown(grace: Duration = .seconds(2)) async {
    await stopAccepting()
    for connection in connections.all { connection.close() }
    let deadline = ContinuousClock.now + grace
    while connections.count > 0, ContinuousClock.now < deadline {
      try? await Task.sleep(for: .milliseconds(10))
    }
    for connection in connections.all { connection.abort() }
  }
}

/// Opens frame connections.
public enum FrameDialer {
  /// Connects to `host` and `port`.
  ///
  /// - Parameters:
  ///   - host: a name or address.
  ///   - port: the port.
  ///   - group: the event loops of which one serves the connection.
  ///   - configuration: limits, and the time-out.
  ///   - accept: told the new connection, on its event loop; returns the receiver of its events.
  ///   - completion: told the outcome once, on an event loop; after `accept`.
  public static func connect(
    host: String, port: Int, on group: any EventLoopGroup,
    configuration: FrameConfiguration = FrameConfiguration(),
    accept: @escaping @Sendable (FrameConnection) -> FrameReceiver,
    completion: @escaping @Sendable (Result<FrameConnection, TransportError>) -> Void
  ) {
    // Nothing is read before the handler is there to take it.
    ClientBootstrap(group: group)
      .channelOption(.autoRead, value: false)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .connectTimeout(TimeAmount(configuration.connectTimeout))
      .connect(host: host, port: port)
      .flatMap { channel in
        channel.eventLoop.submit {
          let connection = FrameConnection(
            id: ConnectionTable.nextID(), channel: channel, configuration: configuration)
          let operations = channel.pipeline.syncOperations
          try operations.addHandler(
            FrameHandler(connection: connection, receive: accept(connection)))
          try channel.syncOptions?.setOption(.autoRead, value: true)
          return connection
        }
      }
      .whenComplete { (result: Result<FrameConnection, any Error>) in
        completion(result.mapError { transportError($0, "\(host):\(port)") })
      }
  }

  /// Connects to `host` and `port`; parameters as in the other form.
  ///
  /// - Throws: `connectFailed`, `connectTimedOut`.
  public static func connect(
    host: String, port: Int, on group: any EventLoopGroup,
    configuration: FrameConfiguration = FrameConfiguration(),
    accept: @escaping @Sendable (FrameConnection) -> FrameReceiver
  ) async throws(TransportError) -> FrameConnection {
    let result = await withCheckedContinuation { continuation in
      connect(host: host, port: port, on: group, configuration: configuration, accept: accept) {
        continuation.resume(returning: $0)
      }
    }
    return try result.get()
  }

  private static func transportError(_ error: any Error, _ address: String) -> TransportError {
    if case ChannelError.connectTimeout = error {
      return TransportError(.connectTimedOut, "no answer from \(address) in time")
    }
    return TransportError(.connectFailed, "cannot connect to \(address): \(error)")
  }
}

/// The open connections of one listener.
private final class ConnectionTable: Sendable {
  private struct State {
    var open: [UInt64: FrameConnection] = [:]
    var admitted = 0
    var refused = 0
  }

  private static let lastID = Mutex<UInt64>(0)
  private let limit: Int
  private let state = Mutex(State())

  init(limit: Int) { self.limit = limit }

  static func nextID() -> UInt64 {
    lastID.withLock { id in
      id += 1
      return id
    }
  }

  var count: Int { state.withLock { $0.open.count } }
  var refusedCount: Int { state.withLock { $0.refused } }
  var all: [FrameConnection] { state.withLock { $0.open.values.sorted { $0.id < $1.id } } }

  /// An id for a new connection, or nil when there are too many.
  func admit() -> UInt64? {
    let isAdmitted = state.withLock { state in
      guard state.admitted < limit else {
        state.refused += 1
        return false
      }
      state.admitted += 1
      return true
    }
    return isAdmitted ? Self.nextID() : nil
  }

  func add(_ connection: FrameConnection) {
    state.withLock { $0.open[connection.id] = connection }
  }

  func remove(_ connection: FrameConnection) {
    state.withLock { state in
      state.open[connection.id] = nil
      state.admitted -= 1
    }
  }
}
