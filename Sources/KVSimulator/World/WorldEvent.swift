import KVBase
import KVCluster
import KVModel
import KVNode

/// What can happen in a simulated world.
indirect enum WorldEvent {
  /// A message reaches a shard, if its connection still stands.
  case arrival(Bytes, from: ShardPlace, to: ShardPlace, connection: UInt64)
  /// A shard's deadline may have come.
  case timer(ShardPlace, incarnation: Int)
  /// A disk makes a shard's writes durable.
  case flush(ShardPlace, incarnation: Int)
  /// A shard learns that a flush has ended.
  case flushed(ShardPlace, incarnation: Int, through: UInt64)
  /// A shard's store gets time for flushes and compactions.
  case backgroundWork(ShardPlace, incarnation: Int)
  /// A client's request reaches its shard.
  case request(RequestID, ClientRequest, ShardPlace, incarnation: Int)
  /// A client's cancellation reaches its shard.
  case cancellation(RequestID, ShardPlace, incarnation: Int)
  /// A shard learns that a client has taken a part of its listing.
  case listingTaken(RequestID, ShardPlace, incarnation: Int)
  /// A node notices that its connection to another is gone.
  case disconnection(node: Int, incarnation: Int, peer: Int)
  /// A process starts.
  case boot(node: Int)
  /// A slow process gets round to an event.
  case late(WorldEvent)
  /// Something the simulation itself has planned.
  case due(PlannedTask)
}

/// What a simulation plans for later; the world hands it back when its time has come.
enum PlannedTask {
  /// A client sends its next request.
  case client(Int)
  /// The request must have been answered by now.
  case deadline(RequestID)
  /// A client loses patience.
  case impatience(RequestID)
  /// The next fault occurs.
  case fault
  /// A fault ends.
  case recovery(Recovery)
  /// The membership script goes on.
  case membership
  /// What a former owner holds is looked for at the next owner.
  case transferCheck(TransferCheck)
  /// Who has won a race for a prescription is looked at.
  case verdict
  /// A node that lost its disk asks to be a member again.
  case rejoin(node: Int)
}

/// How a fault ends.
enum Recovery {
  /// Links between nodes are whole again.
  case links([(from: Int, to: Int)])
  /// A process starts again.
  case boot(node: Int)
  /// A process whose flush failed is replaced.
  case replaceProcess(node: Int)
  /// A disk has space again.
  case freeDisk(node: Int)
  /// A process that was asked to stop must have done so.
  case endStop(node: Int, incarnation: Int)
}

/// What a simulation learns from its world.
enum Observation {
  /// A shard answered a client.
  case reply(RequestID, ClientReply, isFinal: Bool)
  /// A shard answered an operator.
  case adminReply(RequestID, AdminReply)
  /// The process that had the request is gone; no answer will come.
  case lost(RequestID)
  /// A planned task is due.
  case due(PlannedTask)
  /// A node has come upon damage in its files.
  case damaged(node: Int)
  /// All shards of a node have finished; so many partitions are still occupied there.
  case stopped(node: Int, wasAsked: Bool, occupiedCount: Int)
}
