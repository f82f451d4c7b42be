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
  private static let linksOffset = 32

  /// The range deletes among the operations.
  let ranges = RangeList()
  private let head: Node
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

  // MARK: Reading

  /// The newest entry of the key whose sequence number is at most `sequence`.
  @inline(__always)
  func find(_ key: RawBytes, at sequence: UInt64) -> EntryView? {
    guard let node = lowerBound(key, at: sequence) else { return nil }
    let entry = Memtable.entry(node)
    return compareKeys(entry.key, key) == 0 ? entry : nil
  }

  /// The first node that is not before (key, sequence).
  func lowerBound(_ key: RawBytes, at sequence: UInt64) -> Node? {
    var node = head
    var level = height.load(ordering: .relaxed) &- 1
    while true {
      let next = Node(bitPattern: Memtable.link(node, level).published)
      if let next, Memtable.isBefore(next, key, sequence) {
        node = next
      } else {
        if level == 0 { return next }
        level &-= 1
      }
    }
  }

  /// The last node whose key is before `key`.
  func last(before key: RawBytes) -> Node? { last { Memtable.isBefore($0, key, .max) } }

  /// The last node of all.
  var last: Node? { last { _ in true } }

  /// The last node of those at the beginning for which `isPassed` holds.
  @inline(__always)
  private func last(_ isPassed: (Node) -> Bool) -> Node? {
    var node = head
    var level = height.load(ordering: .relaxed) &- 1
    while true {
      let next = Node(bitPattern: Memtable.link(node, level).published)
      if let next, isPassed(next) {
        node = next
      } else {
        if level == 0 { return node == head ? nil : node }
        level &-= 1
      }
    }
  }

  /// The first node of all.
  var first: Node? { Memtable.next(head) }

  @inline(__always)
  static func next(_ node: Node) -> Node? {
    Node(bitPattern: link(node, 0).published)
  }

  @inline(__always)
  static func key(_ node: Node) -> RawBytes {
    RawBytes(
      start: node + linksOffset + 8 * Int(node.load(fromByteOffset: 20, as: UInt32.self)),
      count: Int(node.load(fromByteOffset: 8, as: UInt32.self)))
  }

  @inline(__always)
  static func entry(_ node: Node) -> EntryView {
    let tag = node.load(as: UInt64.self)
    let keyCount = Int(node.load(fromByteOffset: 8, as: UInt32.self))
    let body = node + linksOffset + 8 * Int(node.load(fromByteOffset: 20, as: UInt32.self))
    return EntryView(
      key: RawBytes(start: body, count: keyCount),
      value: RawBytes(
        start: body + keyCount, count: Int(node.load(fromByteOffset: 12, as: UInt32.self))),
      headByteCount: Int(node.load(fromByteOffset: 16, as: UInt32.self)),
      sequence: tag >> 8, kind: EntryKind(rawValue: UInt8(tag & 3)).unsafelyUnwrapped,
      expiry: node.load(fromByteOffset: 24, as: UInt64.self))
  }

  @inline(__always)
  private static func link(_ node: Node, _ level: Int) -> Link {
    Link(node + linksOffset + 8 * level)
  }

  /// True when the node comes before (key, sequence).
  @inline(__always)
  private static func isBefore(_ node: Node, _ key: RawBytes, _ sequence: UInt64) -> Bool {
    let keyCount = Int(node.load(fromByteOffset: 8, as: UInt32.self))
    let body = node + linksOffset + 8 * Int(node.load(fromByteOffset: 20, as: UInt32.self))
    let order = compareKeys(RawBytes(start: body, count: keyCount), key)
    if order != 0 { return order < 0 }
    return node.load(as: UInt64.self) >> 8 > sequence
  }

  /// Verifies the order of all entries; for tests.
  func checkInvariants() {
    var previous: EntryView?
    var node = first
    var count = 0
    while let current = node {
      let entry = Memtable.entry(current)
      if let previous {
        let order = compareKeys(previous.key, entry.key)
        precondition(
          order < 0 || order == 0 && previous.sequence > entry.sequence,
          "entry \(count) of a memtable is out of order")
      }
      previous = entry
      node = Memtable.next(current)
      count += 1
    }
    precondition(count == entryCount, "\(count) entries linked, \(entryCount) inserted")
  }
}

/// One link of a node, accessed atomically where it lies in the arena.
private struct Link {
  private let address: UnsafeMutablePointer<Atomic<UInt>>

  @inline(__always)
  init(_ raw: UnsafeMutableRawPointer) { address = raw.assumingMemoryBound(to: Atomic<UInt>.self) }

  /// For the writer, who made every link itself.
  @inline(__always)
  var own: UInt { address.pointee.load(ordering: .relaxed) }

  /// For readers: the node linked is complete.
  @inline(__always)
  var published: UInt { address.pointee.load(ordering: .acquiring) }

  /// Sets the link of a node that no reader can reach yet.
  @inline(__always)
  func prepare(_ value: UInt) { address.pointee.store(value, ordering: .relaxed) }

  /// Makes the node linked visible to readers.
  @inline(__always)
  func publish(_ value: UInt) { address.pointee.store(value, ordering: .releasing) }
}
