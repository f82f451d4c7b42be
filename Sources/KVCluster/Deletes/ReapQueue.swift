public import KVBase
public import KVModel

/// The deleted keys of one shard whose tombstones wait to be reaped, by the time when they are due.
///
/// The queue is memory only and of limited length: what it loses, the sweep over the stored
/// tombstones finds again.
public struct ReapQueue: Sendable {
  /// A deleted key.
  public struct Candidate: Hashable, Sendable {
    /// The key.
    public var key: ObjectKey
    /// A vnode of this shard that holds its tombstone.
    public var partition: PartitionID
    /// The key's first partition, so that rounds are put together without hashing every key again.
    public var first: PartitionID
    /// When it may be reaped.
    public var due: Instant
    /// Rounds that have come to nothing.
    public var attempts = 0

    /// The key, due at an instant.
    public init(key: ObjectKey, partition: PartitionID, first: PartitionID, due: Instant) {
      self.key = key
      self.partition = partition
      self.first = first
      self.due = due
    }
  }

  /// The most keys that wait; later ones are left to the sweep.
  public static let limit = 8192
  /// Rounds for one key before it is left to the sweep.
  public static let attemptLimit = 6
  private static let longestPause = Duration.seconds(60)

  private var candidates: [Candidate] = []
  private var known: Set<ObjectKey> = []

  /// No keys.
  public init() {}

  /// The keys that wait.
  public var count: Int { candidates.count }

  /// When the first of them is due.
  public var nextDue: Instant { candidates.first?.due ?? .distantFuture }

  /// Adds a key unless it waits already; false when the queue is full.
  @discardableResult
  public mutating func add(_ candidate: Candidate) -> Bool {
    guard candidates.count < Self.limit, known.insert(candidate.key).inserted else { return false }
    var low = 0
    var high = candidates.count
    while low < high {
      let middle = (low + high) / 2
      if candidates[middle].due <= candidate.due { low = middle + 1 } else { high = middle }
    }
    candidates.insert(candidate, at: low)
    return true
  }

  /// Adds a key, or has one that waits already become due when the candidate is.
  public mutating func hasten(_ candidate: Candidate) {
    if known.remove(candidate.key) != nil { candidates.removeAll { $0.key == candidate.key } }
    add(candidate)
  }

  /// Puts a key back after a round that came to nothing, with a growing pause.
  public mutating func retry(_ candidate: Candidate, at now: Instant) {
    var next = candidate
    next.attempts += 1
    guard next.attempts < Self.attemptLimit else { return }
    next.due = now + min(.seconds(1 << next.attempts), Self.longestPause)
    add(next)
  }

  /// Takes up to `limit` keys that are due and for which `belongs` holds.
  public mutating func takeDue(
    at now: Instant, limit: Int, where belongs: (Candidate) -> Bool
  ) -> [Candidate] {
    var taken: [Candidate] = []
    var left: [Candidate] = []
    for (index, candidate) in candidates.enumerated() {
      guard candidate.due <= now, taken.count < limit else {
        left += candidates[index...]
        break
      }
      if belongs(candidate) { taken.append(candidate) } else { left.append(candidate) }
    }
    candidates = left
    for candidate in taken { known.remove(candidate.key) }
    return taken
  }

  /// The first key that is due.
  public func firstDue(at now: Instant) -> Candidate? {
    candidates.first.flatMap { $0.due <= now ? $0 : nil }
  }

  /// Lets all keys that are due wait until `instant`.
  public mutating func postpone(dueAt now: Instant, until instant: Instant) {
    let due = takeDue(at: now, limit: .max) { _ in true }
    for var candidate in due {
      candidate.due = max(instant, candidate.due)
      add(candidate)
    }
  }
}
