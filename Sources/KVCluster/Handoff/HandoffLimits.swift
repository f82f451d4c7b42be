public import KVBase

/// How much a node may have under way in handoffs, and how fast it may send.
///
/// The first two are an operator's (`handoff.limit`, `handoff.rate`, `ring-admin transfer-limit`);
/// the rest are fixed but for tests and the simulator.
public struct HandoffLimits: Hashable, Sendable {
  /// The most handoffs that one shard sends at once.
  public var concurrency = 2
  /// The most bytes a second that one shard sends; 0 for no limit.
  public var bytesPerSecond = 0
  /// The most objects in a batch.
  public var batchCount = 1000
  /// About the most bytes in a batch; one object may be larger.
  public var batchBytes = 512 << 10
  /// No further batch is read while this many bytes of one handoff wait for receipts.
  public var windowBytes = 4 << 20
  /// The most messages of one handoff that wait for an answer.
  public var windowCount = 16
  /// The most objects that one comparison covers.
  public var compareCount = 2000

  /// The tested defaults.
  public init() {}

  /// The same limits with what an operator may change taken from `other`.
  public func adopting(concurrency: Int?, bytesPerSecond: Int?) -> HandoffLimits {
    var limits = self
    limits.concurrency = concurrency ?? limits.concurrency
    limits.bytesPerSecond = bytesPerSecond ?? limits.bytesPerSecond
    return limits
  }
}

/// What a shard may send in handoffs at present: a token bucket that holds at most a second's worth.
///
/// A batch may be sent whenever the bucket is not empty, and is then taken from it in full: one
/// object larger than the bucket is sent, too, and paid for by a longer pause.
public struct HandoffBudget: Hashable, Sendable {
  private var available = 0.0
  private var filledAt: Instant?

  /// An empty bucket that has never been filled.
  public init() {}

  /// When the next batch may be sent; not later than `now` when it may at once.
  public mutating func readyAt(_ now: Instant, bytesPerSecond: Int) -> Instant {
    guard bytesPerSecond > 0 else { return now }
    let rate = Double(bytesPerSecond)
    if let filledAt {
      let elapsed = Double((now - filledAt).wholeNanoseconds) / 1e9
      available = min(rate, available + elapsed * rate)
    } else {
      available = rate / 10
    }
    filledAt = now
    guard available <= 0 else { return now }
    return now + .nanoseconds(Int64(-available / rate * 1e9) + 1_000_000)
  }

  /// Takes what has been sent.
  public mutating func spend(_ byteCount: Int) { available -= Double(byteCount) }
}
