import KVBase
import KVCluster
import KVModel

/// What a shard's clock can call for.
enum Deadline: Hashable {
  /// Look for partitions to hand off, ask for the view, flush what nobody waits for.
  case tick
  /// The view has changed: look for partitions to hand off before the next tick.
  case handOff
  /// A GET's answer or its late replies are due.
  case get(OperationID)
  /// A body that a GET waits for is late.
  case hedge(OperationID)
  /// A PUT's retry, answer or late copies are due.
  case put(OperationID)
  /// A forwarded PUT's outcome is due.
  case forward(OperationID)
  /// A listing's end is due.
  case listing(OperationID)
  /// A page of a listing is due.
  case listPage(OperationID)
  /// An index query's end is due.
  case index(OperationID)
  /// A page of an index query is due.
  case indexPage(OperationID)
  /// The end of a key query, or of a vnode's part in one, is due.
  case keyQuery(KeyQueryDeadline)
  /// A change of bucket properties is due.
  case properties(OperationID)
  /// A round on a register, its successor or the client's answer is due.
  case consensus(OperationID)
  /// A write that waits for others of its key has waited for too long.
  case consensusQueue(ObjectKey)
  /// The answer to a handoff's message is due.
  case handoff(PartitionID, OperationID, number: UInt32)
  /// A handoff that sent too fast may go on.
  case handoffPause(PartitionID, OperationID)
  /// Tombstones are due to be reaped.
  case tombstones
  /// The next stretch of a dropped bucket is due to be removed.
  case drop
  /// A round of reaping is due to end.
  case reap(OperationID)
  /// GETs that a trim waits for may have ended.
  case reapDrain(ReapDrain)
  /// The shard must stop now.
  case stop
  /// Something of anti-entropy is due.
  case entropy(EntropyDeadline)
}

/// The deadlines of one shard: a binary heap by instant, first come first served among equals.
///
/// Deadlines are not taken back: whoever is called checks whether it is still concerned.
/// ``compact(keeping:)`` throws out the rest when there are many.
struct Deadlines {
  private struct Entry {
    var instant: Instant
    var order: UInt64
    var deadline: Deadline

    static func < (a: Entry, b: Entry) -> Bool {
      a.instant == b.instant ? a.order < b.order : a.instant < b.instant
    }
  }

  private var heap: [Entry] = []
  private var order: UInt64 = 0

  /// The number of deadlines, also of those that concern nobody any more.
  var count: Int { heap.count }

  /// The earliest deadline's instant.
  var next: Instant { heap.first?.instant ?? .distantFuture }

  /// Calls for `deadline` at `instant`.
  mutating func add(_ deadline: Deadline, at instant: Instant) {
    guard instant < .distantFuture else { return }
    order += 1
    heap.append(Entry(instant: instant, order: order, deadline: deadline))
    siftUp(heap.count - 1)
  }

  /// Takes the earliest deadline that is due.
  mutating func popDue(at now: Instant) -> Deadline? {
    guard let first = heap.first, first.instant <= now else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      siftDown(0)
    }
    return first.deadline
  }

  /// Drops the deadlines that concern nobody any more.
  mutating func compact(keeping isLive: (Deadline) -> Bool) {
    heap = heap.filter { isLive($0.deadline) }
    for index in heap.indices.reversed() { siftDown(index) }
  }

  private mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0, heap[index] < heap[(index - 1) / 2] {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2]
      where child < heap.count && heap[child] < heap[least] {
        least = child
      }
      guard least != index else { return }
      heap.swapAt(index, least)
      index = least
    }
  }
}
