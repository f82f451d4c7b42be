import KVBase

/// A bounded queue of many producers, and the right to serve it, which one thread has at a time.
///
/// The queue has a thread that drains it. While that thread sleeps and nothing waits, a producer may
/// take the right instead and serve its item itself, which saves two switches between threads
/// (flat combining: Hendler, Incze, Shavit, Tzafrir, SPAA 2010, with a thread of its own as the
/// combiner under load).
///
/// Items have a weight in bytes; ``post(_:byteCount:)`` refuses an item when the queue holds its
/// limit of items or bytes or is closed, and the poster must then answer or drop it. ``force(_:)`` is for the few
/// items that may not be lost and whose number is bounded otherwise.
///
/// **Concurrency**: posting from any thread; draining from one. Whoever has the right to serve has it
/// until ``release(next:pause:)``, the draining thread until it drains again.
final class Mailbox<Item: Sendable>: @unchecked Sendable {
  /// What became of an item that was offered.
  enum Offer {
    /// It waits for the thread.
    case posted
    /// The queue is full or closed.
    case refused
    /// It was not queued: the caller has the right to serve and serves it.
    case taken
  }

  private let condition = Condition()
  // Guarded by `condition`.
  private var items: [Item] = []
  private var bytes = 0
  /// True while the draining thread sleeps.
  private var isWaiting = false
  /// True while some thread has the right to serve; the draining thread begins with it.
  private var isServed = true
  /// When the draining thread must wake without an item.
  private var wakeUp = Instant.distantFuture
  /// Before this nobody but the draining thread serves.
  private var threadOnlyUntil = Instant(nanoseconds: 0)
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
    guard hasRoom(byteCount) else {
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

  /// Gives the caller the right to serve when nobody has it and nothing waits, else posts the item.
  func offer(_ item: Item, byteCount: Int, at now: Instant) -> Offer {
    condition.lock()
    guard hasRoom(byteCount) else {
      condition.unlock()
      return .refused
    }
    guard isServed || !items.isEmpty || now < threadOnlyUntil else {
      isServed = true
      condition.unlock()
      return .taken
    }
    append(item, byteCount)
    return .posted
  }

  /// Replaces `batch` by what waits, for a thread that has taken the right to serve; by nothing when
  /// more than `limit` items wait.
  func takeMore(into batch: inout [Item], limit: Int) {
    batch.removeAll(keepingCapacity: true)
    condition.lock()
    defer { condition.unlock() }
    guard !items.isEmpty, items.count <= limit else { return }
    swap(&batch, &items)
    bytes = 0
  }

  /// Gives the right to serve back, after an ``Offer/taken``.
  ///
  /// - Parameters:
  ///   - next: when the draining thread must wake at the latest.
  ///   - pause: until when nobody but that thread may serve, if at all.
  func release(next: Instant, pause: Instant?) {
    condition.lock()
    isServed = false
    if let pause { threadOnlyUntil = pause }
    let wakes = isWaiting && (!items.isEmpty || next < wakeUp)
    wakeUp = next
    if wakes { isWaiting = false }
    condition.unlock()
    if wakes { condition.signal() }
  }

  /// Refuses everything from now on and returns what still waits.
  func close() -> [Item] {
    condition.lock()
    defer { condition.unlock() }
    isClosed = true
    defer { items = [] }
    return items
  }

  /// Counts a refusal when there is no room.
  private func hasRoom(_ byteCount: Int) -> Bool {
    if !isClosed, items.count < limit, bytes + byteCount <= byteLimit || bytes == 0 { return true }
    refusedCount += 1
    return false
  }

  /// Ends the critical section.
  ///
  /// The consumer is woken only when it sleeps and nobody serves: a system call less for every item
  /// that arrives while somebody works.
  private func append(_ item: Item, _ byteCount: Int) {
    items.append(item)
    bytes += byteCount
    highest = max(highest, items.count)
    let wakes = isWaiting && !isServed
    if wakes { isWaiting = false }
    condition.unlock()
    if wakes { condition.signal() }
  }

  /// Replaces `batch` by everything that waits; sleeps until there is something or the instant has
  /// come, in which case the batch is empty.
  ///
  /// The caller has the right to serve afterwards, and gives it back by draining again. The instant
  /// may be moved by ``release(next:pause:)`` meanwhile.
  func drain(into batch: inout [Item], until instant: Instant) {
    batch.removeAll(keepingCapacity: true)
    condition.lock()
    isServed = false
    wakeUp = instant
    while isServed || items.isEmpty {
      if !isServed, wakeUp != .distantFuture, SystemClock.instant() >= wakeUp { break }
      isWaiting = true
      // Who serves now wakes this thread when it is needed.
      if isServed { wakeUp = .distantFuture }
      condition.wait(until: wakeUp)
      isWaiting = false
    }
    isServed = true
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
