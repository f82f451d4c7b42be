import CDispatch
import Glibc
import KVBase

/// A mutex with one condition on the monotonic clock, for a thread that waits for work or a time.
///
/// **Concurrency**: every method may be called from any thread; ``wait(until:)`` only while locked.
final class Condition: @unchecked Sendable {
  // Never moved and never touched but through pthread, which is what makes this type Sendable.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  func lock() { pthread_mutex_lock(mutex) }

  func unlock() { pthread_mutex_unlock(mutex) }

  func signal() { pthread_cond_signal(condition) }

  /// Waits for a signal, at the latest until the instant; may also return for no reason.
  func wait(until instant: Instant) {
    guard instant != .distantFuture else {
      pthread_cond_wait(condition, mutex)
      return
    }
    var time = timespec(
      tv_sec: Int(instant.nanoseconds / 1_000_000_000),
      tv_nsec: Int(instant.nanoseconds % 1_000_000_000))
    pthread_cond_timedwait(condition, mutex, &time)
  }
}
