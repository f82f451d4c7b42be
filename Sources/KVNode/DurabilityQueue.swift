import KVCluster

/// What waits until writes are durable, in the order of their sequences.
struct DurabilityQueue {
  /// What happens once the sequence is durable.
  enum Waiting {
    /// The shard's new epoch may be used.
    case epoch
    /// The disk is known to be of the view's cluster.
    case seats
    /// The message may be sent.
    case message(PeerMessage, to: Address)
    /// The message may be sent to a node known by its endpoint only.
    case messageToEndpoint(PeerMessage, Endpoint)
    /// An operator may be answered.
    case adminReply(RequestID, AdminReply)
  }

  private var entries: [(sequence: UInt64, waiting: Waiting)] = []
  private var head = 0

  /// The number of things waiting.
  var count: Int { entries.count - head }

  /// The sequence that releases everything.
  var lastSequence: UInt64? { count == 0 ? nil : entries[entries.count - 1].sequence }

  /// Lets `waiting` wait; sequences come in order.
  mutating func wait(_ waiting: Waiting, for sequence: UInt64) {
    if let last = lastSequence {
      precondition(last <= sequence, "sequence \(sequence) comes after \(last)")
    }
    entries.append((sequence, waiting))
  }

  /// Takes all that is durable when everything through `sequence` is.
  mutating func release(through sequence: UInt64) -> [Waiting] {
    var end = head
    while end < entries.count, entries[end].sequence <= sequence { end += 1 }
    let released = entries[head..<end].map(\.waiting)
    head = end
    if head > 1024, head * 2 > entries.count {
      entries.removeFirst(head)
      head = 0
    }
    return released
  }

  /// Takes everything, because a flush failed.
  mutating func removeAll() -> [Waiting] { release(through: .max) }
}
