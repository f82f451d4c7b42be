import KVBase
import KVCluster
import KVTransport
import NIOCore
import Synchronization

/// The outgoing connection to one peer endpoint: dialled when there is something to send, and again
/// after a pause when it broke.
///
/// Messages wait in a bounded queue while the connection is being made; they are dropped, and
/// counted, when the queue is full, when dialling fails and during the pause after a failure. The
/// protocol above repeats what matters.
///
/// **Concurrency**: any thread; state is guarded by the mutex, and nothing is called while it is held
/// but the connection's own non-blocking methods.
final class PeerLink: Sendable {
  /// What a link needs of its network.
  struct Surroundings: Sendable {
    var group: any EventLoopGroup
    var transport: FrameConfiguration
    var hello: Bytes
    var reconnectMinimum: Duration
    var reconnectMaximum: Duration
    /// Told who answered.
    var met: @Sendable (PeerHello) -> Void
    /// Told that the connection broke or could not be made, with the reason.
    var lost: @Sendable (Endpoint, NodeID?, String) -> Void
  }

  private enum Phase {
    case idle(notBefore: Instant)
    case dialling
    case open(FrameConnection)
    case closed
  }

  private struct State {
    var phase = Phase.idle(notBefore: Instant(nanoseconds: 0))
    var waiting: [Bytes] = []
    var waitingBytes = 0
    var pause: Duration
    var peer: NodeID?
    var sent = 0
    var dropped = 0
  }

  let endpoint: Endpoint
  private let surroundings: Surroundings
  private let state: Mutex<State>

  init(endpoint: Endpoint, surroundings: Surroundings) {
    self.endpoint = endpoint
    self.surroundings = surroundings
    state = Mutex(State(pause: surroundings.reconnectMinimum))
  }

  /// Messages given to the connection, and messages dropped.
  var counts: (sent: Int, dropped: Int) { state.withLock { ($0.sent, $0.dropped) } }

  /// Sends the frame, now or as soon as the connection is open, or drops it.
  func send(_ frame: Bytes) {
    let mustDial = state.withLock { state in
      switch state.phase {
      case .open(let connection):
        if connection.send(frame) == .queued { state.sent += 1 } else { state.dropped += 1 }
        return false
      case .closed:
        state.dropped += 1
        return false
      case .idle(let notBefore) where SystemClock.instant() < notBefore:
        state.dropped += 1
        return false
      case .idle:
        state.phase = .dialling
        enqueue(frame, &state)
        return true
      case .dialling:
        enqueue(frame, &state)
        return false
      }
    }
    if mustDial { dial() }
  }

  /// Closes the connection after what is queued has gone; nothing more is sent.
  func close() {
    state.withLock { state in
      if case .open(let connection) = state.phase { connection.close() }
      state.phase = .closed
      state.waiting = []
    }
  }

  private func enqueue(_ frame: Bytes, _ state: inout State) {
    guard state.waitingBytes + frame.count <= surroundings.transport.outboundLimit else {
      state.dropped += 1
      return
    }
    state.waiting.append(frame)
    state.waitingBytes += frame.count
  }

  private func dial() {
    FrameDialer.connect(
      host: endpoint.host, port: Int(endpoint.port), on: surroundings.group,
      configuration: surroundings.transport
    ) { connection in
      { event in self.receive(event, on: connection) }
    } completion: { result in
      switch result {
      case .success(let connection): self.opened(connection)
      case .failure(let error): self.failed(error.description)
      }
    }
  }

  private func opened(_ connection: FrameConnection) {
    connection.send(surroundings.hello)
    state.withLock { state in
      guard case .dialling = state.phase else {
        connection.close()
        return
      }
      state.phase = .open(connection)
      for frame in state.waiting {
        if connection.send(frame) == .queued { state.sent += 1 } else { state.dropped += 1 }
      }
      state.waiting = []
      state.waitingBytes = 0
    }
  }

  private func receive(_ event: FrameEvent, on connection: FrameConnection) {
    switch event {
    case .frame(let payload):
      guard case .hello(let hello)? = try? PeerFrame(decoding: payload) else {
        connection.abort()
        return
      }
      guard hello.agreedProtocol != nil else {
        failed("it speaks peer protocols \(hello.speaks), this node others")
        connection.abort()
        return
      }
      // Only a peer that answered is a reason to try at once again when the connection breaks.
      state.withLock { state in
        state.pause = surroundings.reconnectMinimum
        state.peer = hello.node
      }
      surroundings.met(hello)
    case .violation: connection.abort()
    case .writable: break
    case .closed(let reason): failed("the connection closed: \(reason)")
    }
  }

  private func failed(_ reason: String) {
    let peer: NodeID?? = state.withLock { state in
      if case .closed = state.phase { return nil }
      if case .idle = state.phase { return nil }
      state.dropped += state.waiting.count
      state.waiting = []
      state.waitingBytes = 0
      state.phase = .idle(notBefore: SystemClock.instant() + state.pause)
      state.pause = min(state.pause * 2, surroundings.reconnectMaximum)
      return .some(state.peer)
    }
    if let peer { surroundings.lost(endpoint, peer, reason) }
  }
}
