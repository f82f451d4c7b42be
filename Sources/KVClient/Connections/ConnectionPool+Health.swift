import KVProtocol

/// Health checks: connections that nobody used for a while are asked whether they still work, and
/// endpoints that did not answer whether they do again.
extension ConnectionPool {
  /// True when the endpoint neither rests nor is suspect.
  func isHealthy(_ endpoint: KVEndpoint) -> Bool {
    index(of: endpoint).map { index in
      endpoints[index].restsUntil <= .now && !endpoints[index].isSuspect
    } ?? false
  }

  /// Any endpoint that is healthy.
  func anyHealthy() -> KVEndpoint? {
    endpoints.map(\.address).filter { isHealthy($0) }.randomElement()
  }

  /// The endpoint did not answer: it is asked whether it is there, and avoided until it says so.
  func suspect(_ endpoint: KVEndpoint) {
    guard let index = index(of: endpoint), !endpoints[index].isSuspect, !isClosed else { return }
    endpoints[index].isSuspect = true
    recorder.failed(endpoint, "no answer in time")
    let pauses = (configuration.endpointPause, configuration.longestEndpointPause)
    let patience = configuration.connectTimeout
    Task { [weak self] in
      var pause = pauses.0
      while let pool = self, await pool.isStillSuspect(endpoint) {
        if await pool.ping(endpoint, within: patience) {
          return await pool.acquit(endpoint)
        }
        do { try await Task.sleep(for: pause) } catch { return }
        pause = min(pause * 2, pauses.1)
      }
    }
  }

  private func isStillSuspect(_ endpoint: KVEndpoint) -> Bool {
    !isClosed && index(of: endpoint).map { endpoints[$0].isSuspect } ?? false
  }

  private func acquit(_ endpoint: KVEndpoint) {
    guard let index = index(of: endpoint) else { return }
    endpoints[index].isSuspect = false
    recorder.recovered(endpoint)
    offerRoom(configuration.connectionsPerEndpoint)
  }

  /// Whether the endpoint answers on a new connection.
  nonisolated private func ping(_ endpoint: KVEndpoint, within patience: Duration) async -> Bool {
    guard let connection = await connect(endpoint, within: patience) else { return false }
    defer { connection.close() }
    return await Self.answers(connection, within: patience)
  }

  private static func answers(
    _ connection: ClientConnection, within patience: Duration
  ) async -> Bool {
    guard connection.send(WireRequest.ping.payload),
      case .success(let frame) = await connection.next(before: .now + patience)
    else { return false }
    return (try? WireReply(payload: frame)) == .pong
  }
}

// MARK: - Idle connections

extension ConnectionPool {
  /// Starts the task that looks after idle connections; it ends with the pool.
  func startKeeper() {
    guard keeper == nil, !isClosed else { return }
    let interval = configuration.healthCheckInterval
    keeper = Task { [weak self] in
      while true {
        do { try await Task.sleep(for: interval) } catch { return }
        guard let pool = self else { return }
        await pool.checkIdle()
      }
    }
  }

  /// Pings what was idle for an interval; what does not answer is closed, and its endpoint suspect.
  private func checkIdle() async {
    let due = ContinuousClock.now - configuration.healthCheckInterval
    for index in endpoints.indices {
      // While it is checked it counts as lent.
      let old = endpoints[index].idle.filter { $0.since <= due }.map(\.connection)
      endpoints[index].idle.removeAll { $0.since <= due }
      for connection in old {
        guard connection.isOpen else {
          discard(connection)
          continue
        }
        if await Self.answers(connection, within: configuration.connectTimeout) {
          release(connection)
        } else {
          discard(connection)
          suspect(connection.endpoint)
        }
      }
    }
  }
}
