import KVBase
import KVModel
import KVProtocol

/// Whether a request whose fate is unknown may be sent again.
enum Repeatability {
  case never
  case always
}

/// One request on its way.
struct Call: Sendable {
  let payload: Bytes
  /// What it is about, which decides where it is sent.
  let key: ObjectKey?
  let repeatability: Repeatability
  let isWrite: Bool
  let timeout: Duration?
  let deadline: ContinuousClock.Instant
  let observed: ObservedRequest
}

/// The answer to a request, and who gave it.
typealias Answer = (reply: WireReply, endpoint: KVEndpoint)

extension KVClient {
  /// Performs a request that has one answer.
  func perform(
    _ request: WireRequest, _ repeatability: Repeatability, isWrite: Bool, timeout: Duration?
  ) async throws(KVClientError) -> Answer {
    budget.recordRequest()
    let began = ContinuousClock.now
    let observed = recorder.began(request)
    do throws(KVClientError) {
      let call = Call(
        payload: try checked(request.payload), key: request.key, repeatability: repeatability,
        isWrite: isWrite, timeout: timeout, deadline: began + deadlineAllowance(timeout),
        observed: observed)
      let answer = try await performRepeating(call)
      ended(observed, began, at: answer.endpoint, nil)
      return answer
    } catch {
      ended(observed, began, at: error.endpoint, error)
      throw error
    }
  }

  func ended(
    _ observed: ObservedRequest, _ began: ContinuousClock.Instant, at endpoint: KVEndpoint?,
    _ failure: KVClientError?
  ) {
    recorder.ended(
      observed,
      ObservedEnd(
        endpoint: endpoint, node: endpoint.flatMap { topology?.name(of: $0) }, failure: failure,
        duration: began.duration(to: .now)))
  }

  private func checked(_ payload: Bytes) throws(KVClientError) -> Bytes {
    guard payload.count <= pool.largestFrame else {
      throw KVClientError(
        .tooLarge, "a request of \(payload.count) bytes, over \(pool.largestFrame)")
    }
    return payload
  }

  private func performRepeating(_ call: Call) async throws(KVClientError) -> Answer {
    var tried: Set<KVEndpoint> = []
    var attempt = 1
    while true {
      let failure: KVClientError
      do throws(KVClientError) {
        return try await performAttempt(call, tried)
      } catch {
        failure = error
      }
      let mayRepeat =
        failure.mayBeRetriedElsewhere
        || call.repeatability == .always && [.connectionLost, .timeout].contains(failure.code)
      guard mayRepeat, attempt < configuration.attempts, budget.spend() else { throw failure }
      if let endpoint = failure.endpoint { tried.insert(endpoint) }
      let pause = configuration.retryPause * (1 << (attempt - 1))
      guard ContinuousClock.now + pause < call.deadline else { throw failure }
      do {
        try await Task.sleep(for: pause)
      } catch {
        throw failure
      }
      recorder.retried(call.observed, after: failure)
      attempt += 1
    }
  }

  private func performAttempt(
    _ call: Call, _ tried: Set<KVEndpoint>
  ) async throws(KVClientError) -> Answer {
    let deadline = attemptDeadline(call)
    let preference = ConnectionPool.Preference(avoiding: tried, preferring: primaries(of: call))
    guard !call.isWrite, call.key != nil, let delay = hedgeDelay else {
      return try await performOnce(call, deadline, preference)
    }
    return try await performHedged(call, deadline, preference, after: delay)
  }

  /// The client waits a little longer than it tells the server to, for the answer to arrive.
  private func deadlineAllowance(_ timeout: Duration?) -> Duration {
    timeout.map { $0 + .seconds(1) } ?? configuration.requestTimeout
  }

  private func attemptDeadline(_ call: Call) -> ContinuousClock.Instant {
    guard call.repeatability == .always, call.timeout == nil else { return call.deadline }
    return min(call.deadline, ContinuousClock.now + attemptTimeout)
  }

  private var attemptTimeout: Duration {
    min(
      configuration.attemptTimeout ?? configuration.requestTimeout / 2,
      configuration.requestTimeout)
  }

  /// What a node is told: less than the client waits, so that its answer still arrives.
  func serverTimeout(_ asked: Duration?, _ repeatability: Repeatability) -> Duration {
    asked ?? (repeatability == .always ? attemptTimeout : configuration.requestTimeout) / 4 * 3
  }

  /// The error for an answer of another kind than was asked for.
  func unexpected(_ reply: WireReply, _ endpoint: KVEndpoint, isWrite: Bool) -> KVClientError {
    KVClientError(
      .protocolViolation, "the server answered with \(reply)", endpoint: endpoint,
      isAmbiguous: isWrite)
  }
}

// MARK: - One attempt

extension KVClient {
  /// One attempt; `started` is told where it went.
  func performOnce(
    _ call: Call, _ deadline: ContinuousClock.Instant, _ preference: ConnectionPool.Preference,
    started: (@Sendable (KVEndpoint) -> Void)? = nil
  ) async throws(KVClientError) -> Answer {
    let connection = try await pool.acquire(before: deadline, preference)
    if call.key != nil {
      recorder.attempted(connection.endpoint, primaries: preference.preferring)
    }
    started?(connection.endpoint)
    return try await exchange(call, on: connection, deadline)
  }

  /// Sends the request on a lent connection, which is given back, and awaits the answer.
  func exchange(
    _ call: Call, on connection: ClientConnection, _ deadline: ContinuousClock.Instant
  ) async throws(KVClientError) -> Answer {
    let endpoint = connection.endpoint
    guard connection.send(call.payload) else {
      await pool.discard(connection)
      throw KVClientError(.connectionFailed, "the connection was closed", endpoint: endpoint)
    }
    switch await connection.next(before: deadline) {
    case .failure(let failure):
      await pool.discard(connection)
      await noticed(failure, at: endpoint)
      throw KVClientError(failure, endpoint: endpoint, isWrite: call.isWrite)
    case .success(let frame):
      let reply: WireReply
      do throws(ProtocolFailure) {
        reply = try WireReply(payload: frame)
      } catch {
        await pool.discard(connection)
        throw KVClientError(
          .protocolViolation, error.text, endpoint: endpoint, isAmbiguous: call.isWrite)
      }
      await pool.release(connection)
      if case .error(let text) = reply {
        throw KVClientError(text: text, endpoint: endpoint, isWrite: call.isWrite)
      }
      return (reply, endpoint)
    }
  }

  /// Draws conclusions about an endpoint that did not answer.
  func noticed(_ failure: ReceiveFailure, at endpoint: KVEndpoint) async {
    switch failure {
    case .timedOut: await pool.suspect(endpoint)
    case .closed: topology?.forget(endpoint)
    case .cancelled: break
    }
  }
}

extension KVClientError {
  init(_ failure: ReceiveFailure, endpoint: KVEndpoint, isWrite: Bool) {
    switch failure {
    case .timedOut: self.init(.timeout, "no answer in time", endpoint: endpoint)
    case .cancelled: self.init(.cancelled, "the task was cancelled", endpoint: endpoint)
    case .closed(let how): self.init(.connectionLost, "connection lost: \(how)", endpoint: endpoint)
    }
    isAmbiguous = isWrite
  }
}
