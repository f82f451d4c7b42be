import KVBase

/// The two clocks of one node, both wrong in their own way.
///
/// The monotonic clock starts anywhere at each start of the node and runs a little fast or slow; the
/// wall clock is off by an offset that faults change.
struct SimulatedClock {
  /// The wall clock at virtual time zero, were it right: 2026-01-01.
  private static let epochMicroseconds: Int64 = 1_767_225_600_000_000
  private static let million: UInt64 = 1_000_000

  /// How far the wall clock is off, in microseconds.
  var wallOffsetMicroseconds: Int64
  /// Nanoseconds that this clock counts while a right one counts 1,000,000.
  let rate: UInt64
  private var instantAtStart: UInt64 = 0
  private var worldTimeAtStart: UInt64 = 0

  /// A clock that is fast by `driftPartsPerMillion` (slow when negative).
  init(driftPartsPerMillion: Int, wallOffsetMicroseconds: Int64) {
    rate = UInt64(Int(Self.million) + driftPartsPerMillion)
    self.wallOffsetMicroseconds = wallOffsetMicroseconds
  }

  /// A new process: the monotonic clock starts over, at `instant`.
  mutating func restart(at worldTime: UInt64, instant: UInt64) {
    instantAtStart = instant
    worldTimeAtStart = worldTime
  }

  /// What the node's clocks show at a time of the world.
  func now(at worldTime: UInt64) -> Now {
    let elapsed = (worldTime - worldTimeAtStart) * rate / Self.million
    let wall =
      Self.epochMicroseconds + Int64(worldTime * rate / Self.million / 1000)
      + wallOffsetMicroseconds
    return Now(
      instant: Instant(nanoseconds: instantAtStart + elapsed),
      wallClock: WallClock(microseconds: UInt64(wall)))
  }

  /// The first time of the world at which the monotonic clock shows `instant` or later.
  func worldTime(of instant: Instant) -> UInt64 {
    guard instant.nanoseconds > instantAtStart else { return worldTimeAtStart }
    let elapsed = instant.nanoseconds - instantAtStart
    // A deadline further away than this never comes within a run.
    guard elapsed < 1 << 43 else { return .max }
    return worldTimeAtStart + (elapsed * Self.million + rate - 1) / rate
  }
}
