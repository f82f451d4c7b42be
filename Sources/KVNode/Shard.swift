public import KVBase
public import KVCluster
import KVModel

/// One shard of a node: a mini-node with its own partitions, store and coordinators.
///
/// Shard 0 also runs membership for its node and tells the other shards of every new view.
///
/// **Invariants**: every client request gets exactly one final reply; nothing is acknowledged before
/// it is as durable as was asked.
///
/// **Concurrency**: one owner calls ``step(_:at:into:)`` with one event after the other and performs
/// the effects in order.
public struct Shard {
  let configuration: ShardConfiguration
  let store: any ReplicaStore
  /// What this shard knows of the cluster.
  public internal(set) var view: ClusterView
  /// What it has counted.
  public internal(set) var statistics = ShardStatistics()

  /// A shard over an open store; its first event must be ``ShardEvent/start``.
  public init(configuration: ShardConfiguration, store: any ReplicaStore) {
    self.configuration = configuration
    self.store = store
    view = ClusterView(local: configuration.member, ringSize: configuration.ringSize)
  }

  /// When ``ShardEvent/timer`` is due; ``Instant/distantFuture`` when nothing is.
  public var nextDeadline: Instant { .distantFuture }

  /// Takes in one event and appends what must be done about it.
  public mutating func step(
    _ event: ShardEvent, at now: Now, into effects: inout [ShardEffect]
  ) {
    switch event {
    case .request(let id, _): effects.append(.reply(id, .failure(.overload), isFinal: true))
    case .admin(let id, _): effects.append(.adminReply(id, .refused("the node is starting")))
    case .stop: effects.append(.stopped)
    case .start, .message, .requestCancelled, .synced, .syncFailed, .peerDisconnected, .timer: break
    }
  }
}
