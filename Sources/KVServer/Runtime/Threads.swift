import Foundation
import KVBase

/// Starts a thread of its own for `body`, which may block.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) {
  let thread = Thread {
    // A name given before the start does not reach the system's tools.
    Thread.current.name = name
    body()
  }
  // Decoding and merging recurse a little; the system's default of 8 MiB is kept.
  thread.stackSize = 8 << 20
  thread.start()
}

/// A gate that is closed until it is opened once.
final class Latch: @unchecked Sendable {
  private let condition = Condition()
  // Guarded by `condition`.
  private var isOpen = false

  func open() {
    condition.lock()
    isOpen = true
    condition.unlock()
    condition.signal()
  }

  /// Waits until the latch is open; false when the instant came first.
  ///
  /// For one waiter.
  func wait(until deadline: Instant) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    while !isOpen {
      if deadline != .distantFuture, SystemClock.instant() >= deadline { return false }
      condition.wait(until: deadline)
    }
    return true
  }
}
