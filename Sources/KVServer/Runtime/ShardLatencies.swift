import KVBase
import KVModel

/// How long the requests of one shard took, from their arrival to their last reply.
struct ShardLatencies: Sendable {
  /// The requests that are measured apart.
  enum Kind: Sendable {
    case get
    case put

    /// The kind of a request; nil for listings and properties, which are not measured.
    init?(_ request: ClientRequest) {
      switch request {
      case .get: self = .get
      case .put, .delete: self = .put
      default: return nil
      }
    }
  }

  private var gets = LatencyWindow()
  private var puts = LatencyWindow()

  mutating func record(_ kind: Kind, _ duration: Duration, at now: Instant) {
    let microseconds = duration.wholeNanoseconds / 1000
    let second = now.nanoseconds / 1_000_000_000
    switch kind {
    case .get: gets.record(microseconds: microseconds, atSecond: second)
    case .put: puts.record(microseconds: microseconds, atSecond: second)
    }
  }

  mutating func lastMinute(at now: Instant) -> LatencySummary {
    let second = now.nanoseconds / 1_000_000_000
    return LatencySummary(
      gets: gets.lastMinute(atSecond: second), puts: puts.lastMinute(atSecond: second),
      getCount: gets.totalCount, getSum: gets.totalSum, putCount: puts.totalCount,
      putSum: puts.totalSum)
  }
}

/// What ``ShardLatencies`` tells others.
struct LatencySummary: Sendable {
  /// The last minute.
  var gets = LatencyHistogram()
  var puts = LatencyHistogram()
  /// Since the start; sums in microseconds.
  var getCount: UInt64 = 0
  var getSum: UInt64 = 0
  var putCount: UInt64 = 0
  var putSum: UInt64 = 0

  mutating func merge(_ other: LatencySummary) {
    gets.merge(other.gets)
    puts.merge(other.puts)
    getCount += other.getCount
    getSum &+= other.getSum
    putCount += other.putCount
    putSum &+= other.putSum
  }
}
