import KVTransport
import NIOCore

/// Keeps connections to the endpoints and lends them, one request at a time each.
///
/// An endpoint that cannot be reached is left alone for a while that grows with each failure; while
/// others answer, requests do not notice. Requests that find every connection in use wait in line.
///
/// **Invariants**: per endpoint, idle and lent connections and those being opened are at most the
/// limit; nobody waits while a healthy endpoint has room.
/// **Concurrency**: an actor; between choosing an endpoint and counting the connection it does not
/// suspend.
actor ConnectionPool {
  private struct Endpoint {
    let address: KVEndpoint
    var idle: [ClientConnection] = []
    var open = 0
    var failures = 0
    var restsUntil = ContinuousClock.now
    /// Why it rests.
    var failure: TransportError?

    var lent: Int { open - idle.count }
  }

  private struct Waiter {
    let id: UInt64
    let continuation: CheckedContinuation<Handover, Never>
  }

  /// What ends a wait.
  private enum Handover: Sendable {
    case connection(ClientConnection)
    /// There may be room for a new connection.
    case room
    case expired
    case closed
  }

  private let configuration: KVClientConfiguration
  private let transport: FrameConfiguration
  /// The most bytes that a request may have.
  nonisolated var largestFrame: Int { transport.maximumFrameBytes }
  private let group: any EventLoopGroup
  private var endpoints: [Endpoint]
  private var waiters: [Waiter] = []
  private var lastWaiter: UInt64 = 0
  private var turn = 0
  private var isClosed = false

  init(configuration: KVClientConfiguration, group: any EventLoopGroup) {
    self.configuration = configuration
    self.group = group
    var transport = FrameConfiguration()
    transport.connectTimeout = configuration.connectTimeout
    transport.outboundLimit = 256 << 20
    self.transport = transport
    endpoints = configuration.endpoints.map { Endpoint(address: $0) }
    turn = Int.random(in: 0..<endpoints.count)
  }

  /// Lends a connection, opening one if need be.
  ///
  /// - Parameters:
  ///   - deadline: when to give up.
  ///   - tried: endpoints that failed this request already; used only when there is no other.
  func acquire(
    before deadline: ContinuousClock.Instant, avoiding tried: Set<KVEndpoint>
  ) async throws(KVClientError) -> ClientConnection {
    while true {
      guard !isClosed else { throw KVClientError(.clientClosed, "the client is closed") }
      guard ContinuousClock.now < deadline else { throw late() }
      switch choose(avoiding: tried) {
      case .idle(let connection): return connection
      case .open(let index):
        if let connection = await open(index) { return connection }
      case .wait:
        switch await waitForHandover(before: deadline) {
        case .connection(let connection): return connection
        case .room: continue
        case .expired: throw late()
        case .closed: throw KVClientError(.clientClosed, "the client is closed")
        case nil:
          throw KVClientError(.poolExhausted, "\(waiters.count) requests wait for a connection")
        }
      case .rest(let until):
        do {
          try await Task.sleep(until: min(until, deadline), clock: .continuous)
        } catch {
          throw KVClientError(.cancelled, "cancelled while waiting for an endpoint")
        }
      }
    }
  }

  /// Takes a connection back; a useless one is dropped.
  func release(_ connection: ClientConnection) {
    guard connection.isOpen, !isClosed else { return discard(connection) }
    if !waiters.isEmpty {
      return waiters.removeFirst().continuation.resume(returning: .connection(connection))
    }
    guard let index = index(of: connection) else { return connection.close() }
    endpoints[index].idle.append(connection)
  }

  /// Drops a connection whose state is unknown.
  func discard(_ connection: ClientConnection) {
    connection.close()
    guard let index = index(of: connection) else { return }
    endpoints[index].open -= 1
    offerRoom()
  }

  /// Closes every connection that is not lent, and refuses further requests.
  func close() {
    isClosed = true
    for index in endpoints.indices {
      for connection in endpoints[index].idle { connection.close() }
      endpoints[index].open -= endpoints[index].idle.count
      endpoints[index].idle = []
    }
    for waiter in waiters { waiter.continuation.resume(returning: .closed) }
    waiters = []
  }

  private func index(of connection: ClientConnection) -> Int? {
    endpoints.firstIndex { $0.address == connection.endpoint }
  }

  private func offerRoom() {
    guard !waiters.isEmpty else { return }
    waiters.removeFirst().continuation.resume(returning: .room)
  }
}

