import KVBase

/// Walks through one SSTable, or, as a ``LevelCursor``, through several one after the other.
///
/// Sequential reading goes through a window of the file, larger the longer it goes on, and leaves
/// the block cache alone, so a long scan neither pays a system call per block nor evicts what is
/// hot.
class TableCursor: Cursor {
  @exclusivity(unchecked) private(set) final var table: Table?
  @exclusivity(unchecked) private var part = 0
  /// Keeps the memory of `index`, unless the table does.
  @exclusivity(unchecked) private var indexOwner: Block?
  @exclusivity(unchecked) private var index = IndexBlock.empty
  @exclusivity(unchecked) private var indexPosition = 0
  /// Keeps the memory of the run's block, unless the source does.
  @exclusivity(unchecked) private var blockOwner: Block?
  @exclusivity(unchecked) private var blockOffset = 0
  @exclusivity(unchecked) private var backward = BackwardRun()
  @exclusivity(unchecked) private var source: BlockSource
  /// Called for what is damaged, which is then passed over when going forward; without it damage is
  /// an error.
  final var onDamage: ((BlockDamage) -> Void)?

  /// A cursor of a table.
  /// - Parameter readsAll: the whole table will be read, as in a compaction.
  init(_ table: Table?, readsAll: Bool = false) {
    self.table = table
    source = BlockSource(readsAll: readsAll)
  }

  // MARK: What a cursor of several tables replaces

  /// Opens the table after this one at its first entry; false when there is none.
  func openNextTable() throws(StorageError) -> Bool { false }

  /// Opens the table before this one; false when there is none.
  func openPreviousTable() throws(StorageError) -> Bool { false }

  /// Makes `table` the one that is read.
  final func open(_ table: Table) {
    self.table = table
    source.forget()
    indexOwner = nil
    index = .empty
  }

  // MARK: Seeking

  override func seek(_ key: RawBytes) throws(StorageError) {
    isValid = false
    source.sequentialCount = 0
    guard let table else { return }
    do throws(StorageError) {
      try loadPart(table, table.directory.lastIndex(notAfter: key))
      try loadBlock(table, index.lastIndex(notAfter: key))
    } catch {
      try pass(error)
      return try nextBeyondBlock()
    }
    switch run.data.search(key) {
    case .entry(let stored, _):
      run.move(
        to: stored, prefix: key.slice(0, stored.shared), rest: stored.unshared, &entry)
      isValid = true
    case .beyondEnd:
      run.skipToEnd()
      try nextBeyondBlock()
    case .malformed: throw malformed()
    }
  }

  override func seekToLast() throws(StorageError) {
    isValid = false
    source.sequentialCount = 0
    guard let table else { return }
    try loadPart(table, table.directory.count - 1)
    try loadBlock(table, index.count - 1)
    try settleBackward(before: run.data.end)
  }

  // MARK: Moving

  override func nextBeyondBlock() throws(StorageError) {
    while run.isAtEnd {
      do throws(StorageError) {
        guard try loadNextBlock() else {
          isValid = false
          return
        }
      } catch { try pass(error) }
    }
    guard run.nextWithLongerKey(&entry) else { throw malformed() }
    isValid = true
  }

  override func previous() throws(StorageError) { try settleBackward(before: run.entryPlace) }

  /// Moves to the last entry before a place in the block, or in a block before it.
  private func settleBackward(before place: DataBlock.Place) throws(StorageError) {
    var limit = place
    if backward.keyEnd != limit.key, !backward.fill(run.data, before: limit) { throw malformed() }
    while !backward.pop(into: &run, &entry) {
      guard try loadPreviousBlock() else {
        isValid = false
        return
      }
      limit = run.data.end
      guard backward.fill(run.data, before: limit) else { throw malformed() }
    }
    isValid = true
  }

  override func rest(at sequence: UInt64) {
    isValid = false
    run.begin(.empty)
    backward.removeAll()
    blockOwner = nil
    indexOwner = nil
    index = .empty
    source.forget()
  }

  // MARK: Loading

  private func loadNextBlock() throws(StorageError) -> Bool {
    guard let table else { return false }
    source.sequentialCount = max(0, source.sequentialCount) + 1
    if indexPosition + 1 < index.count {
      try loadBlock(table, indexPosition + 1)
    } else if part + 1 < table.directory.count {
      try loadPart(table, part + 1)
      try loadBlock(table, 0)
    } else {
      guard try openNextTable(), let table = self.table else { return false }
      try loadPart(table, 0)
      try loadBlock(table, 0)
    }
    return true
  }

  private func loadPreviousBlock() throws(StorageError) -> Bool {
    guard let table else { return false }
    source.sequentialCount = min(0, source.sequentialCount) - 1
    if indexPosition > 0 {
      try loadBlock(table, indexPosition - 1)
    } else if part > 0 {
      try loadPart(table, part - 1)
      try loadBlock(table, index.count - 1)
    } else {
      guard try openPreviousTable(), let table = self.table else { return false }
      try loadPart(table, table.directory.count - 1)
      try loadBlock(table, index.count - 1)
    }
    return true
  }

  private func loadPart(_ table: Table, _ number: Int) throws(StorageError) {
    if let sole = table.soleIndex {
      index = sole
      indexOwner = nil
      part = 0
      return
    }
    guard number != part || indexOwner == nil else { return }
    part = number
    index = .empty
    indexOwner = nil
    let handle = table.directory[number].index
    let block = try table.block(handle, .index)
    guard let loaded = block.index else { throw table.malformed("an index", at: handle.offset) }
    index = loaded
    indexOwner = block
  }

  private func loadBlock(_ table: Table, _ number: Int) throws(StorageError) {
    let handle = index.handle(number)
    indexPosition = number
    blockOffset = handle.offset
    backward.removeAll()
    run.begin(.empty)
    if source.isSequential {
      if let data = try source.block(table, handle, owner: &blockOwner) { return run.begin(data) }
    } else {
      let block = try table.block(handle, .data)
      blockOwner = block
      if let data = block.data { return run.begin(data) }
    }
    throw malformed()
  }

  /// Reports damage to the block, or to the part of the index, that was being loaded, and leaves the
  /// cursor behind it; throws the error when nobody wants to know.
  private func pass(_ error: StorageError) throws(StorageError) {
    guard let onDamage, let table, error.isCorruption else { throw error }
    let isBlock = indexPosition < index.count
    let after = isBlock && indexPosition + 1 < index.count
    let end = part + 1 < table.directory.count ? Bytes(table.directory[part + 1].key) : nil
    run.begin(.empty)
    onDamage(
      BlockDamage(
        error: error,
        lower: isBlock ? index.separator(indexPosition) : Bytes(table.directory[part].key),
        upper: after
          ? index.separator(indexPosition + 1) : end ?? table.properties.largestKey.successor,
        sequence: table.properties.largestSequence))
  }

  /// Where the block of the present entry begins in its file.
  final var blockFileOffset: Int { blockOffset }

  private func malformed() -> StorageError {
    table?.malformed("a block", at: blockOffset)
      ?? StorageError(.malformed, "a block without a table")
  }
}
