import KVBase
import KVCluster
import KVModel

/// An operation on a register that this shard carries through.
struct Proposal {
  /// Who must be told the outcome.
  enum Origin {
    /// A client's GET.
    case read(RequestID, headOnly: Bool)
    /// A PUT or delete.
    case write(PutTask)
  }

  var proposer: Proposer
  var origin: Origin
  /// When the client must be answered.
  var deadline: Instant
  /// When the round under way has taken too long, or the pause before the next one is over.
  var roundDue: Instant
  var isPausing = false
  /// The latest deadline asked for, so that votes do not ask for it again.
  var calledAt: Instant?

  /// When the clock must call next.
  var dueAt: Instant { min(deadline, roundDue) }
}

/// What a shard keeps for the consistent buckets.
struct ConsensusState {
  /// The register of a key at one acceptor.
  struct RegisterName: Hashable {
    var partition: PartitionID
    var key: ObjectKey
  }

  /// The seats of this shard's acceptors; nil before the start.
  var seats: SeatTable?
  /// What must be synced for the disk to know its cluster; nil before it was told.
  var adoptionSequence: UInt64?
  /// This shard's part of its ballots; drawn at the start.
  var actor: UInt64 = 0
  /// The highest ballot counter heard of.
  var highestCounter: UInt64 = 0

  var proposals: [OperationID: Proposal] = [:]
  /// Writes of one key go one after the other: racing against oneself helps nobody.
  var active: [ObjectKey: OperationID] = [:]
  var waiting: [ObjectKey: [PutTask]] = [:]

  /// What must be synced before a register may be told of.
  private var unsynced: [RegisterName: UInt64] = [:]
  private var unsyncedOrder: [(sequence: UInt64, name: RegisterName)] = []
  private var unsyncedHead = 0
  /// What must be synced before a seat may be used.
  var seatSequences: [PartitionID: UInt64] = [:]

  var handovers: [PartitionID: SeatHandover] = [:]
  var recoveries: [PartitionID: SeatRecovery] = [:]
  /// Since when this node owns a partition and has heard nothing of its seat.
  var lackingSince: [PartitionID: Instant] = [:]
  /// Partitions with registers that belong to seats which others hold.
  var leftovers: Set<PartitionID> = []

  /// A register was changed by the given sequence.
  mutating func changed(_ name: RegisterName, by sequence: UInt64) {
    unsynced[name] = sequence
    unsyncedOrder.append((sequence, name))
  }

  /// What must be synced before anything about the register may be told; 0 for nothing.
  func sequence(of name: RegisterName) -> UInt64 { unsynced[name] ?? 0 }

  /// Everything up to a sequence is durable.
  mutating func synced(through sequence: UInt64) {
    while unsyncedHead < unsyncedOrder.count, unsyncedOrder[unsyncedHead].sequence <= sequence {
      let entry = unsyncedOrder[unsyncedHead]
      if unsynced[entry.name] == entry.sequence { unsynced[entry.name] = nil }
      unsyncedHead += 1
    }
    if unsyncedHead > 1024, unsyncedHead * 2 > unsyncedOrder.count {
      unsyncedOrder.removeFirst(unsyncedHead)
      unsyncedHead = 0
    }
  }
}
