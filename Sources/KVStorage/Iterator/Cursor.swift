/// A position in sorted entries: the common base of the sources that a scan or compaction merges.
///
/// A class with a stored `entry` so that reading the present entry costs no call. The entry's memory
/// is valid until the cursor moves. Not thread-safe; one owner uses it.
class Cursor {
  /// The entry at the position; meaningful while `isValid`.
  final var entry = EntryView(
    key: RawBytes(start: nil, count: 0), value: RawBytes(start: nil, count: 0), headByteCount: 0,
    sequence: 0, kind: .delete)
  /// False before the first seek and after the last entry.
  final var isValid = false

  /// Moves to the first entry whose key is not before `key`.
  func seek(_ key: RawBytes) throws(StorageError) { preconditionFailure("a subclass seeks") }

  /// Moves to the next entry; the position must be valid.
  func next() throws(StorageError) { preconditionFailure("a subclass moves") }
}

/// Walks through a memtable as it was at a sequence number, newest version of each key first.
final class MemtableCursor: Cursor {
  private let memtable: Memtable
  private let sequence: UInt64
  private var node: Memtable.Node?

  init(_ memtable: Memtable, at sequence: UInt64 = .max) {
    self.memtable = memtable
    self.sequence = sequence
  }

  override func seek(_ key: RawBytes) throws(StorageError) {
    node = memtable.lowerBound(key, at: sequence)
    settle()
  }

  override func next() throws(StorageError) {
    node = node.flatMap(Memtable.next)
    settle()
  }

  private func settle() {
    while let node {
      entry = Memtable.entry(node)
      if entry.sequence <= sequence { break }
      self.node = Memtable.next(node)
    }
    isValid = node != nil
  }
}

/// Walks through one SSTable.
///
/// Sequential reading goes through a window of the file, larger the longer it goes on, and leaves
/// the block cache alone, so a long scan neither pays a system call per block nor evicts what is hot.
final class TableCursor: Cursor {
  private static let windowByteCount = 256 << 10

  private let table: Table
  private let alwaysAhead: Bool
  private var indexOffset = 0
  private var block: Block?
  private var blockLocation = BlockHandle(offset: 0, count: 0)
  private var blockOffset = 0
  private var keyBuffer = RawBuffer()
  private var window = RawBuffer(capacity: 16)
  private var windowStart = 0
  private var sequentialCount = 0

  /// - Parameter readsAll: the whole table will be read, as in a compaction.
  init(_ table: Table, readsAll: Bool = false) {
    self.table = table
    alwaysAhead = readsAll
  }

  override func seek(_ key: RawBytes) throws(StorageError) {
    sequentialCount = 0
    isValid = false
    let index = table.indexBlock
    let found: Block.StoredEntry
    switch index.search(key) {
    case .entry(let entry, _): found = entry
    case .beyondEnd: return
    case .malformed: throw table.malformedIndex()
    }
    indexOffset = found.end
    try load(try table.handle(found.value))
    guard let block, let restart = block.restartOffset(before: key) else { throw malformed() }
    blockOffset = restart
    repeat { try step() } while isValid && compareKeys(entry.key, key) < 0
  }

  override func next() throws(StorageError) { try step() }

  /// Decodes the entry at `blockOffset`, going on to the next block at the end of this one.
  private func step() throws(StorageError) {
    guard var block else { return }
    while block.isEnd(blockOffset) {
      guard try loadNextBlock(), let next = self.block else {
        isValid = false
        return
      }
      block = next
    }
    guard let stored = block.decode(at: blockOffset), stored.shared <= keyBuffer.count else {
      throw malformed()
    }
    blockOffset = stored.end
    keyBuffer.truncate(to: stored.shared)
    keyBuffer.append(stored.unshared)
    entry = EntryView(
      key: keyBuffer.bytes, value: stored.value, headByteCount: stored.headByteCount,
      sequence: stored.sequence, kind: stored.kind, expiry: stored.expiry)
    isValid = true
  }

  private func loadNextBlock() throws(StorageError) -> Bool {
    let index = table.indexBlock
    guard !index.isEnd(indexOffset) else { return false }
    guard let stored = index.decode(at: indexOffset) else { throw table.malformedIndex() }
    indexOffset = stored.end
    sequentialCount += 1
    try load(try table.handle(stored.value))
    return true
  }

  private func load(_ location: BlockHandle) throws(StorageError) {
    blockLocation = location
    blockOffset = 0
    keyBuffer.removeAll()
    if !alwaysAhead {
      if sequentialCount < 2 {
        block = try table.block(location)
        return
      }
      if let cached = table.cachedBlock(location) {
        block = cached
        return
      }
    }
    let end = location.offset + location.count + TableFormat.trailerByteCount
    if location.offset < windowStart || end > windowStart + window.count {
      window.removeAll()
      window.shrink(to: TableCursor.windowByteCount)
      windowStart = location.offset
      let ahead = alwaysAhead ? TableCursor.windowByteCount : 8192 << min(sequentialCount, 5)
      try table.read(location, ahead: ahead, into: &window)
    }
    let bytes = window.bytes
    block = try table.block(
      location, in: RawBytes(rebasing: bytes[(location.offset - windowStart)...]))
  }

  private func malformed() -> StorageError {
    StorageError(
      .malformed, "a block does not follow its format", path: table.path,
      offset: blockLocation.offset)
  }
}

/// Merges sources; entries of the same key come newest first.
///
/// A binary heap of the valid sources by their present entry.
final class MergingCursor: Cursor {
  private var sources: [Cursor]
  private var heap: [Cursor] = []

  init(_ sources: [Cursor]) { self.sources = sources }

  override func seek(_ key: RawBytes) throws(StorageError) {
    heap.removeAll(keepingCapacity: true)
    for source in sources {
      try source.seek(key)
      if source.isValid { heap.append(source) }
    }
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    settle()
  }

  override func next() throws(StorageError) {
    let top = heap[0]
    try top.next()
    if !top.isValid {
      let last = heap.removeLast()
      if heap.isEmpty {
        isValid = false
        return
      }
      heap[0] = last
    }
    siftDown(0)
    settle()
  }

  @inline(__always)
  private func settle() {
    isValid = !heap.isEmpty
    if isValid { entry = heap[0].entry }
  }

  @inline(__always)
  private func isBefore(_ a: Cursor, _ b: Cursor) -> Bool {
    let order = compareKeys(a.entry.key, b.entry.key)
    return order == 0 ? a.entry.sequence > b.entry.sequence : order < 0
  }

  private func siftDown(_ start: Int) {
    var index = start
    while true {
      var child = 2 * index + 1
      guard child < heap.count else { return }
      if child + 1 < heap.count, isBefore(heap[child + 1], heap[child]) { child += 1 }
      guard isBefore(heap[child], heap[index]) else { return }
      heap.swapAt(index, child)
      index = child
    }
  }
}
