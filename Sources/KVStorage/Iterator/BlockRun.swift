/// The entries of a block, one after the other, with their keys put together.
struct BlockRun: ~Copyable {
  private(set) var data = DataBlock.empty
  /// Where the present entry begins, and where the next one does.
  private(set) var entryPlace = DataBlock.Place()
  private(set) var place = DataBlock.Place()
  private var key: UnsafeMutableRawPointer?
  private var keyCount = 0
  private var keyCapacity = 0

  /// Keys are copied eight bytes at a time, up to seven beyond their end.
  private static let slack = 8

  deinit { key?.deallocate() }

  @inline(__always)
  var isAtEnd: Bool { data.isEnd(place) }

  /// Goes to before the first entry of a block.
  mutating func begin(_ data: DataBlock) {
    self.data = data
    entryPlace = DataBlock.Place()
    place = entryPlace
    keyCount = 0
  }

  /// Goes behind the last entry.
  mutating func skipToEnd() { place = data.end }

  /// Decodes the next entry; false at the end, when it is malformed, and when its key needs room.
  @inline(__always)
  mutating func next(_ entry: inout EntryView) -> Bool {
    guard !isAtEnd, let stored = data.decode(at: place), stored.shared <= keyCount,
      stored.shared &+ stored.unshared.count <= keyCapacity, let key
    else { return false }
    BlockRun.copy(stored.unshared, to: key + stored.shared)
    show(stored, &entry)
    return true
  }

  /// The same when the key needs more room than there is.
  mutating func nextWithLongerKey(_ entry: inout EntryView) -> Bool {
    guard !isAtEnd, let stored = data.decode(at: place), stored.shared <= keyCount else {
      return false
    }
    reserve(stored.shared + stored.unshared.count)
    return next(&entry)
  }

  /// Goes to an entry of the block whose key is `prefix` and then `rest`.
  mutating func move(
    to stored: DataBlock.StoredEntry, prefix: RawBytes, rest: RawBytes, _ entry: inout EntryView
  ) {
    reserve(prefix.count + rest.count)
    guard let key else { return }
    if let base = prefix.baseAddress { key.copyMemory(from: base, byteCount: prefix.count) }
    if let base = rest.baseAddress {
      (key + prefix.count).copyMemory(from: base, byteCount: rest.count)
    }
    var whole = stored
    whole.shared = prefix.count
    whole.unshared = rest
    show(whole, &entry)
  }

  @inline(__always)
  private mutating func show(
    _ stored: DataBlock.StoredEntry, _ entry: inout EntryView
  ) {
    keyCount = stored.shared &+ stored.unshared.count
    entryPlace = stored.start
    place = stored.end
    entry = EntryView(
      key: RawBytes(start: key, count: keyCount), value: stored.value,
      headByteCount: stored.headByteCount, sequence: stored.sequence, kind: stored.kind,
      expiry: stored.expiry)
  }

  /// Behind a key in a block there are always eight more bytes.
  @inline(__always)
  private static func copy(_ source: RawBytes, to target: UnsafeMutableRawPointer) {
    guard let base = source.baseAddress else { return }
    var offset = 0
    repeat {
      target.storeBytes(
        of: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self), toByteOffset: offset,
        as: UInt64.self)
      offset &+= 8
    } while offset < source.count
  }

  private mutating func reserve(_ count: Int) {
    guard count > keyCapacity || key == nil else { return }
    let larger = max(56, count, keyCapacity * 2)
    let moved = UnsafeMutableRawPointer.allocate(
      byteCount: larger + BlockRun.slack, alignment: 8)
    if let key {
      moved.copyMemory(from: key, byteCount: keyCount)
      key.deallocate()
    }
    key = moved
    keyCapacity = larger
  }
}

/// The entries of a block between a restart and a position, for reading them backward.
///
/// Keys are stored as differences from the key before, so going back means to decode the run from
/// its restart; what it gives is kept until the run is used up.
struct BackwardRun: ~Copyable {
  private struct Item {
    var stored: DataBlock.StoredEntry
    var keyStart: Int
    var keyCount: Int
  }

  private var items: [Item] = []
  private var keys = RawBuffer(capacity: 16)

  mutating func removeAll() { items.removeAll(keepingCapacity: true) }

  /// Where the last entry's key ends; nil when the run is empty.
  var keyEnd: Int? { items.last?.stored.end.key }

  /// Decodes from the last restart before `limit` up to it; false when the block is malformed.
  ///
  /// The run stays empty when nothing is before the limit.
  mutating func fill(_ data: DataBlock, before limit: DataBlock.Place) -> Bool {
    removeAll()
    guard var place = data.restart(before: limit) else { return true }
    keys.removeAll()
    var last = 0..<0
    while place.key < limit.key {
      guard let stored = data.decode(at: place), stored.shared <= last.count else { return false }
      let start = keys.count
      keys.append(copyOf: last.lowerBound, count: stored.shared)
      keys.append(stored.unshared)
      last = start..<keys.count
      items.append(Item(stored: stored, keyStart: start, keyCount: last.count))
      place = stored.end
    }
    return place.key == limit.key
  }

  /// Moves to the last entry of the run and takes it off; false when the run is empty.
  mutating func pop(into run: inout BlockRun, _ entry: inout EntryView) -> Bool {
    guard let item = items.popLast() else { return false }
    run.move(
      to: item.stored, prefix: keys.bytes.slice(item.keyStart, item.keyCount),
      rest: RawBytes(start: nil, count: 0), &entry)
    return true
  }
}
