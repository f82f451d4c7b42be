import Synchronization

/// How long reads have taken of late.
///
/// Counts by powers of the square root of two, halved now and then, so that what is old weighs less.
///
/// **Concurrency**: any thread; the counts are guarded by a lock.
final class LatencyEstimate: Sendable {
  private struct Counts {
    var buckets = [Int](repeating: 0, count: LatencyEstimate.bucketCount)
    var total = 0
  }

  /// From a microsecond to an hour and more.
  private static let bucketCount = 64
  /// Counts at which all are halved.
  private static let window = 2000
  /// Fewer say nothing.
  private static let least = 100

  private let counts = Mutex(Counts())

  /// Counts one read.
  func record(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let microseconds = UInt64(max(1, seconds * 1_000_000 + attoseconds / 1_000_000_000_000))
    // The bit length, and whether the value lies in the upper half of its octave.
    let bits = 63 - microseconds.leadingZeroBitCount
    let isUpper = microseconds >= UInt64(1.4142 * Double(UInt64(1) << UInt64(bits)))
    let bucket = min(2 * bits + (isUpper ? 1 : 0), Self.bucketCount - 1)
    counts.withLock { counts in
      counts.buckets[bucket] += 1
      counts.total += 1
      guard counts.total >= Self.window else { return }
      counts.buckets = counts.buckets.map { $0 / 2 }
      counts.total = counts.buckets.reduce(0, +)
    }
  }

  /// The time within which this share of reads was answered, at most 41 % too long; nil while too few
  /// are known.
  func value(atQuantile quantile: Double) -> Duration? {
    counts.withLock { counts in
      guard counts.total >= Self.least else { return nil }
      var rest = min(Int(Double(counts.total) * (1 - quantile)), counts.total - 1)
      for bucket in counts.buckets.indices.reversed() {
        rest -= counts.buckets[bucket]
        guard rest < 0 else { continue }
        let octave = UInt64(1) << UInt64(bucket / 2)
        return bucket.isMultiple(of: 2)
          ? .microseconds(Int(1.4142 * Double(octave)) + 1) : .microseconds(2 * octave)
      }
      return nil
    }
  }
}
