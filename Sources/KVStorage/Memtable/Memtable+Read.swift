import Synchronization

/// Reading a memtable, beside the one thread that inserts.
extension Memtable {
  /// The newest entry of the key whose sequence number is at most `sequence`.
  @inline(__always)
  func find(_ key: RawBytes, at sequence: UInt64) -> EntryView? {
    guard let node = lowerBound(key, at: sequence) else { return nil }
    let entry = Memtable.entry(node)
    return compareKeys(entry.key, key) == 0 ? entry : nil
  }

  /// The first node that is not before (key, sequence).
  @inline(__always)
  func lowerBound(_ key: RawBytes, at sequence: UInt64) -> Node? {
    lowerBound(key, at: sequence, level: 0)
  }

  private func lowerBound(_ key: RawBytes, at sequence: UInt64, level bottom: Int) -> Node? {
    var node = head
    var level = topLevel
    while true {
      let next = Node(bitPattern: Memtable.link(node, level).published)
      if let next, Memtable.isBefore(next, key, sequence) {
        node = next
      } else {
        if level == bottom { return next }
        level &-= 1
      }
    }
  }

  /// The first node of a level whose key is not before `key`; the level is not above the top.
  func first(notBefore key: RawBytes, level: Int) -> Node? {
    lowerBound(key, at: .max, level: level)
  }

  /// The last node whose key is before `key`.
  func last(before key: RawBytes) -> Node? { last { Memtable.isBefore($0, key, .max) } }

  /// The last node of all.
  var last: Node? { last { _ in true } }

  /// The last node of those at the beginning for which `isPassed` holds.
  @inline(__always)
  private func last(_ isPassed: (Node) -> Bool) -> Node? {
    var node = head
    var level = topLevel
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
  static func next(_ node: Node, level: Int = 0) -> Node? {
    Node(bitPattern: link(node, level).published)
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
  static func link(_ node: Node, _ level: Int) -> Link {
    Link(node + linksOffset + 8 * level)
  }

  /// True when the node comes before (key, sequence).
  @inline(__always)
  static func isBefore(_ node: Node, _ key: RawBytes, _ sequence: UInt64) -> Bool {
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
struct Link {
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
