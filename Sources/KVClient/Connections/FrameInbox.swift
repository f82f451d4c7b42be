import KVBase
import KVTransport
import NIOCore
import Synchronization

/// Why a connection gave no frame.
enum ReceiveFailure: Error, Hashable, Sendable {
  case timedOut
  case cancelled
  case closed(String)
}

/// The frames that came on one connection, for one reader at a time to await.
///
/// **Concurrency**: any thread; the state is guarded by its lock, and waiters are resumed outside it.
final class FrameInbox: Sendable {
  typealias Outcome = Result<Bytes, ReceiveFailure>

  private struct State {
    var frames: [Bytes] = []
    var failure: ReceiveFailure?
    var waiter: (id: UInt64, continuation: CheckedContinuation<Outcome, Never>)?
    var lastID: UInt64 = 0
    var isPaused = false
  }

  /// Frames kept before reading pauses; a listing is read no faster than it is consumed.
  private static let pauseAt = 16
  private let state = Mutex(State())
  private let connection: FrameConnection

  init(connection: FrameConnection) { self.connection = connection }

  /// True until the connection is gone or unusable.
  var isOpen: Bool { state.withLock { $0.failure == nil } }

  func receive(_ event: FrameEvent) {
    switch event {
    case .frame(let payload): add(payload)
    case .violation(let violation):
      fail(.closed("the server broke the framing: \(violation)"))
      connection.abort()
    case .closed(let reason): fail(.closed("\(reason)"))
    case .writable: break
    }
  }

  private func add(_ payload: Bytes) {
    let (waiter, mustPause) = state.withLock { state in
      if let waiter = state.waiter {
        state.waiter = nil
        return (Optional(waiter.continuation), false)
      }
      state.frames.append(payload)
      let mustPause = !state.isPaused && state.frames.count >= Self.pauseAt
      if mustPause { state.isPaused = true }
      return (nil, mustPause)
    }
    waiter?.resume(returning: .success(payload))
    if mustPause { connection.setReading(false) }
  }

  private func fail(_ failure: ReceiveFailure) {
    let waiter = state.withLock { state in
      if state.failure == nil { state.failure = failure }
      defer { state.waiter = nil }
      return state.waiter?.continuation
    }
    waiter?.resume(returning: .failure(failure))
  }

  /// The next frame.
  ///
  /// After a failure the connection is useless, for a late answer would be taken for that of the
  /// next request; it is closed.
  func next(before deadline: ContinuousClock.Instant) async -> Outcome {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    let wait = max(.zero, ContinuousClock.now.duration(to: deadline))
    let timer = connection.eventLoop.scheduleTask(in: TimeAmount(wait)) {
      self.giveUp(id, .timedOut)
    }
    defer { timer.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { take(id, $0) }
    } onCancel: {
      giveUp(id, .cancelled)
    }
  }

  private func take(_ id: UInt64, _ continuation: CheckedContinuation<Outcome, Never>) {
    let (outcome, mayRead) = state.withLock { state -> (Outcome?, Bool) in
      if !state.frames.isEmpty {
        let frame = state.frames.removeFirst()
        let mayRead = state.isPaused && state.frames.count <= Self.pauseAt / 2
        if mayRead { state.isPaused = false }
        return (.success(frame), mayRead)
      }
      if let failure = state.failure { return (.failure(failure), false) }
      precondition(state.waiter == nil, "two readers await one connection")
      state.waiter = (id, continuation)
      return (nil, false)
    }
    if mayRead { connection.setReading(true) }
    if let outcome { continuation.resume(returning: outcome) }
  }

  private func giveUp(_ id: UInt64, _ failure: ReceiveFailure) {
    let waiter = state.withLock { state -> CheckedContinuation<Outcome, Never>? in
      guard state.lastID == id, state.failure == nil else { return nil }
      state.failure = failure
      defer { state.waiter = nil }
      return state.waiter?.continuation
    }
    waiter?.resume(returning: .failure(failure))
    connection.abort()
  }
}
