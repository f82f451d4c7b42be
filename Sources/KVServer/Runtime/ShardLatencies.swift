import KVBase
import KVModel
import KVNode

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
  /// Bytes of the values that GETs were answered with, and their number.
  private var objectSizes = LatencyWindow()
  private var siblings = LatencyWindow()

  mutating func record(_ kind: Kind, _ duration: Duration, at now: Instant) {
    let microseconds = duration.wholeNanoseconds / 1000
    let second = now.nanoseconds / 1_000_000_000
    switch kind {
    case .get: gets.record(microseconds: microseconds, atSecond: second)
    case .put: puts.record(microseconds: microseconds, atSecond: second)
    }
  }

  /// Notes what a GET was answered with.
  mutating func note(_ object: KVObject, at now: Instant) {
    guard !object.isEmpty else { return }
    let second = now.nanoseconds / 1_000_000_000
    let size = object.siblings.reduce(0) { $0 + $1.content.value.count }
    objectSizes.record(microseconds: UInt64(size), atSecond: second)
    siblings.record(microseconds: UInt64(object.siblings.count), atSecond: second)
  }

  mutating func lastMinute(at now: Instant) -> LatencySummary {
    let second = now.nanoseconds / 1_000_000_000
    return LatencySummary(
      gets: gets.lastMinute(atSecond: second), puts: puts.lastMinute(atSecond: second),
      getCount: gets.totalCount, getSum: gets.totalSum, putCount: puts.totalCount,
      putSum: puts.totalSum, objectSizes: objectSizes.lastMinute(atSecond: second),
      siblings: siblings.lastMinute(atSecond: second))
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
  /// Of the last minute's GETs: bytes of values, and their number.
  var objectSizes = LatencyHistogram()
  var siblings = LatencyHistogram()

  mutating func merge(_ other: LatencySummary) {
    gets.merge(other.gets)
    puts.merge(other.puts)
    getCount += other.getCount
    getSum &+= other.getSum
    putCount += other.putCount
    putSum &+= other.putSum
    objectSizes.merge(other.objectSizes)
    siblings.merge(other.siblings)
  }
}

/// What a shard had counted a minute ago, within ten seconds, so that the last minute can be told.
struct CounterMinute: Sendable {
  private var samples: [(slice: UInt64, totals: ShardStatistics)] = []

  /// Takes note of the totals once in ten seconds; `totals` is evaluated then only.
  mutating func note(_ totals: @autoclosure () -> ShardStatistics, at now: Instant) {
    let slice = now.nanoseconds / 10_000_000_000
    guard samples.last.map({ $0.slice < slice }) ?? true else { return }
    samples.removeAll { $0.slice + 7 <= slice }
    samples.append((slice, totals()))
  }

  /// The totals a minute ago, or at the start.
  func before(_ now: Instant) -> ShardStatistics {
    let slice = now.nanoseconds / 10_000_000_000
    return samples.first { $0.slice + 7 > slice }?.totals ?? samples.last?.totals
      ?? ShardStatistics()
  }
}
