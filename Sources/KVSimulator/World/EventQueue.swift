/// What happens next in a simulated world: events by virtual time, those of one time in the order
/// they were scheduled.
///
/// **Invariants**: 1. no event is due before one already taken; 2. the order follows from the calls
/// alone, so that a run can be repeated.
struct EventQueue<Event> {
  private struct Entry {
    var time: UInt64
    var sequence: UInt64
    /// Where the event lies: moving it about in the heap would cost more than all else here.
    var slot: Int

    func precedes(_ other: Entry) -> Bool {
      time == other.time ? sequence < other.sequence : time < other.time
    }
  }

  private var heap: [Entry] = []
  private var events: [Event?] = []
  private var freeSlots: [Int] = []
  private var nextSequence: UInt64 = 0
  private var latestTaken: UInt64 = 0

  /// The number of events waiting.
  var count: Int { heap.count }

  /// The time of the next event.
  var nextTime: UInt64? { heap.first?.time }

  /// Adds an event; a time in the past means at once.
  ///
  /// Cost is O(log count).
  mutating func schedule(_ event: Event, at time: UInt64) {
    let slot = freeSlots.popLast() ?? events.count
    if slot == events.count { events.append(event) } else { events[slot] = event }
    heap.append(Entry(time: max(time, latestTaken), sequence: nextSequence, slot: slot))
    nextSequence += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].precedes(heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes the next event.
  ///
  /// Cost is O(log count).
  mutating func takeNext() -> (time: UInt64, event: Event)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    precondition(first.time >= latestTaken, "time went from \(latestTaken) to \(first.time)")
    latestTaken = first.time
    guard let event = events[first.slot] else {
      preconditionFailure("the event at \(first.time) is gone from slot \(first.slot)")
    }
    events[first.slot] = nil
    freeSlots.append(first.slot)
    return (first.time, event)
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].precedes(heap[smallest]) {
        smallest = child
      }
      guard smallest != parent else { return }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
