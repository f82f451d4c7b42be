/// The prescriptions that may wait for one dispenser: a shard of the hint.
///
/// An entry may be stale, never missing: it is written before the record becomes available, and
/// siblings unite, so that a removed entry may come back and be checked once more.
public struct NominationList: Codable, Hashable, Sendable {
  /// For each prescription (by store key) when it was entered and by which message: a removal
  /// names the entry it saw, so that one entered again since is kept.
  public var entries: [String: String]

  func merged(with other: NominationList) -> NominationList {
    NominationList(entries: entries.merging(other.entries) { max($0, $1) })
  }
}

/// What a nominated release answered: kept so that the same message gets the same answer.
public struct Worklist: Codable, Hashable, Sendable, WrittenOnce {
  /// The dispenser.
  public var dispenser: String
  /// When it was handled.
  public var time: String
  /// The store keys of the prescriptions released, in order.
  public var prescriptions: [String]
}

/// The work queue of each dispenser, kept in shards so that uploads seldom meet.
struct NominationQueue: Sendable {
  let lists: BucketHandle<NominationList>

  /// One entry as it was read.
  struct Entry: Sendable {
    var key: String
    var stamp: String

    /// When it was entered, `YYYYMMDDHHMMSS`.
    var time: String { String(stamp.prefix(14)) }
  }

  /// Enough that concurrent uploads to one pharmacy rarely touch the same object, few enough that
  /// a release reads them all at once.
  static let shardCount = 4

  init(store: any BucketStore) { lists = BucketHandle(SpineBuckets.nominations, on: store) }

  static func shard(of key: String, for dispenser: String) -> String {
    let sum = key.utf8.reduce(UInt32(7)) { ($0 &* 31) &+ UInt32($1) }
    return "\(dispenser)/\(sum % UInt32(shardCount))"
  }

  /// Enters a prescription for the change that `message` makes.
  func enter(
    _ key: String, for dispenser: String, at time: SpineTime, by message: String
  ) async throws(SpineError) {
    let entry = "\(time.text)|\(message)"
    try await lists.update(Self.shard(of: key, for: dispenser)) { list in
      var entries = list?.entries ?? [:]
      guard entries[key] == nil || !(entries[key] ?? "").hasSuffix(message) else {
        return .keep(())
      }
      entries[key] = entry
      return .write(NominationList(entries: entries), ())
    }
  }

  /// The entries of a dispenser, oldest first.
  func entries(for dispenser: String) async throws(SpineError) -> [Entry] {
    let shards = await concurrently(Array(0..<Self.shardCount)) { (number) throws(SpineError) in
      try await lists.fetch("\(dispenser)/\(number)")?.value
    }
    var found: [Entry] = []
    for shard in shards {
      found += (try shard.get()?.entries ?? [:]).map { Entry(key: $0.key, stamp: $0.value) }
    }
    return found.sorted { ($0.stamp, $0.key) < ($1.stamp, $1.key) }
  }

  /// Takes out entries that no longer wait; one entered again since is kept.
  func remove(
    _ stale: [Entry], for dispenser: String
  ) async throws(SpineError) {
    let groups = Dictionary(grouping: stale, by: { Self.shard(of: $0.key, for: dispenser) })
    let results = await concurrently(Array(groups)) { (shard, group) throws(SpineError) in
      try await remove(group, from: shard)
    }
    for result in results { try result.get() }
  }

  private func remove(_ stale: [Entry], from shard: String) async throws(SpineError) {
    try await lists.update(shard) { list in
      guard var entries = list?.entries else { return .keep(()) }
      let before = entries.count
      for entry in stale where entries[entry.key] == entry.stamp { entries[entry.key] = nil }
      return entries.count == before
        ? .keep(()) : .write(NominationList(entries: entries), ())
    }
  }
}
