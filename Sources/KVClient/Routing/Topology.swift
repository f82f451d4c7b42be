import KVBase
import KVModel
import Synchronization

/// What a client has learned about where objects lie: the owners of partitions, and which endpoint is
/// which node.
///
/// A node tells the preference list of one key. Its first partition, together with the key's hash,
/// gives away the number of partitions; so the answers for a few keys tell where all keys of their
/// partitions lie. What is known is a hint: a request that goes to the wrong node is performed all the
/// same. It is learned in the background from the keys that are asked for, one question at a time, and
/// again when it is old.
///
/// **Invariants**: at most as many owners as the largest ring has partitions, and as many buckets as
/// ``bucketLimit``.
/// **Concurrency**: any thread; the state is guarded by its lock.
/// **Source**: Dynamo (SOSP 2007) §5, client-driven coordination; reference sections 1.17 and 4.1.
final class Topology: Sendable {
  /// What is known about one key, and what is worth learning.
  struct Plan {
    /// Where its primaries are, in order of preference.
    var primaries: [KVEndpoint] = []
    /// True when nodes should be asked for their names.
    var wantsNames = false
    /// True when the key's preference list should be asked for.
    var wantsList = false

    var wantsLearning: Bool { wantsNames || wantsList }
  }

  private struct Owner {
    var node: String
    var learned: ContinuousClock.Instant
  }

  private struct State {
    /// Powers of two: the ring sizes that fit all answers so far.
    var sizes = Topology.sizes
    var owners: [Int: Owner] = [:]
    /// How many primaries the keys of a bucket have.
    var replicaCounts: [BucketID: Int] = [:]
    var names: [KVEndpoint: Owner] = [:]
    var namesDue = ContinuousClock.now
    var isLearning = false
    /// Learning that teaches nothing pauses, longer each time.
    var pause = Duration.zero
    var restsUntil = ContinuousClock.now
  }

  /// Ring sizes, as powers of two: 8 to 4096.
  private static let sizes = 3...12
  static let bucketLimit = 1024
  private static let shortestPause = Duration.milliseconds(10)
  private static let longestPause = Duration.seconds(30)
  /// How often endpoints without a name are asked again.
  private static let namesPause = Duration.seconds(1)

  private let endpoints: [KVEndpoint]
  private let refresh: Duration
  private let state = Mutex(State())

  init(endpoints: [KVEndpoint], refresh: Duration) {
    self.endpoints = endpoints
    self.refresh = refresh
  }

  /// What is known about `key`.
  func plan(for key: ObjectKey) -> Plan {
    let placement = key.placement
    let now = ContinuousClock.now
    return state.withLock { state in
      var plan = Plan()
      let mayLearn = !state.isLearning && state.restsUntil <= now
      plan.wantsNames = !state.isLearning && state.namesDue <= now
      guard state.sizes.count == 1, let bits = state.sizes.first else {
        plan.wantsList = mayLearn
        return plan
      }
      let count = state.replicaCounts[key.bucket]
      let first = Self.firstPartition(placement, bits)
      let isFresh = state.owners[first].map { $0.learned + refresh > now } ?? false
      plan.wantsList = mayLearn && (count == nil || !isFresh)
      for offset in 0..<min(count ?? 1, 1 << bits) {
        guard let owner = state.owners[(first + offset) % (1 << bits)] else { continue }
        for endpoint in endpoints
        where state.names[endpoint]?.node == owner.node && !plan.primaries.contains(endpoint) {
          plan.primaries.append(endpoint)
        }
      }
      return plan
    }
  }

  private static func firstPartition(_ placement: UInt32, _ bits: Int) -> Int {
    (Int(placement >> (32 - UInt32(bits))) + 1) % (1 << bits)
  }

  /// How many buckets are remembered.
  var rememberedBuckets: Int { state.withLock { $0.replicaCounts.count } }

  /// The name of the node at `endpoint`, when it is known.
  func name(of endpoint: KVEndpoint) -> String? {
    state.withLock { $0.names[endpoint]?.node }
  }

  /// Forgets which node is at `endpoint`: there may be another when it comes back.
  func forget(_ endpoint: KVEndpoint) {
    let now = ContinuousClock.now
    state.withLock { state in
      guard state.names.removeValue(forKey: endpoint) != nil else { return }
      state.namesDue = min(state.namesDue, now + Self.namesPause)
    }
  }
}

// MARK: - Learning

extension Topology {
  /// True when the caller may learn; it must call ``endLearning(progress:)`` after.
  func beginLearning() -> Bool {
    state.withLock { state in
      guard !state.isLearning else { return false }
      state.isLearning = true
      return true
    }
  }

  /// Ends it; without progress the next time is later.
  func endLearning(progress: Bool) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.isLearning = false
      state.pause =
        progress ? .zero : min(max(state.pause * 2, Self.shortestPause), Self.longestPause)
      state.restsUntil = now + state.pause
    }
  }

  /// The endpoints whose nodes' names are not known, or not for sure any more.
  func takeUnnamed() -> [KVEndpoint] {
    let now = ContinuousClock.now
    return state.withLock { state in
      state.namesDue = now + min(Self.namesPause, refresh)
      return endpoints.filter { endpoint in
        state.names[endpoint].map { $0.learned + refresh <= now } ?? true
      }
    }
  }

  /// Remembers the name of the node at `endpoint`.
  func learn(name: String, of endpoint: KVEndpoint) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.names[endpoint] = Owner(node: name, learned: now)
      if endpoints.allSatisfy({ state.names[$0] != nil }) { state.namesDue = now + refresh }
    }
  }

  /// Remembers the preference list of `key`.
  ///
  /// - Returns: false when it taught nothing: it told nothing, or contradicted what other lists said,
  ///   so that all is forgotten.
  func learn(_ list: [PreferredVnode], for key: ObjectKey) -> Bool {
    guard let first = list.first else { return false }
    let placement = key.placement
    let now = ContinuousClock.now
    return state.withLock { state in
      let fitting = state.sizes.filter { bits in
        Self.firstPartition(placement, bits) == first.partition
          && list.allSatisfy { (0..<1 << bits).contains($0.partition) }
      }
      guard let least = fitting.min(), let most = fitting.max() else {
        state.sizes = Self.sizes
        state.owners = [:]
        state.replicaCounts = [:]
        return false
      }
      var progress = fitting.count < state.sizes.count
      state.sizes = least...most
      for vnode in list where vnode.isPrimary {
        let present = state.owners[vnode.partition]
        let isNews = present.map { $0.node != vnode.node || $0.learned + refresh <= now } ?? true
        progress = progress || isNews
        state.owners[vnode.partition] = Owner(node: vnode.node, learned: now)
      }
      if state.replicaCounts[key.bucket] == nil {
        progress = true
        if state.replicaCounts.count >= Self.bucketLimit { state.replicaCounts = [:] }
      }
      state.replicaCounts[key.bucket] = list.count
      return progress
    }
  }
}
