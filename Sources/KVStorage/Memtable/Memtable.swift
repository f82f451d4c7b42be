import KVBase
import Synchronization

/// The newest entries of the store, sorted by key and, within a key, newest first.
///
/// A skip list in an arena. Every version of a key stays, so a reader that ignores sequence numbers
/// after its own sees a state that never changes.
///
/// **Invariants**
/// 1. A node is filled before it is linked, and never changed or freed while the memtable lives.
/// 2. Along each level the nodes ascend by (key, sequence descending).
///
/// **Concurrency**: one thread at a time may insert (the store's write lock); any number may read
/// meanwhile. Links are published with release and read with acquire ordering.
///
/// **Source**: Pugh, *Skip lists: a probabilistic alternative to balanced trees* (1990); the
/// single-writer publication follows LevelDB's `skiplist.h`.
final class Memtable: @unchecked Sendable {
  // Nodes:  0 sequence and kind (8)   8 key count (4)   12 value count (4)   16 head count (4)
  //        20 height (4)   24 expiry (8)   32 links (8 each)   then key, value
  typealias Node = UnsafeMutableRawPointer

  static let maximumHeight = 12
  private static let chunkByteCount = 256 << 10
  static let linksOffset = 32

  /// The range deletes among the operations.
  let ranges = RangeList()
  let head: Node
  private let height = Atomic<Int>(1)
  private let entryBytes = Atomic<Int>(0)
  private let entries = Atomic<Int>(0)
  // The rest is the writer's alone.
  private var chunks: [UnsafeMutableRawPointer] = []
  private var free: UnsafeMutableRawPointer
  private var freeByteCount = 0
  private var random: SeededRandom

  init(seed: UInt64 = 0) {
    let first = UnsafeMutableRawPointer.allocate(byteCount: 512, alignment: 8)
    head = first
    free = first
    random = SeededRandom(seed: seed)
    chunks = [first]
    Memtable.fill(
      head, height: Memtable.maximumHeight,
      EntryView(
        key: RawBytes(start: nil, count: 0), value: RawBytes(start: nil, count: 0),
        headByteCount: 0, sequence: 0, kind: .delete))
  }

  deinit { for chunk in chunks { chunk.deallocate() } }

  /// The bytes that the entries take, links and headers included.
  var byteCount: Int { entryBytes.load(ordering: .relaxed) }

  /// The number of entries, all versions counted.
  var entryCount: Int { entries.load(ordering: .relaxed) }

  var isEmpty: Bool { entryCount == 0 && ranges.count == 0 }

  /// The highest level that has links.
  @inline(__always)
  var topLevel: Int { height.load(ordering: .relaxed) &- 1 }

  // MARK: Writing

  /// Adds an entry, copying key and value.
  ///
  /// Its sequence number is larger than any inserted before.
  func insert(_ entry: EntryView) {
    withUnsafeTemporaryAllocation(of: UInt.self, capacity: Memtable.maximumHeight) { previous in
      let currentHeight = height.load(ordering: .relaxed)
      findPredecessors(of: entry, from: currentHeight, previous)
      let nodeHeight = randomHeight()
      if nodeHeight > currentHeight {
        for level in currentHeight..<nodeHeight { previous[level] = UInt(bitPattern: head) }
        // A reader that sees the new height before the links finds nil links in the head: harmless.
        height.store(nodeHeight, ordering: .relaxed)
      }
      let node = allocate(
        Memtable.linksOffset + 8 * nodeHeight + entry.key.count + entry.value.count)
      Memtable.fill(node, height: nodeHeight, entry)
      for level in 0..<nodeHeight {
        guard let before = Node(bitPattern: previous[level]) else { continue }
        let after = Memtable.link(before, level).own
        Memtable.link(node, level).prepare(after)
        Memtable.link(before, level).publish(UInt(bitPattern: node))
      }
    }
    entries.store(entries.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  @inline(__always)
  private func findPredecessors(
    of entry: EntryView, from top: Int, _ previous: UnsafeMutableBufferPointer<UInt>
  ) {
    var node = head
    var level = top &- 1
    while true {
      let next = Memtable.link(node, level).own
      if let nextNode = Node(bitPattern: next),
        Memtable.isBefore(nextNode, entry.key, entry.sequence)
      {
        node = nextNode
      } else {
        previous[level] = UInt(bitPattern: node)
        if level == 0 { return }
        level &-= 1
      }
    }
  }

  private func randomHeight() -> Int {
    // Two bits a level: a node reaches the next level with probability 1/4.
    var bits = random.next()
    var result = 1
    while result < Memtable.maximumHeight, bits & 3 == 0 {
      result += 1
      bits >>= 2
    }
    return result
  }

  private func allocate(_ byteCount: Int) -> Node {
    let rounded = (byteCount + 7) & ~7
    entryBytes.store(entryBytes.load(ordering: .relaxed) &+ rounded, ordering: .relaxed)
    if rounded > freeByteCount {
      if rounded > Memtable.chunkByteCount / 4 {
        let own = UnsafeMutableRawPointer.allocate(byteCount: rounded, alignment: 8)
        chunks.append(own)
        return own
      }
      // The first chunks are small: a simulated cluster has hundreds of nearly empty memtables.
      let size = min(Memtable.chunkByteCount, max(rounded, 4096 << min(chunks.count - 1, 6)))
      free = .allocate(byteCount: size, alignment: 8)
      freeByteCount = size
      chunks.append(free)
    }
    defer {
      free += rounded
      freeByteCount -= rounded
    }
    return free
  }

  private static func fill(_ node: Node, height: Int, _ entry: EntryView) {
    node.storeBytes(of: entry.sequence << 8 | UInt64(entry.kind.rawValue), as: UInt64.self)
    node.storeBytes(of: UInt32(entry.key.count), toByteOffset: 8, as: UInt32.self)
    node.storeBytes(of: UInt32(entry.value.count), toByteOffset: 12, as: UInt32.self)
    node.storeBytes(of: UInt32(entry.headByteCount), toByteOffset: 16, as: UInt32.self)
    node.storeBytes(of: UInt32(height), toByteOffset: 20, as: UInt32.self)
    node.storeBytes(of: entry.expiry, toByteOffset: 24, as: UInt64.self)
    for level in 0..<height {
      node.storeBytes(of: 0, toByteOffset: linksOffset + 8 * level, as: UInt.self)
    }
    let body = node + linksOffset + 8 * height
    if let key = entry.key.baseAddress { body.copyMemory(from: key, byteCount: entry.key.count) }
    if let value = entry.value.baseAddress {
      (body + entry.key.count).copyMemory(from: value, byteCount: entry.value.count)
    }
  }
}
