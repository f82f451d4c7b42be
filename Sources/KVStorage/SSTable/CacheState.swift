/// What a part of the block cache holds: a hash table of slots, each in one of two queues.
///
/// A new block goes to the end of the `fresh` queue, a tenth of the bytes. When its turn comes, it
/// leaves the cache unless it was used meanwhile; then it goes on to the `proven` queue, where each
/// use gives it one more round. So blocks that a scan reads once pass through a tenth of the cache,
/// and a use costs the increment of a counter, not a move in a list. Blocks that left the fresh
/// queue are remembered for a while by a hash, and when they come back are proven at once.
///
/// **Invariants**
/// 1. Every slot with a block is in exactly one queue and in the table once.
/// 2. `byteCount` is the sum of the charges in both queues; after an insertion within the limit.
///
/// **Source**: S3-FIFO (Yang et al., *FIFO queues are all you need for cache eviction*, SOSP 2023).
struct CacheState: ~Copyable {
  private struct Slot {
    var key: BlockCache.Key
    var block: Unmanaged<Block>?
    var tag: UInt32
    var charge: UInt32
    var next: UInt32
    var useCount: UInt8
  }

  /// Slots linked from the oldest to the newest; 0 is no slot.
  private struct Queue {
    var first: UInt32 = 0
    var last: UInt32 = 0
    var byteCount = 0

    mutating func push(_ slot: UInt32, _ slots: UnsafeMutablePointer<Slot>) {
      slots[Int(slot)].next = 0
      if last == 0 { first = slot } else { slots[Int(last)].next = slot }
      last = slot
      byteCount += Int(slots[Int(slot)].charge)
    }

    mutating func pop(_ slots: UnsafeMutablePointer<Slot>) -> UInt32 {
      let slot = first
      first = slots[Int(slot)].next
      if first == 0 { last = 0 }
      byteCount -= Int(slots[Int(slot)].charge)
      return slot
    }
  }

  private static let mostUses: UInt8 = 3
  /// A slot and its share of the table, which is at most half full, and of the ghosts.
  private static let slotByteCount = MemoryLayout<Slot>.stride + 24

  private let byteLimit: Int
  // Slot 0 is never used. An entry of the table is a tag and a slot's number; 0 is empty.
  private var slots: UnsafeMutablePointer<Slot>
  private var table: UnsafeMutablePointer<UInt64>
  private var ghosts: UnsafeMutablePointer<UInt32>
  private var slotCapacity = 16
  private var nextSlot: UInt32 = 1
  private var unused: UInt32 = 0
  private var fresh = Queue()
  private var proven = Queue()
  private(set) var hitCount = 0
  private(set) var missCount = 0

  init(byteLimit: Int) {
    self.byteLimit = byteLimit
    slots = .allocate(capacity: slotCapacity)
    table = .allocate(capacity: slotCapacity * 2)
    table.initialize(repeating: 0, count: slotCapacity * 2)
    ghosts = .allocate(capacity: slotCapacity)
    ghosts.initialize(repeating: 0, count: slotCapacity)
  }

  deinit {
    for queue in [fresh, proven] {
      var slot = queue.first
      while slot != 0 {
        slots[Int(slot)].block?.release()
        slot = slots[Int(slot)].next
      }
    }
    slots.deallocate()
    table.deallocate()
    ghosts.deallocate()
  }

  var byteCount: Int { fresh.byteCount + proven.byteCount }

  private var mask: Int { slotCapacity &* 2 &- 1 }