// MARK: - Choosing and opening

extension ConnectionPool {
  private enum Choice {
    case idle(ClientConnection)
    case open(Int)
    case wait
    case rest(until: ContinuousClock.Instant)
  }

  /// The healthy endpoint with the fewest requests under way that has room; endpoints already tried
  /// come last.
  private func choose(avoiding tried: Set<KVEndpoint>) -> Choice {
    let now = ContinuousClock.now
    turn = (turn + 1) % endpoints.count
    let order = endpoints.indices.map { ($0 + turn) % endpoints.count }
    let healthy = order.filter { endpoints[$0].restsUntil <= now }
    guard !healthy.isEmpty else {
      return .rest(until: endpoints.map(\.restsUntil).min() ?? now)
    }
    let untried = healthy.filter { !tried.contains(endpoints[$0].address) }
    for candidates in [untried, healthy] {
      for index in candidates.sorted(by: { endpoints[$0].lent < endpoints[$1].lent }) {
        dropDead(index)
        if let connection = endpoints[index].idle.popLast() { return .idle(connection) }
        if endpoints[index].open < configuration.connectionsPerEndpoint { return .open(index) }
      }
    }
    return .wait
  }

  private func dropDead(_ index: Int) {
    let before = endpoints[index].idle.count
    endpoints[index].idle.removeAll { !$0.isOpen }
    endpoints[index].open -= before - endpoints[index].idle.count
  }

  /// A new connection; nil when the endpoint could not be reached, which then rests.
  private func open(_ index: Int) async -> ClientConnection? {
    endpoints[index].open += 1
    do throws(TransportError) {
      let connection = try await ClientConnection.open(
        endpoints[index].address, on: group, configuration: transport)
      endpoints[index].failures = 0
      endpoints[index].failure = nil
      return connection
    } catch {
      endpoints[index].open -= 1
      endpoints[index].failure = error
      rest(index)
      offerRoom()
      return nil
    }
  }

  /// Leaves an endpoint alone for a while; many failures at the same time count once.
  private func rest(_ index: Int) {
    let now = ContinuousClock.now
    guard endpoints[index].restsUntil <= now else { return }
    let doublings = min(endpoints[index].failures, 16)
    let pause = min(
      configuration.endpointPause * (1 << doublings), configuration.longestEndpointPause)
    endpoints[index].failures += 1
    endpoints[index].restsUntil = now + pause
  }

  /// Waits in line; nil when the line is full.
  private func waitForHandover(before deadline: ContinuousClock.Instant) async -> Handover? {
    guard waiters.count < configuration.waitingRequests else { return nil }
    lastWaiter += 1
    let id = lastWaiter
    let wait = max(.zero, ContinuousClock.now.duration(to: deadline))
    let timer = group.next().scheduleTask(in: TimeAmount(wait)) {
      Task { await self.expire(id) }
    }
    defer { timer.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled {
          continuation.resume(returning: .expired)
        } else {
          waiters.append(Waiter(id: id, continuation: continuation))
        }
      }
    } onCancel: {
      Task { await self.expire(id) }
    }
  }

  private func expire(_ id: UInt64) {
    guard let index = waiters.firstIndex(where: { $0.id == id }) else { return }
    waiters.remove(at: index).continuation.resume(returning: .expired)
  }

  /// The error for a request whose time is over.
  private func late() -> KVClientError {
    if Task.isCancelled { return KVClientError(.cancelled, "cancelled while waiting") }
    let now = ContinuousClock.now
    let healthy = endpoints.contains { $0.failure == nil && $0.restsUntil <= now }
    guard !healthy, let cause = endpoints.lazy.compactMap(\.failure).first else {
      return KVClientError(.timeout, "no connection became free in time")
    }
    return KVClientError(.connectionFailed, "no endpoint can be reached: \(cause)")
  }
}
