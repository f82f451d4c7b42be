import KVBase
import KVCluster
import KVNode
import KVStorage

/// A shard by position: the node's and its own.
struct ShardPlace: Hashable {
  /// The node's position in the world.
  var node: Int
  /// The shard's position in the node.
  var shard: Int
}

/// One node of a simulated world: a machine with a disk and clocks, and the process on it.
struct SimulatedNode {
  /// What the process is doing.
  enum State: Equatable {
    /// No process.
    case off
    /// At work.
    case running
    /// Finishing what is under way, after an orderly stop.
    case stopping
    /// It has left the cluster for good.
    case departed
  }

  /// The node as a member: name, endpoints, shard count.
  var member: Member
  /// What its clocks show.
  var clock: SimulatedClock
  /// Its disk.
  var fileSystem = CrashableFileSystem()
  /// The latest peer protocol of the release that is installed.
  var protocolVersion = PeerProtocol.latest
  /// What the process is doing.
  var state = State.off
  /// Counts the processes, so that what was meant for an earlier one can be told.
  var incarnation = 0
  /// The process's shards; empty when it is off.
  var shards: [SimulatedShard] = []
  /// Until this time the process stands still.
  var pausedUntil: UInt64 = 0
  /// Until this time each thing the process does takes milliseconds.
  var slowUntil: UInt64 = 0
  /// Until this time a slow process is busy with what it has been given.
  var busyUntil: UInt64 = 0
  /// Until this time the disk is slow.
  var diskSlowUntil: UInt64 = 0
  /// True when the next flush is to fail.
  var nextSyncFails = false
  /// True once a flush of this process has failed.
  var hasSyncFailed = false
  /// When its disk was last replaced by an empty one.
  var emptiedAt: UInt64?
  /// True while files of the disk may be damaged.
  var isRotten = false
  /// True once a table has been damaged of which the node is to find the objects again by itself:
  /// until it has, some of its reads fail.
  var hasRottenTable = false

  /// True while it takes requests.
  var isRunning: Bool { state == .running }
}

/// One shard at work: the real state machine on the real store.
struct SimulatedShard {
  /// The state machine.
  var shard: Shard
  /// Its store, on the node's disk.
  let store: Store
  /// The same store as the shard sees it.
  let replicas: LSMReplicaStore
  /// When the world will look at the shard's deadline next.
  var wakeTime: UInt64 = .max
  /// The flush that has been asked for and not begun.
  var syncWanted: UInt64 = 0
  /// True from the start of a flush until the shard is told of its end.
  var isSyncing = false
  /// True once the shard has finished after a stop.
  var isStopped = false
  /// Transfers whose end has been looked at.
  var checkedTransfers: Set<PendingTransfer> = []
  /// When it has last forwarded a batch to the next owner of a partition.
  var batchForwardedAt: UInt64?
  /// How often the timer has fired without time passing.
  var timersAtOnce = 0
  /// When the timer fired last.
  var latestTimer: UInt64 = .max
}
