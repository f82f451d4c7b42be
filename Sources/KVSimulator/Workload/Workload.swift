import KVBase

/// What the clients of a run do.
public enum Workload: String, Sendable, CaseIterable {
  /// Puts with and without a context, and reads, of few keys, with options of all kinds.
  case writes
  /// Reads followed by a put with the context read, of few keys, with quorums that overlap.
  case registers
  /// Puts and deletes of the same keys, the deletes with and without a context.
  case deletes
  /// Writes while nodes join and leave.
  case membership
  /// Writes of few keys and many that stay as they are, while partitions move in small batches and
  /// members join, leave, are replaced, removed, marked down or lose their disks.
  case handoff
  /// Bucket properties set, reset and read, while some keys are written.
  case properties
  /// Keys written and listed.
  case listing
  /// Writes of 7 to 50 nodes, some of which join and leave.
  case crowd
  /// Writes while disks lose what they held.
  case disks
  /// Writes, and then replicas that lose or mistake what they hold, with nobody reading.
  case entropy
  /// Writes with index entries, and index queries, while members join and leave.
  case indexes
  /// Counters, sets and maps changed, while members join and leave.
  case types
  /// A little of everything.
  case mixed
  /// Many clients race for the keys of a consistent bucket.
  case conditional
  /// All clients race to issue and to release one prescription after the other.
  case releases

  /// The workload of a run that names none: each as likely as the other, but for costly ones.
  static func draw(_ random: inout SeededRandom) -> Workload {
    let usual = allCases.filter { !$0.isCrowded }
    let drawn = usual[random.below(usual.count)]
    return random.chance(0.01) ? .crowd : drawn
  }

  /// True when nodes join and leave during the run.
  var changesMembership: Bool {
    switch self {
    case .membership, .handoff, .crowd, .indexes, .types, .mixed, .conditional: true
    default: false
    }
  }

  /// True when the cluster is large.
  var isCrowded: Bool { self == .crowd }

  /// True when a node may forget what it had made durable.
  var losesDisks: Bool { self == .disks || self == .conditional }

  /// True when clients use what the first release does not know.
  var needsLatest: Bool { [.conditional, .indexes, .types].contains(self) }

  /// True when clients use the consistent bucket.
  var isConsistent: Bool { self == .conditional || self == .releases }

  /// How often each kind of request is chosen, relative to the others.
  var mix: RequestMix {
    var mix = RequestMix()
    switch self {
    case .writes, .crowd, .handoff: (mix.gets, mix.puts) = (4, 8)
    case .membership: (mix.gets, mix.puts, mix.deletes, mix.listings) = (4, 7, 1, 1)
    case .disks: (mix.gets, mix.puts, mix.updates, mix.deletes) = (4, 6, 4, 1)
    case .registers: (mix.gets, mix.puts, mix.updates) = (3, 1, 8)
    case .deletes: (mix.gets, mix.puts, mix.deletes) = (3, 6, 4)
    case .properties: (mix.gets, mix.puts, mix.properties) = (1, 2, 8)
    case .conditional, .releases: break
    case .indexes: (mix.gets, mix.puts, mix.deletes, mix.queries) = (2, 7, 1, 4)
    case .types: (mix.gets, mix.puts, mix.types) = (1, 1, 10)
    case .listing: (mix.puts, mix.deletes, mix.listings) = (6, 1, 4)
    case .entropy: (mix.puts, mix.deletes) = (8, 2)
    case .mixed:
      (mix.gets, mix.puts, mix.updates) = (4, 6, 4)
      (mix.deletes, mix.properties, mix.listings) = (2, 1, 1)
    }
    return mix
  }
}

/// How often each kind of request is chosen, relative to the others.
struct RequestMix {
  /// Reads.
  var gets = 0
  /// Writes with a context that the client happens to have, or without.
  var puts = 0
  /// Reads followed by a write with the context read.
  var updates = 0
  /// Deletes.
  var deletes = 0
  /// Bucket properties, read or written.
  var properties = 0
  /// Buckets or keys, listed.
  var listings = 0
  /// Index queries.
  var queries = 0
  /// Data types, read or changed.
  var types = 0
}
