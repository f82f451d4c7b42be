import KVTransport
import NIOCore

/// Keeps connections to the endpoints and lends them, one request at a time each.
///
/// An endpoint that cannot be reached is left alone for a while that grows with each failure; one that
/// does not answer is *suspect*, and left alone until it answers a ping. While others answer, requests
/// do not notice; when there is no other, suspects are asked all the same. Requests that find every
/// connection in use wait in line.
///
/// **Invariants**: per endpoint, idle and lent connections and those being opened are at most the
/// limit; nobody waits while a healthy endpoint has room.
/// **Concurrency**: an actor; between choosing an endpoint and counting the connection it does not
/// suspend.
actor ConnectionPool {
  struct Idle {
    let connection: ClientConnection
    let since: ContinuousClock.Instant
  }

  struct Endpoint {
    let address: KVEndpoint
    var idle: [Idle] = []
    var open = 0
    var failures = 0
    var restsUntil = ContinuousClock.now
    /// Why it rests.
    var failure: TransportError?
    /// It did not answer, and is being asked whether it is there.
    var isSuspect = false

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

  /// Which endpoints a request would rather have.
  struct Preference {
    /// Endpoints that failed this request already; used only when there is no other.
    var avoiding: Set<KVEndpoint> = []
    /// Endpoints that have what it asks for.
    var preferring: [KVEndpoint] = []
  }

  let configuration: KVClientConfiguration
  let recorder: ClientRecorder
  private let transport: FrameConfiguration
  /// The most bytes that a request may have.
  nonisolated var largestFrame: Int { transport.maximumFrameBytes }
  private let group: any EventLoopGroup
  var endpoints: [Endpoint]
  private var waiters: [Waiter] = []
  private var lastWaiter: UInt64 = 0
  private var turn = 0
  private(set) var isClosed = false
  var keeper: Task<Void, Never>?

  init(
    configuration: KVClientConfiguration, group: any EventLoopGroup, recorder: ClientRecorder
  ) {
    self.configuration = configuration
    self.group = group
    self.recorder = recorder
    var transport = FrameConfiguration()
    transport.connectTimeout = configuration.connectTimeout
    transport.outboundLimit = 256 << 20
    self.transport = transport
    endpoints = configuration.endpoints.map { Endpoint(address: $0) }
    turn = Int.random(in: 0..<endpoints.count)
  }

  deinit { keeper?.cancel() }

  /// Lends a connection, opening one if need be.
  ///
  /// - Parameters:
  ///   - deadline: when to give up.
  ///   - preference: which endpoints to take first and last; any may be lent.
  func acquire(
    before deadline: ContinuousClock.Instant, _ preference: Preference = Preference()
  ) async throws(KVClientError) -> ClientConnection {
    startKeeper()
    while true {
      guard !isClosed else { throw KVClientError(.clientClosed, "the client is closed") }
      guard ContinuousClock.now < deadline else { throw late() }
      switch choose(preference) {
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

  /// Lends a connection to an endpoint that seems well and is none of those to avoid; nil when there
  /// is none without waiting in line.
  func acquireAtOnce(_ preference: Preference) async -> ClientConnection? {
    guard !isClosed, waiters.isEmpty else { return nil }
    let well = wellEndpoints().filter { !preference.avoiding.contains(endpoints[$0].address) }
    switch pick(ordered(well, preference)) {
    case .idle(let connection)?: return connection
    case .open(let index)?: return await open(index)
    case .wait?, .rest?, nil: return nil
    }
  }

  /// Takes a connection back; a useless one is dropped.
  func release(_ connection: ClientConnection) {
    guard connection.isOpen, !isClosed else { return discard(connection) }
    if !waiters.isEmpty {
      return waiters.removeFirst().continuation.resume(returning: .connection(connection))
    }
    guard let index = index(of: connection.endpoint) else { return connection.close() }
    endpoints[index].idle.append(Idle(connection: connection, since: .now))
  }

  /// Drops a connection whose state is unknown.
  func discard(_ connection: ClientConnection) {
    connection.close()
    guard let index = index(of: connection.endpoint) else { return }
    endpoints[index].open -= 1
    offerRoom()
  }

  /// Closes every connection that is not lent, and refuses further requests.
  func close() {
    isClosed = true
    keeper?.cancel()
    for index in endpoints.indices {
      for idle in endpoints[index].idle { idle.connection.close() }
      endpoints[index].open -= endpoints[index].idle.count
      endpoints[index].idle = []
    }
    for waiter in waiters { waiter.continuation.resume(returning: .closed) }
    waiters = []
  }

  func index(of endpoint: KVEndpoint) -> Int? {
    endpoints.firstIndex { $0.address == endpoint }
  }

  /// Lets those who wait look again: one, or as many as there may be room for.
  func offerRoom(_ count: Int = 1) {
    for waiter in waiters.prefix(count) { waiter.continuation.resume(returning: .room) }
    waiters.removeFirst(min(count, waiters.count))
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

  /// The endpoint with the fewest requests under way that has room: of those that seem well, those
  /// preferred first and those already tried last; suspects only when no other can be reached.
  private func choose(_ preference: Preference) -> Choice {
    let now = ContinuousClock.now
    turn = (turn + 1) % endpoints.count
    let reachable = endpoints.indices.filter { endpoints[$0].restsUntil <= now }
    guard !reachable.isEmpty else {
      return .rest(until: endpoints.map(\.restsUntil).min() ?? now)
    }
    let well = wellEndpoints()
    return pick(ordered(well.isEmpty ? reachable : well, preference)) ?? .wait
  }

  /// The endpoints that are neither resting nor suspect.
  private func wellEndpoints() -> [Int] {
    let now = ContinuousClock.now
    return endpoints.indices.filter { endpoints[$0].restsUntil <= now && !endpoints[$0].isSuspect }
  }

  /// The first that has a connection or room for one.
  private func pick(_ candidates: [Int]) -> Choice? {
    for index in candidates {
      dropDead(index)
      if let idle = endpoints[index].idle.popLast() { return .idle(idle.connection) }
      if endpoints[index].open < configuration.connectionsPerEndpoint { return .open(index) }
    }
    return nil
  }

  private func ordered(_ candidates: [Int], _ preference: Preference) -> [Int] {
    func rank(_ index: Int) -> (Int, Int, Int) {
      let address = endpoints[index].address
      let kind =
        preference.avoiding.contains(address)
        ? 2 : preference.preferring.contains(address) ? 0 : 1
      let place = (index + endpoints.count - turn) % endpoints.count
      return (kind, endpoints[index].lent, place)
    }
    return candidates.map { (index: $0, rank: rank($0)) }
      .sorted { $0.rank < $1.rank }.map(\.index)
  }

  private func dropDead(_ index: Int) {
    let before = endpoints[index].idle.count
    endpoints[index].idle.removeAll { !$0.connection.isOpen }
    endpoints[index].open -= before - endpoints[index].idle.count
  }

  /// A new connection; nil when the endpoint could not be reached, which then rests.
  private func open(_ index: Int) async -> ClientConnection? {
    endpoints[index].open += 1
    do throws(TransportError) {
      let connection = try await ClientConnection.open(
        endpoints[index].address, on: group, configuration: transport, recorder: recorder)
      if endpoints[index].failures > 0 { recorder.recovered(endpoints[index].address) }
      endpoints[index].failures = 0
      endpoints[index].failure = nil
      return connection
    } catch {
      endpoints[index].open -= 1
      endpoints[index].failure = error
      rest(index, error)
      offerRoom()
      return nil
    }
  }

  /// A connection beside those of the pool; nil when there is none in time.
  nonisolated func connect(
    _ endpoint: KVEndpoint, within patience: Duration
  ) async -> ClientConnection? {
    var transport = transport
    transport.connectTimeout = min(transport.connectTimeout, patience)
    return try? await ClientConnection.open(
      endpoint, on: group, configuration: transport, recorder: recorder)
  }

  /// Leaves an endpoint alone for a while; many failures at the same time count once.
  private func rest(_ index: Int, _ reason: TransportError) {
    let now = ContinuousClock.now
    guard endpoints[index].restsUntil <= now else { return }
    let doublings = min(endpoints[index].failures, 16)
    let pause = min(
      configuration.endpointPause * (1 << doublings), configuration.longestEndpointPause)
    endpoints[index].failures += 1
    endpoints[index].restsUntil = now + pause
    if doublings == 0 { recorder.failed(endpoints[index].address, "\(reason)") }
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
