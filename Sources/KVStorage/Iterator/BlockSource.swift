import KVBase

/// Gives a cursor the blocks of a table that it reads one after the other, from a window of the
/// file.
///
/// Blocks are decompressed into memory that is used again for the next one.
struct BlockSource: ~Copyable {
  private static let windowByteCount = 256 << 10

  /// How many blocks were read in a row; negative for reading backward.
  var sequentialCount = 0
  private let readsAll: Bool
  private var window = RawBuffer(capacity: 16)
  private var windowStart = 0
  private var decoded = RawBuffer(capacity: 16)

  init(readsAll: Bool) { self.readsAll = readsAll }

  /// True when the next block is probably wanted too.
  var isSequential: Bool { readsAll || abs(sequentialCount) > 1 }

  /// Gives up the contents of the window, which are of another table.
  mutating func forget() { window.removeAll() }

  /// The block, in memory that `owner` or this source keeps until the next call; nil when the bytes
  /// are no block.
  mutating func block(
    _ table: Table, _ handle: BlockHandle, owner: inout Block?
  ) throws(StorageError) -> DataBlock? {
    if !readsAll, let cached = table.cachedBlock(handle) {
      owner = cached
      return cached.data
    }
    owner = nil
    let end = handle.offset + handle.count + TableFormat.trailerByteCount
    if handle.offset < windowStart || end > windowStart + window.count {
      try fillWindow(table, handle, end)
    }
    let stored = window.bytes.slice(handle.offset - windowStart, end - handle.offset)
    decoded.removeAll()
    decoded.shrink(to: 1 << 20)
    return DataBlock(
      try TableFormat.decode(stored, offset: handle.offset, path: table.path, into: &decoded))
  }

  private mutating func fillWindow(
    _ table: Table, _ handle: BlockHandle, _ end: Int
  ) throws(StorageError) {
    window.removeAll()
    window.shrink(to: BlockSource.windowByteCount)
    let ahead = readsAll ? BlockSource.windowByteCount : 8192 << min(abs(sequentialCount), 5)
    let reader = FileReader(table.file, table.path)
    windowStart = handle.offset
    if sequentialCount < 0 { windowStart = max(0, min(handle.offset, end - ahead)) }
    try reader.read(
      BlockHandle(offset: windowStart, count: end - windowStart),
      ahead: sequentialCount < 0 ? 0 : ahead, into: &window)
  }
}
