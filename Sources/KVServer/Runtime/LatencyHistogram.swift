/// Counts durations in buckets whose width grows with the value: each is within 1/16 of the truth.
///
/// **Source**: the layout of HdrHistogram with four significant bits.
package struct LatencyHistogram: Sendable {
  private static let subBits = 4
  private var counts = [UInt64](repeating: 0, count: 40 << LatencyHistogram.subBits)
  /// The number of values.
  package private(set) var count: UInt64 = 0
  /// The sum of all values, in microseconds.
  package private(set) var sum: UInt64 = 0
  /// The largest value, in microseconds.
  package private(set) var maximum: UInt64 = 0

  /// An empty histogram.
  package init() {}

  /// Counts one value.
  package mutating func record(microseconds value: UInt64) {
    counts[Self.bucket(of: value)] += 1
    count += 1
    sum &+= value
    maximum = max(maximum, value)
  }

  /// Adds another histogram's values.
  package mutating func merge(_ other: LatencyHistogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
    count += other.count
    sum &+= other.sum
    maximum = max(maximum, other.maximum)
  }

  /// Forgets all values.
  package mutating func reset() {
    guard count > 0 else { return }
    self = LatencyHistogram()
  }

  /// The mean, 0 without values.
  package var mean: UInt64 { count == 0 ? 0 : sum / count }

  /// The value that a share `quantile` of all values does not exceed, 0 without values.
  package func value(atQuantile quantile: Double) -> UInt64 {
    guard count > 0 else { return 0 }
    let rank = UInt64((Double(count) * quantile).rounded(.up))
    var seen: UInt64 = 0
    for (index, bucketCount) in counts.enumerated() {
      seen += bucketCount
      if seen >= max(1, rank) { return min(maximum, Self.upperBound(of: index)) }
    }
    return maximum
  }

  private static func bucket(of value: UInt64) -> Int {
    let limited = min(value, 1 << 38)
    guard limited >= 1 << subBits else { return Int(limited) }
    let shift = 63 - limited.leadingZeroBitCount - subBits
    return (shift + 1) << subBits | Int(limited >> UInt64(shift)) & (1 << subBits - 1)
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    let group = bucket >> subBits
    let low = UInt64(bucket & (1 << subBits - 1))
    guard group > 0 else { return low }
    let shift = UInt64(group - 1)
    return ((low + 1 << subBits + 1) << shift) - 1
  }
}

/// Durations of the last minute, in slices of ten seconds, and of all time.
struct LatencyWindow: Sendable {
  private var slices = [LatencyHistogram](repeating: LatencyHistogram(), count: 7)
  private var slice: UInt64 = 0
  private(set) var totalCount: UInt64 = 0
  private(set) var totalSum: UInt64 = 0

  mutating func record(microseconds value: UInt64, atSecond second: UInt64) {
    advance(toSecond: second)
    slices[Int(slice % 7)].record(microseconds: value)
    totalCount += 1
    totalSum &+= value
  }

  /// The values of the last 60 seconds, with up to ten more.
  mutating func lastMinute(atSecond second: UInt64) -> LatencyHistogram {
    advance(toSecond: second)
    var all = LatencyHistogram()
    for one in slices { all.merge(one) }
    return all
  }

  private mutating func advance(toSecond second: UInt64) {
    let next = second / 10
    guard next > slice else { return }
    for index in (slice + 1)...min(next, slice + 7) { slices[Int(index % 7)].reset() }
    slice = next
  }
}
