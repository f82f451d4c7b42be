import KVBase
import KVProtocol
public import NIOCore
import NIOPosix

/// A client of a cluster.
///
/// ```swift
/// let client = KVClient(configuration: .init(endpoints: [.init(host: "127.0.0.1", port: 8087)]))
/// let key = ObjectKey(bucket: "patients", key: "9434765919")
/// try await client.put(Content(value: Array("Ada".utf8)), at: key)
/// if let object = try await client.get(key) {
///   try await client.put(Content(value: Array("Ada L.".utf8)), at: key, context: object.context)
/// }
/// await client.close()
/// ```
///
/// A write should carry the context of the read that it is based on: it then replaces what was read,
/// and anything written meanwhile by others stays beside it as a sibling.
///
/// Requests go to the endpoint with the least to do; one that cannot be reached is left alone for a
/// while. What is tried again, at most ``KVClientConfiguration/attempts`` times and within a budget
/// of a fifth of all requests: everything that was certainly not performed (no connection, overload),
/// reads, deletes with a context, and writes that the caller calls idempotent. A write whose fate is
/// unknown is never repeated otherwise; it fails with ``KVClientError/isAmbiguous`` set.
///
/// **Concurrency**: any task. Close the client when it is no longer needed.
public final class KVClient: Sendable {
  let configuration: KVClientConfiguration
  let pool: ConnectionPool
  private let budget = RetryBudget()

  /// A client; it connects with the first request.
  ///
  /// - Parameters:
  ///   - configuration: endpoints and limits.
  ///   - group: the event loops that serve the connections; by default the process's shared ones.
  public init(
    configuration: KVClientConfiguration,
    group: (any EventLoopGroup)? = nil
  ) {
    self.configuration = configuration
    pool = ConnectionPool(
      configuration: configuration, group: group ?? MultiThreadedEventLoopGroup.singleton)
  }

  /// Closes every connection; requests under way may still finish, further ones fail.
  public func close() async { await pool.close() }
}

// MARK: - Performing

/// Whether a request whose fate is unknown may be sent again.
enum Repeatability {
  case never
  case always
}

extension KVClient {
  /// Performs a request that has one answer.
  func perform(
    _ request: WireRequest, _ repeatability: Repeatability, isWrite: Bool, timeout: Duration?
  ) async throws(KVClientError) -> (reply: WireReply, endpoint: KVEndpoint) {
    budget.recordRequest()
    let deadline = ContinuousClock.now + deadlineAllowance(timeout)
    let payload = request.payload
    guard payload.count <= pool.largestFrame else {
      throw KVClientError(
        .tooLarge, "a request of \(payload.count) bytes, over \(pool.largestFrame)")
    }
    var tried: Set<KVEndpoint> = []
    var attempt = 1
    while true {
      let failure: KVClientError
      do throws(KVClientError) {
        return try await performOnce(
          payload, isWrite, attemptDeadline(deadline, repeatability, timeout), tried)
      } catch {
        failure = error
      }
      let mayRepeat =
        failure.mayBeRetriedElsewhere
        || repeatability == .always && [.connectionLost, .timeout].contains(failure.code)
      guard mayRepeat, attempt < configuration.attempts, budget.spend() else { throw failure }
      if let endpoint = failure.endpoint { tried.insert(endpoint) }
      let pause = configuration.retryPause * (1 << (attempt - 1))
      guard ContinuousClock.now + pause < deadline else { throw failure }
      do {
        try await Task.sleep(for: pause)
      } catch {
        throw failure
      }
      attempt += 1
    }
  }

  /// The client waits a little longer than it tells the server to, for the answer to arrive.
  private func deadlineAllowance(_ timeout: Duration?) -> Duration {
    timeout.map { $0 + .seconds(1) } ?? configuration.requestTimeout
  }

  private func attemptDeadline(
    _ deadline: ContinuousClock.Instant, _ repeatability: Repeatability, _ timeout: Duration?
  ) -> ContinuousClock.Instant {
    guard repeatability == .always, timeout == nil else { return deadline }
    return min(deadline, ContinuousClock.now + attemptTimeout)
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

  private func performOnce(
    _ payload: Bytes, _ isWrite: Bool, _ deadline: ContinuousClock.Instant,
    _ tried: Set<KVEndpoint>
  ) async throws(KVClientError) -> (reply: WireReply, endpoint: KVEndpoint) {
    let connection = try await pool.acquire(before: deadline, avoiding: tried)
    let endpoint = connection.endpoint
    guard connection.send(payload) else {
      await pool.discard(connection)
      throw KVClientError(.connectionFailed, "the connection was closed", endpoint: endpoint)
    }
    switch await connection.next(before: deadline) {
    case .failure(let failure):
      await pool.discard(connection)
      throw KVClientError(failure, endpoint: endpoint, isWrite: isWrite)
    case .success(let frame):
      let reply: WireReply
      do throws(ProtocolFailure) {
        reply = try WireReply(payload: frame)
      } catch {
        await pool.discard(connection)
        throw KVClientError(
          .protocolViolation, error.text, endpoint: endpoint, isAmbiguous: isWrite)
      }
      await pool.release(connection)
      if case .error(let text) = reply {
        throw KVClientError(text: text, endpoint: endpoint, isWrite: isWrite)
      }
      return (reply, endpoint)
    }
  }

  /// The error for an answer of another kind than was asked for.
  func unexpected(_ reply: WireReply, _ endpoint: KVEndpoint, isWrite: Bool) -> KVClientError {
    KVClientError(
      .protocolViolation, "the server answered with \(reply)", endpoint: endpoint,
      isAmbiguous: isWrite)
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
