import CDispatch
import Glibc
import KVBase

/// The clocks and the random source of the machine: the only place that reads them for a node.
enum SystemClock {
  /// Both clocks.
  static func now() -> Now { Now(instant: instant(), wallClock: wallClock()) }

  /// The monotonic clock, which `pthread_cond_timedwait` of ``Condition`` uses too.
  static func instant() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }

  /// The time of day.
  static func wallClock() -> WallClock {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallClock(
      microseconds: UInt64(max(0, time.tv_sec)) * 1_000_000 + UInt64(time.tv_nsec) / 1000)
  }

  /// A seed from the operating system.
  static func seed() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
}
