import Synchronization

/// Keeps recently used blocks in memory, up to a number of bytes.
///
/// Sixteen parts by hash, each a least-recently-used list under its own lock.
///
/// **Concurrency**: every method may be called from any thread.
final class BlockCache: Sendable {
  /// Names a block for as long as the process lives: file numbers are never used twice.
  struct Key: Hashable {
    var file: UInt64
    var offset: Int

    @inline(__always)
    var mixed: UInt64 {
      let x = (file &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(bitPattern: Int64(offset))
      let y = x &* 0xBF58_476D_1CE4_E5B9
      return y ^ y &>> 31
    }

    @inline(__always)
    func hash(into hasher: inout Hasher) { hasher.combine(mixed) }
  }

  private static let partCount = 16
  private let parts: [CachePart]
  private let byteLimit: Int
  private let hits = Atomic<Int>(0)
  private let misses = Atomic<Int>(0)

  init(byteLimit: Int) {
    self.byteLimit = byteLimit
    parts = (0..<BlockCache.partCount).map { _ in CachePart(byteLimit / BlockCache.partCount) }
  }

  var hitCount: Int { hits.load(ordering: .relaxed) }
  var missCount: Int { misses.load(ordering: .relaxed) }
  var byteCount: Int { parts.reduce(0) { $0 + $1.byteCount } }

  @inline(__always)
  private func part(_ key: Key) -> CachePart { parts[Int(key.mixed &>> 60)] }

  func find(_ key: Key) -> Block? {
    let block = part(key).find(key)
    if block == nil {
      misses.wrappingAdd(1, ordering: .relaxed)
    } else {
      hits.wrappingAdd(1, ordering: .relaxed)
    }
    return block
  }

  /// Adds a block unless it is larger than a part; the least recently used ones make room.
  func insert(_ block: Block, for key: Key) {
    guard block.bytes.count <= byteLimit / BlockCache.partCount else { return }
    part(key).insert(block, for: key)
  }
}

/// One part of the cache: a hash table into slots that form a ring, most recently used first.
private final class CachePart: Sendable {
  private struct Slot {
    var key: BlockCache.Key
    var block: Block?
    var previous: Int
    var next: Int
  }

  private struct State {
    // Slot 0 is the ring's anchor.
    var slots = [Slot(key: BlockCache.Key(file: 0, offset: 0), block: nil, previous: 0, next: 0)]
    var index: [BlockCache.Key: Int] = [:]
    var unused: [Int] = []
    var byteCount = 0

    mutating func unlink(_ slot: Int) {
      slots[slots[slot].previous].next = slots[slot].next
      slots[slots[slot].next].previous = slots[slot].previous
    }

    mutating func linkFirst(_ slot: Int) {
      let second = slots[0].next
      slots[slot].previous = 0
      slots[slot].next = second
      slots[second].previous = slot
      slots[0].next = slot
    }

    mutating func removeLast() {
      let last = slots[0].previous
      unlink(last)
      byteCount -= slots[last].block?.bytes.count ?? 0
      index[slots[last].key] = nil
      slots[last].block = nil
      unused.append(last)
    }
  }

  private let state = Mutex(State())
  private let byteLimit: Int

  init(_ byteLimit: Int) { self.byteLimit = byteLimit }

  var byteCount: Int { state.withLock { $0.byteCount } }

  func find(_ key: BlockCache.Key) -> Block? {
    state.withLock { state in
      guard let slot = state.index[key] else { return nil }
      if state.slots[0].next != slot {
        state.unlink(slot)
        state.linkFirst(slot)
      }
      return state.slots[slot].block
    }
  }

  func insert(_ block: Block, for key: BlockCache.Key) {
    state.withLock { state in
      guard state.index[key] == nil else { return }
      while state.byteCount + block.bytes.count > byteLimit, state.slots[0].previous != 0 {
        state.removeLast()
      }
      let entry = Slot(key: key, block: block, previous: 0, next: 0)
      let slot: Int
      if let reused = state.unused.popLast() {
        slot = reused
        state.slots[slot] = entry
      } else {
        slot = state.slots.count
        state.slots.append(entry)
      }
      state.index[key] = slot
      state.linkFirst(slot)
      state.byteCount += block.bytes.count
    }
  }
}
