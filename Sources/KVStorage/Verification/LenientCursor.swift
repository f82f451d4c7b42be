import KVBase

/// A block of a table that cannot be read, and the keys that may be in it.
struct BlockDamage {
  var error: StorageError
  /// The last key of the block before; nil for the first.
  var after: Bytes?
  var last: Bytes
}

/// Walks through one table and passes over the blocks that cannot be read.
final class LenientTableCursor: Cursor {
  let table: Table
  private let onDamage: (BlockDamage) -> Void
  private var indexOffset = 0
  private var indexKey = RawBuffer()
  private var previousIndexKey: Bytes?
  private var block: Block?
  private var location = BlockHandle(offset: 0, count: 0)
  private var blockOffset = 0
  private var keyBuffer = RawBuffer()

  init(_ table: Table, onDamage: @escaping (BlockDamage) -> Void) {
    self.table = table
    self.onDamage = onDamage
  }

  /// The place of the present entry's block.
  var blockLocation: BlockHandle { location }

  /// The key that the index has for the present block.
  var blockLastKey: RawBytes { indexKey.bytes }

  /// True when the present entry is the last of its block.
  var isLastOfBlock: Bool { block?.isEnd(blockOffset) ?? true }

  override func seek(_ key: RawBytes) throws(StorageError) {
    indexOffset = 0
    previousIndexKey = nil
    indexKey.removeAll()
    block = nil
    try move(notBefore: key)
    while isValid, compareKeys(entry.key, key) < 0 { try next() }
  }

  override func next() throws(StorageError) {
    try move(notBefore: RawBytes(start: nil, count: 0))
  }

  /// Goes to the next entry of the present block or of the next that can be read and does not lie
  /// wholly before the key.
  private func move(notBefore key: RawBytes) throws(StorageError) {
    while true {
      if let block, !block.isEnd(blockOffset) {
        if decode(block) { return }
        report(
          StorageError(
            .malformed, "a block does not follow its format", path: table.path,
            offset: location.offset))
        self.block = nil
      }
      guard loadNextBlock(notBefore: key) else {
        isValid = false
        return
      }
    }
  }

  private func decode(_ block: Block) -> Bool {
    guard let stored = block.decode(at: blockOffset), stored.shared <= keyBuffer.count else {
      return false
    }
    blockOffset = stored.end
    keyBuffer.truncate(to: stored.shared)
    keyBuffer.append(stored.unshared)
    entry = EntryView(
      key: keyBuffer.bytes, value: stored.value, headByteCount: stored.headByteCount,
      sequence: stored.sequence, kind: stored.kind, expiry: stored.expiry)
    isValid = true
    return true
  }

  /// False at the end of the index; a block that cannot be read leaves `block` nil.
  private func loadNextBlock(notBefore key: RawBytes) -> Bool {
    let index = table.indexBlock
    guard !index.isEnd(indexOffset) else { return false }
    guard let stored = index.decode(at: indexOffset), stored.shared <= indexKey.count else {
      indexKey.removeAll()
      table.properties.largestKey.withRaw { indexKey.append($0) }
      report(table.malformedIndex())
      indexOffset = .max
      return false
    }
    if indexOffset > 0 { previousIndexKey = Bytes(indexKey.bytes) }
    indexOffset = stored.end
    indexKey.truncate(to: stored.shared)
    indexKey.append(stored.unshared)
    if compareKeys(indexKey.bytes, key) < 0 { return true }
    blockOffset = 0
    keyBuffer.removeAll()
    do throws(StorageError) {
      location = try table.handle(stored.value)
      block = try table.block(location, fillCache: false)
    } catch { report(error) }
    return true
  }

  private func report(_ error: StorageError) {
    onDamage(BlockDamage(error: error, after: previousIndexKey, last: Bytes(indexKey.bytes)))
  }
}

/// Walks through tables that ascend without overlap, and passes over what cannot be read.
final class LenientLevelCursor: Cursor {
  private let files: [TableFile]
  private let environment: TableEnvironment
  private let onDamage: (BlockDamage) -> Void
  private var index = 0
  private var cursor: LenientTableCursor?

  init(
    _ files: [TableFile], _ environment: TableEnvironment,
    onDamage: @escaping (BlockDamage) -> Void
  ) {
    self.files = files
    self.environment = environment
    self.onDamage = onDamage
  }

  /// The file of the present entry.
  var path: String? { cursor?.table.path }

  override func seek(_ key: RawBytes) throws(StorageError) {
    index = files.firstIndex(notBefore: key)
    cursor = nil
    try settle(at: key)
  }

  override func next() throws(StorageError) {
    try cursor?.next()
    try settle(at: RawBytes(start: nil, count: 0))
  }

  private func settle(at key: RawBytes) throws(StorageError) {
    while true {
      if let cursor, cursor.isValid {
        entry = cursor.entry
        isValid = true
        return
      }
      guard index < files.count else {
        isValid = false
        return
      }
      let file = files[index]
      index += 1
      do throws(StorageError) {
        // Not the file's own table, which would stay in memory.
        cursor = LenientTableCursor(
          try Table(
            path: file.path, number: file.metadata.number, fileSystem: environment.fileSystem,
            cache: environment.cache), onDamage: onDamage)
      } catch {
        cursor = nil
        onDamage(BlockDamage(error: error, after: file.smallestKey, last: file.largestKey))
      }
      try cursor?.seek(key)
    }
  }
}