  /// The bits of a hash that choose the place in the table; others choose the part.
  @inline(__always)
  private static func tag(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash &>> 32) }

  @inline(__always)
  private func search(_ key: BlockCache.Key, _ tag: UInt32) -> Int? {
    var position = Int(tag) & mask
    while true {
      let entry = table[position]
      if entry == 0 { return nil }
      if UInt32(truncatingIfNeeded: entry &>> 32) == tag {
        let slot = Int(UInt32(truncatingIfNeeded: entry))
        if slots[slot].key.offset == key.offset, slots[slot].key.file == key.file { return slot }
      }
      position = (position &+ 1) & mask
    }
  }

  @inline(__always)
  mutating func find(_ key: BlockCache.Key, _ hash: UInt64) -> Block? {
    guard let slot = search(key, CacheState.tag(hash)) else {
      missCount &+= 1
      return nil
    }
    hitCount &+= 1
    if slots[slot].useCount < CacheState.mostUses { slots[slot].useCount &+= 1 }
    return slots[slot].block?.takeUnretainedValue()
  }

  mutating func insert(_ block: Block, _ key: BlockCache.Key, _ hash: UInt64, lasting: Bool) {
    let charge = block.memoryByteCount + CacheState.slotByteCount
    let tag = CacheState.tag(hash)
    guard charge <= byteLimit, search(key, tag) == nil else { return }
    while byteCount + charge > byteLimit { evictOne() }
    if unused == 0, Int(nextSlot) == slotCapacity { grow() }
    let slot = takeSlot()
    (slots + Int(slot)).initialize(
      to: Slot(
        key: key, block: .passRetained(block), tag: tag, charge: UInt32(charge), next: 0,
        useCount: lasting ? 1 : 0))
    link(tag, slot)
    if lasting || wasRecentlyDropped(tag) {
      proven.push(slot, slots)
    } else {
      fresh.push(slot, slots)
    }
  }

  // MARK: Queues

  /// Drops the next block whose turn it is and that was not used; the others get another round.
  private mutating func evictOne() {
    while true {
      if fresh.first != 0, proven.first == 0 || fresh.byteCount > byteLimit / 10 {
        let slot = fresh.pop(slots)
        guard slots[Int(slot)].useCount > 0 else {
          ghosts[ghostIndex(slots[Int(slot)].tag)] = slots[Int(slot)].tag
          return drop(slot)
        }
        slots[Int(slot)].useCount = 0
        proven.push(slot, slots)
      } else {
        let slot = proven.pop(slots)
        guard slots[Int(slot)].useCount > 0 else { return drop(slot) }
        slots[Int(slot)].useCount &-= 1
        proven.push(slot, slots)
      }
    }
  }

  private func ghostIndex(_ tag: UInt32) -> Int { Int(tag) & (slotCapacity &- 1) }

  private mutating func wasRecentlyDropped(_ tag: UInt32) -> Bool {
    guard tag != 0, ghosts[ghostIndex(tag)] == tag else { return false }
    ghosts[ghostIndex(tag)] = 0
    return true
  }

  // MARK: Slots

  private mutating func takeSlot() -> UInt32 {
    guard unused != 0 else {
      defer { nextSlot += 1 }
      return nextSlot
    }
    defer { unused = slots[Int(unused)].next }
    return unused
  }

  private mutating func drop(_ slot: UInt32) {
    unlink(slot)
    slots[Int(slot)].block?.release()
    slots[Int(slot)].block = nil
    slots[Int(slot)].next = unused
    unused = slot
  }

  private mutating func link(_ tag: UInt32, _ slot: UInt32) {
    var position = Int(tag) & mask
    while table[position] != 0 { position = (position &+ 1) & mask }
    table[position] = UInt64(tag) &<< 32 | UInt64(slot)
  }

  /// Empties the slot's place in the table and moves back what was pushed past it.
  private mutating func unlink(_ slot: UInt32) {
    let entry = UInt64(slots[Int(slot)].tag) &<< 32 | UInt64(slot)
    var hole = Int(slots[Int(slot)].tag) & mask
    while table[hole] != entry { hole = (hole &+ 1) & mask }
    var position = hole
    while true {
      position = (position &+ 1) & mask
      guard table[position] != 0 else { break }
      let home = Int(UInt32(truncatingIfNeeded: table[position] &>> 32)) & mask
      if (position &- home) & mask >= (position &- hole) & mask {
        table[hole] = table[position]
        hole = position
      }
    }
    table[hole] = 0
  }

  private mutating func grow() {
    let larger = slotCapacity * 2
    let moved = UnsafeMutablePointer<Slot>.allocate(capacity: larger)
    (moved + 1).moveInitialize(from: slots + 1, count: Int(nextSlot) - 1)
    slots.deallocate()
    slots = moved
    slotCapacity = larger
    table.deallocate()
    table = .allocate(capacity: larger * 2)
    table.initialize(repeating: 0, count: larger * 2)
    for slot in 1..<nextSlot { link(slots[Int(slot)].tag, slot) }
    ghosts.deallocate()
    ghosts = .allocate(capacity: larger)
    ghosts.initialize(repeating: 0, count: larger)
  }

  // MARK: Checking

  func checkInvariants() {
    var seen = 0
    for queue in [fresh, proven] {
      var slot = queue.first
      var bytes = 0
      while slot != 0 {
        precondition(slots[Int(slot)].block != nil, "slot \(slot) of a queue holds no block")
        precondition(
          search(slots[Int(slot)].key, slots[Int(slot)].tag) == Int(slot),
          "slot \(slot) is not in the table")
        bytes += Int(slots[Int(slot)].charge)
        seen += 1
        slot = slots[Int(slot)].next
      }
      precondition(bytes == queue.byteCount, "\(bytes) bytes in a queue of \(queue.byteCount)")
    }
    let entries = (0...mask).count { table[$0] != 0 }
    precondition(entries == seen, "\(entries) entries for \(seen) slots")
    precondition(byteCount <= byteLimit, "\(byteCount) bytes are more than \(byteLimit)")
  }
}
