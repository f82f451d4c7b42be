/// Counts durations in buckets that grow by an eighth of an octave: any percentile within 9 %.
public struct LatencyHistogram: Sendable {
  private static let bucketCount = 8 * 40

  private var counts: [Int]
  /// How many durations were recorded.
  public private(set) var count = 0
  /// The longest.
  public private(set) var longest: Duration = .zero

  /// A histogram of nothing.
  public init() { counts = Array(repeating: 0, count: Self.bucketCount) }

  /// Records a duration.
  public mutating func record(_ duration: Duration) {
    counts[Self.bucket(of: duration)] += 1
    count += 1
    longest = max(longest, duration)
  }

  /// Adds everything another one recorded.
  public mutating func merge(_ other: LatencyHistogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
    count += other.count
    longest = max(longest, other.longest)
  }

  /// The duration that the given part (0 to 1) of all stayed within; zero when there are none.
  public func percentile(_ part: Double) -> Duration {
    var left = Int((Double(count) * part).rounded(.up))
    for (index, number) in counts.enumerated() where number > 0 {
      left -= number
      if left <= 0 { return min(longest, Self.upperBound(of: index)) }
    }
    return longest
  }

  private static func bucket(of duration: Duration) -> Int {
    let microseconds = max(1, Int(duration / .microseconds(1)))
    let octave = Int.bitWidth - 1 - microseconds.leadingZeroBitCount
    let eighth =
      octave >= 3 ? (microseconds >> (octave - 3)) & 7 : (microseconds << (3 - octave)) & 7
    return min(bucketCount - 1, octave * 8 + eighth)
  }

  private static func upperBound(of bucket: Int) -> Duration {
    let (octave, eighth) = (bucket / 8, bucket % 8)
    return .nanoseconds(Int64((1 << octave) * (8 + eighth + 1) * 125))
  }
}

extension Duration {
  /// The duration in milliseconds, for people.
  var milliseconds: String {
    let value = self / .milliseconds(1)
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
