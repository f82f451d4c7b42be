import KVBase
import KVTransport
import NIOCore
import Synchronization

/// One connection of the pool: a request goes out, its answer or answers come back.
final class ClientConnection: Sendable {
  let endpoint: KVEndpoint
  private let connection: FrameConnection
  private let inbox: FrameInbox

  private init(endpoint: KVEndpoint, connection: FrameConnection, inbox: FrameInbox) {
    self.endpoint = endpoint
    self.connection = connection
    self.inbox = inbox
  }

  /// Connects to the endpoint; the recorder is told of the beginning and the end.
  static func open(
    _ endpoint: KVEndpoint, on group: any EventLoopGroup, configuration: FrameConfiguration,
    recorder: ClientRecorder
  ) async throws(TransportError) -> ClientConnection {
    let inbox = Mutex<FrameInbox?>(nil)
    let connection = try await FrameDialer.connect(
      host: endpoint.host, port: endpoint.port, on: group, configuration: configuration
    ) { connection in
      let made = FrameInbox(connection: connection)
      inbox.withLock { $0 = made }
      recorder.opened(endpoint)
      return { event in
        if case .closed = event { recorder.closed(endpoint) }
        made.receive(event)
      }
    }
    guard let inbox = inbox.withLock({ $0 }) else {
      preconditionFailure("a connection to \(endpoint) was opened but not accepted")
    }
    return ClientConnection(endpoint: endpoint, connection: connection, inbox: inbox)
  }

  /// True until the connection is gone or an answer was given up.
  var isOpen: Bool { inbox.isOpen }

  /// Sends a request; false when the connection is closed and nothing was sent.
  func send(_ payload: Bytes) -> Bool { connection.send(payload) == .queued }

  /// The next message of the answer.
  func next(before deadline: ContinuousClock.Instant) async -> FrameInbox.Outcome {
    await inbox.next(before: deadline)
  }

  /// Closes at once.
  func close() { connection.abort() }
}
