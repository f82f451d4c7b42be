public import KVBase
public import KVCluster
public import KVModel

/// Names one client request between the driver and the shard that coordinates it.
public struct RequestID: Hashable, Comparable, Sendable {
  /// Unique within the shard's driver.
  public var rawValue: UInt64

  /// The request with this number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The order of the numbers.
  public static func < (a: RequestID, b: RequestID) -> Bool { a.rawValue < b.rawValue }
}

/// What a shard is told.
///
/// Everything a shard knows comes in by these.
public enum ShardEvent: Sendable {
  /// The shard's first event: its store is open and may hold earlier state.
  case start
  /// An encoded peer message arrived from a shard of this or another node.
  case message(Bytes, from: Address)
  /// A client asks; exactly one final reply will follow as an effect.
  case request(RequestID, ClientRequest)
  /// The client is gone: its request need not be answered.
  case requestCancelled(RequestID)
  /// The client of a listing has taken one part of it; until then at most
  /// ``ListCoordinator/deliveryLimit`` parts wait for it.
  case listingTaken(RequestID)
  /// An operator asks; only shard 0 is sent these.
  case admin(RequestID, AdminCommand)
  /// Everything up to the sequence is durable.
  case synced(through: UInt64)
  /// A flush failed: nothing waiting may be acknowledged, and the store takes no more writes.
  case syncFailed(ReplicaStoreFailure)
  /// A scrub came upon damage in the store, from `lower` up to `upper` of its own keys; `isValue` tells
  /// that of one key just the value cannot be read.
  case damaged(lower: Bytes, upper: Bytes, isValue: Bool)
  /// The connection to a node broke or could not be made: a hint for the failure detector.
  case peerDisconnected(NodeID)
  /// A connection to a node was made: both speak this version of the peer protocol.
  case peerSpeaks(UInt16, NodeID)
  /// The time of ``Shard/nextDeadline`` has come.
  case timer
  /// Hand nothing out any more, finish what is under way, then emit ``ShardEffect/stopped``.
  case stop
}

/// What a shard wants done.
///
/// The driver performs effects in order.
public enum ShardEffect: Sendable {
  /// Send an encoded peer message; the same node's other shards are reached the same way.
  case send(Bytes, to: Address)
  /// Send to a node known only by its endpoint (joining a cluster).
  case sendToEndpoint(Bytes, Endpoint)
  /// Answer a client; `isFinal` is false for all but the last batch of a listing.
  case reply(RequestID, ClientReply, isFinal: Bool)
  /// Answer an operator.
  case adminReply(RequestID, AdminReply)
  /// Make everything up to the sequence durable and report it with ``ShardEvent/synced(through:)``.
  case sync(through: UInt64)
  /// Something an operator may want to read.
  case log(LogLevel, String)
  /// A rare path was taken; the simulator counts these.
  case probe(StaticString)
  /// The shard has finished after ``ShardEvent/stop``.
  case stopped
}
