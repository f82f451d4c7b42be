import KVBase
import KVProtocol
import Synchronization

/// Hedged reads: when a node takes long, another is asked as well, and the first answer counts.
///
/// A node that hangs then costs a read the delay and not a time-out. What the second request costs is
/// bounded by the retry budget, and it is made only if another node that seems well has a connection to
/// spare.
///
/// **Source**: Dean, Barroso, *The Tail at Scale* (2013).
extension KVClient {
  private enum Event: Sendable {
    case delayOver
    case first(Result<Answer, KVClientError>)
    /// Nil when no second request was made.
    case second(Result<Answer, KVClientError>?)
  }

  /// After which time a read is hedged; nil for never.
  var hedgeDelay: Duration? {
    guard configuration.endpoints.count > 1 else { return nil }
    switch configuration.hedging.kind {
    case .off: return nil
    case .after(let delay): return delay
    case .observed(let quantile, let least):
      return latencies.value(atQuantile: quantile).map { max($0, least) } ?? .seconds(3600)
    }
  }

  /// One attempt of a read, hedged when it takes longer than `delay`.
  func performHedged(
    _ call: Call, _ deadline: ContinuousClock.Instant, _ preference: ConnectionPool.Preference,
    after delay: Duration
  ) async throws(KVClientError) -> Answer {
    let slow = StartedAt()
    let began = ContinuousClock.now
    let result = await withTaskGroup(of: Event.self) { group in
      group.addTask {
        .first(
          await Self.result { () throws(KVClientError) in
            try await self.performOnce(call, deadline, preference) { endpoint in
              slow.endpoint = endpoint
            }
          })
      }
      group.addTask {
        try? await Task.sleep(for: delay)
        return .delayOver
      }
      var failure: KVClientError?
      var underWay = 1
      while underWay > 0, let event = await group.next() {
        switch event {
        case .delayOver:
          // A request that still waits for a connection is slow for want of one, not of a node.
          guard !Task.isCancelled, let slow = slow.endpoint else { continue }
          underWay += 1
          group.addTask { .second(await self.second(call, deadline, preference, slow)) }
        case .second(nil): underWay -= 1
        case .first(.success(let answer)), .second(.success(let answer)?):
          group.cancelAll()
          if case .second = event { await won(over: slow.endpoint) }
          latencies.record(began.duration(to: .now))
          return Result<Answer, KVClientError>.success(answer)
        case .first(.failure(let error)), .second(.failure(let error)?):
          underWay -= 1
          failure = failure ?? error
        }
      }
      group.cancelAll()
      return .failure(failure ?? KVClientError(.cancelled, "the task was cancelled"))
    }
    return try result.get()
  }

  /// The second request; nil when there is no other node for it, or no budget.
  private func second(
    _ call: Call, _ deadline: ContinuousClock.Instant, _ preference: ConnectionPool.Preference,
    _ slow: KVEndpoint
  ) async -> Result<Answer, KVClientError>? {
    var others = preference
    others.avoiding.insert(slow)
    guard let connection = await pool.acquireAtOnce(others) else { return nil }
    guard budget.spend() else {
      await pool.release(connection)
      return nil
    }
    recorder.hedged(call.observed, slow: slow, other: connection.endpoint)
    recorder.attempted(connection.endpoint, primaries: preference.preferring)
    return await Self.result { () throws(KVClientError) in
      try await self.exchange(call, on: connection, deadline)
    }
  }

  /// The slow node is asked whether it is there; until it says so, requests go elsewhere.
  private func won(over slow: KVEndpoint?) async {
    recorder.hedgeWon()
    if let slow { await pool.suspect(slow) }
  }

  private static func result(
    _ body: @Sendable () async throws(KVClientError) -> Answer
  ) async -> Result<Answer, KVClientError> {
    do throws(KVClientError) {
      return .success(try await body())
    } catch {
      return .failure(error)
    }
  }
}

/// Where the first of two requests went, once it has a connection.
private final class StartedAt: Sendable {
  private let place = Mutex<KVEndpoint?>(nil)

  var endpoint: KVEndpoint? {
    get { place.withLock { $0 } }
    set { place.withLock { $0 = newValue } }
  }
}
