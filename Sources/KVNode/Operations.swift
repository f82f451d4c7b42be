import KVBase
import KVCluster
import KVModel

/// A PUT as its coordinating shard knows it, from the request to the write.
struct PutTask {
  /// Who must be told the outcome.
  enum Origin {
    /// A client of this shard; `isDelete` says which kind of answer it expects.
    case client(RequestID, isDelete: Bool)
    /// A shard that forwarded its client's PUT.
    case forwarded(OperationID, from: Address)
  }

  var origin: Origin
  /// The vnode of this shard that coordinates.
  var partition: PartitionID
  var key: ObjectKey
  var context: VersionVector
  var content: Content
  var options: PutOptions
  var deadline: Instant
}

/// A delete that first reads the clock.
struct DeleteTask {
  var request: RequestID
  var key: ObjectKey
  var options: PutOptions
  var deadline: Instant
}

/// A GET under way, and what its outcome is for.
struct GetOperation {
  enum Purpose {
    /// A client's GET.
    case client(RequestID)
    /// A conditional PUT's check.
    case condition(PutTask)
    /// A delete without a clock.
    case delete(DeleteTask)
    /// Answered; only repairs are left.
    case answered

    var isAnswered: Bool { if case .answered = self { true } else { false } }
  }

  var coordinator: GetCoordinator
  var purpose: Purpose
  var dueAt: Instant
}

/// A PUT under way at its coordinating shard.
struct PutOperation {
  var coordinator: PutCoordinator
  /// Who must still be told the outcome.
  var origin: PutTask.Origin?
  var returnsBody: Bool
  var waitsForSync: Bool
  var retryAt: Instant
  var retryInterval: Duration
  var deadline: Instant
  var abandonAt: Instant

  /// When the clock must call next.
  var dueAt: Instant {
    min(retryAt, origin == nil ? abandonAt : min(deadline, abandonAt))
  }
}

/// A PUT that another shard coordinates for a client of this one.
struct ForwardOperation {
  var request: RequestID
  var isDelete: Bool
  var target: Address
  var deadline: Instant
}

/// A question of a listing or of an index query that a vnode has not answered.
struct CoverPage {
  /// The listing or query.
  var asker: OperationID
  var number: UInt32
  var target: Address
}

extension [OperationID: CoverPage] {
  /// Forgets the questions of a listing or query that has ended.
  mutating func drop(of asker: OperationID) { self = filter { $0.value.asker != asker } }
}

/// A listing under way.
struct ListOperation {
  var request: RequestID
  var coordinator: ListCoordinator
}

/// A round of reaping under way, and whose tombstones it is about.
struct ReapOperation {
  var round: ReapRound
  var purpose: ReapPurpose
  var candidates: [ReapQueue.Candidate]
}

/// A round of trimming that waits until some GETs have ended.
struct ReapDrain: Hashable {
  /// How often is looked within a round's time.
  static let lookCount = 20

  var operation: OperationID
  var asker: Address
  var gets: [OperationID]
  var looks = lookCount
}

/// How far the shard has come in looking for tombstones that nobody has queued.
struct TombstoneSweep {
  var partition = PartitionID(0)
  var cursor: ObjectKey?
}

/// How far the shard has come in removing what a dropped bucket held.
struct DropSweep {
  var bucket: BucketID
  var time: WallClock
  /// The partitions left, the present one first.
  var partitions: [PartitionID]
  var cursor: ObjectKey?
}

/// An index query under way.
struct IndexOperation {
  var request: RequestID
  var coordinator: IndexCoordinator
}

/// Remembers the latest forwarded PUTs, so that one that arrives twice is performed once.
struct ForwardHistory {
  private struct Name: Hashable {
    var operation: OperationID
    var from: Address
  }

  private static let limit = 8192
  private var known: Set<Name> = []
  private var order: [Name] = []
  private var next = 0

  /// True when this is the first time the PUT arrives.
  mutating func insert(_ operation: OperationID, from: Address) -> Bool {
    let name = Name(operation: operation, from: from)
    guard known.insert(name).inserted else { return false }
    if order.count < Self.limit {
      order.append(name)
    } else {
      known.remove(order[next])
      order[next] = name
      next = (next + 1) % Self.limit
    }
    return true
  }
}
