import KVBase

/// A bounded queue of many producers and the one thread that drains it.
///
/// Items have a weight in bytes; ``post(_:byteCount:)`` refuses an item when the queue holds its
/// limit of items or bytes or is closed, and the poster must then answer or drop it. ``force(_:)`` is for the few
/// items that may not be lost and whose number is bounded otherwise.
///
/// **Concurrency**: posting from any thread; draining from one.
final class Mailbox<Item: Sendable>: @unchecked Sendable {
  private let condition = Condition()
  // Guarded by `condition`.
  private var items: [Item] = []
  private var bytes = 0
  private var isWaiting = false
  private var refusedCount = 0
  private var highest = 0
  private var isClosed = false

  private let limit: Int
  private let byteLimit: Int

  init(limit: Int, byteLimit: Int) {
    self.limit = limit
    self.byteLimit = byteLimit
  }

  /// Appends the item unless the queue is full; false means that it was refused.
  func post(_ item: Item, byteCount: Int = 0) -> Bool {
    condition.lock()
    guard !isClosed, items.count < limit, bytes + byteCount <= byteLimit || bytes == 0 else {
      refusedCount += 1
      condition.unlock()
      return false
    }
    append(item, byteCount)
    return true
  }

  /// Appends the item whether or not the queue is full; for a closed one nobody cares any more.
  func force(_ item: Item) {
    condition.lock()
    append(item, 0)
  }

  /// Refuses everything from now on and returns what still waits.
  func close() -> [Item] {
    condition.lock()
    defer { condition.unlock() }
    isClosed = true
    defer { items = [] }
    return items
  }

  /// Ends the critical section.
  ///
  /// The consumer is woken only when it sleeps: a system call less for
  /// every item that arrives while it works.
  private func append(_ item: Item, _ byteCount: Int) {
    items.append(item)
    bytes += byteCount
    highest = max(highest, items.count)
    let wakes = isWaiting
    isWaiting = false
    condition.unlock()
    if wakes { condition.signal() }
  }

  /// Replaces `batch` by everything that waits; sleeps until there is something or the instant has
  /// come, in which case the batch is empty.
  func drain(into batch: inout [Item], until instant: Instant) {
    batch.removeAll(keepingCapacity: true)
    condition.lock()
    while items.isEmpty {
      if instant != .distantFuture, SystemClock.instant() >= instant { break }
      isWaiting = true
      condition.wait(until: instant)
      isWaiting = false
    }
    swap(&batch, &items)
    bytes = 0
    condition.unlock()
  }

  /// Items waiting now, the most that ever waited, and the number refused.
  var counts: (waiting: Int, highest: Int, refused: Int) {
    condition.lock()
    defer { condition.unlock() }
    return (items.count, highest, refusedCount)
  }
}
