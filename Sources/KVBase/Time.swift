/// A point on one process's monotonic clock, in nanoseconds from an arbitrary start.
///
/// Only differences between instants of the same process mean anything.
public struct Instant: Hashable, Comparable, Sendable {
  /// Nanoseconds since the clock's start.
  public var nanoseconds: UInt64

  /// The instant `nanoseconds` after the clock's start.
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// The latest instant there is: "never".
  public static let distantFuture = Instant(nanoseconds: .max)

  /// True when `a` is the earlier instant.
  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// The instant later by `duration`, at most ``distantFuture``; a negative duration adds nothing.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
    return overflow ? .distantFuture : Instant(nanoseconds: sum)
  }

  /// The time from `earlier` to `later`, zero when they are in the other order.
  public static func - (later: Instant, earlier: Instant) -> Duration {
    guard later > earlier else { return .zero }
    return .nanoseconds(Int64(clamping: later.nanoseconds - earlier.nanoseconds))
  }
}

/// The time of day, in microseconds since the Unix epoch.
///
/// It may jump and differ between nodes, so nothing that must be right depends on it.
public struct WallClock: Hashable, Comparable, Sendable {
  /// Microseconds since 1970-01-01T00:00:00Z.
  public var microseconds: UInt64

  /// The time `microseconds` after the epoch.
  public init(microseconds: UInt64) { self.microseconds = microseconds }

  /// True when `a` is the earlier time.
  public static func < (a: WallClock, b: WallClock) -> Bool { a.microseconds < b.microseconds }
}

/// Both clocks, read together by whoever drives a state machine.
public struct Now: Hashable, Sendable {
  /// For deadlines and intervals.
  public var instant: Instant
  /// For time stamps that people and clients see.
  public var wallClock: WallClock

  /// A reading of both clocks.
  public init(instant: Instant, wallClock: WallClock) {
    self.instant = instant
    self.wallClock = wallClock
  }
}

extension Duration {
  /// The duration in nanoseconds, at least 0 and at most `UInt64.max`.
  public var wholeNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    let (scaled, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, carry) = scaled.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
    return overflow || carry ? .max : sum
  }

  /// The duration in whole milliseconds, at least 0.
  public var wholeMilliseconds: Int { Int(clamping: wholeNanoseconds / 1_000_000) }
}
