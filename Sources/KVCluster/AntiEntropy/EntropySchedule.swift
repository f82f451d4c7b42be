public import KVBase
import KVModel

/// Two vnodes that should hold the same objects of a group; the first is the shard's own.
public struct EntropyPair: Hashable, Comparable, Sendable {
  /// The own vnode.
  public var partition: PartitionID
  /// The other primary.
  public var peer: PartitionID
  /// The group both hold.
  public var group: TreeGroup

  /// The pair of `partition` and `peer`.
  public init(partition: PartitionID, peer: PartitionID, group: TreeGroup) {
    self.partition = partition
    self.peer = peer
    self.group = group
  }

  /// Orders by partition, group and peer.
  public static func < (a: EntropyPair, b: EntropyPair) -> Bool {
    (a.partition, a.group, a.peer) < (b.partition, b.group, b.peer)
  }
}

/// Which pairs a shard compares, whose turn it is, and what came of the comparisons.
public struct EntropySchedule: Sendable {
  /// What is known of a pair.
  public struct Record: Hashable, Sendable {
    /// When both sides last held the same, by the wall clock.
    public var agreedAt: WallClock?
    /// When the last exchange ended.
    public var endedAt: WallClock?
    /// How it ended.
    public var outcome: EntropyExchange.Outcome?
    /// Keys repaired by all exchanges since the start.
    public var repairedCount = 0
    /// How many exchanges in a row found trees that differ and no key to repair.
    public var unresolvedCount = 0

    /// A pair that has not been compared yet.
    public init() {}
  }

  /// The pairs, sorted.
  public private(set) var pairs: [EntropyPair] = []
  private var records: [EntropyPair: Record] = [:]
  private var next = 0

  /// No pairs.
  public init() {}

  /// Compares the vnodes of these partitions with the other primaries of their groups from now on.
  public mutating func adopt(_ partitions: [PartitionID], _ placement: KeyPlacement) {
    let before = records
    pairs = []
    for partition in partitions {
      for group in placement.groups(of: partition) {
        for peer in group.partitions(ringSize: placement.ringSize) where peer != partition {
          pairs.append(EntropyPair(partition: partition, peer: peer, group: group))
        }
      }
    }
    pairs.sort()
    records = [:]
    for pair in pairs { records[pair] = before[pair] }
    next = pairs.isEmpty ? 0 : next % pairs.count
  }

  /// What is known of a pair.
  public func record(of pair: EntropyPair) -> Record { records[pair] ?? Record() }

  /// The pair whose turn it is among those that can be compared now.
  ///
  /// Cost is O(pairs) at worst.
  public mutating func take(where canCompare: (EntropyPair) -> Bool) -> EntropyPair? {
    for _ in pairs.indices {
      let pair = pairs[next]
      next = (next + 1) % pairs.count
      if canCompare(pair) { return pair }
    }
    return nil
  }

  /// Takes down how an exchange of the pair ended.
  ///
  /// - Returns: true when the trees seem to be wrong: exchange after exchange finds that they
  ///   differ, and that no key does.
  public mutating func ended(
    _ pair: EntropyPair, _ outcome: EntropyExchange.Outcome, repairedCount: Int, at now: WallClock
  ) -> Bool {
    var record = record(of: pair)
    record.endedAt = now
    record.outcome = outcome
    record.repairedCount += repairedCount
    switch outcome {
    case .agreed:
      record.agreedAt = now
      record.unresolvedCount = 0
    case .unresolved: record.unresolvedCount += 1
    case .repaired: record.unresolvedCount = 0
    case .refused, .timedOut: break
    }
    let isDoubtful = record.unresolvedCount >= Self.patience
    if isDoubtful { record.unresolvedCount = 0 }
    records[pair] = record
    return isDoubtful
  }

  private static let patience = 3
}

/// How much a shard may do for the exchanges of others: a bucket of tokens that fills with time.
public struct EntropyBudget: Sendable {
  private let perSecond: Int
  private var tokens: Int
  private var filledAt: Instant?

  /// A full bucket of one second's tokens.
  public init(perSecond: Int) {
    self.perSecond = perSecond
    tokens = perSecond
  }

  /// Takes tokens; false when there are not enough.
  public mutating func take(_ count: Int, at now: Instant) -> Bool {
    if let filledAt {
      let microseconds = min(1_000_000, Int(clamping: (now - filledAt).wholeNanoseconds / 1000))
      let gained = microseconds * perSecond / 1_000_000
      guard gained > 0 || tokens >= count else { return false }
      if gained > 0 {
        tokens = min(perSecond, tokens + gained)
        self.filledAt = now
      }
    } else {
      filledAt = now
    }
    guard tokens >= count else { return false }
    tokens -= count
    return true
  }
}
