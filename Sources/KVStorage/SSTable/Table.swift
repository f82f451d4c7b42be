import KVBase

/// An SSTable opened for reading.
///
/// Every block is checked against its checksum when it is read from the file.
///
/// **Concurrency**: immutable after opening; any thread may read.
final class Table: @unchecked Sendable {
  // The views of index and filter are of memory that `pinned` keeps.
  let path: String
  let properties: TableFormat.Properties
  let directory: TableDirectory
  let file: any ReadableFile
  let number: FileNumber
  let cache: BlockCache
  /// Index and filter of a table with one part.
  private let pinned: [Block]
  let soleIndex: IndexBlock?
  let soleFilter: BloomFilter?

  /// Opens a table and verifies footer, directory and properties, and the only part if it has one.
  init(
    path: String, number: FileNumber, fileSystem: any FileSystem, cache: BlockCache
  ) throws(StorageError) {
    self.path = path
    self.number = number
    self.cache = cache
    let file = try fileSystem.open(path)
    self.file = file
    let tail = try TableTail.read(file, path)
    let footer = try tail.footer()
    directory = try tail.decode(footer.directory) { (reader) throws(DecodingFailure) in
      try TableDirectory(decoding: &reader)
    }
    properties = try tail.decode(footer.properties) { (reader) throws(DecodingFailure) in
      try TableFormat.Properties(decoding: &reader)
    }
    guard directory.count == 1 else {
      pinned = []
      soleIndex = nil
      soleFilter = nil
      return
    }
    let index = try tail.block(directory[0].index, .index)
    let filter = directory[0].filter.count == 0 ? nil : try tail.block(directory[0].filter, .filter)
    pinned = [index] + (filter.map { [$0] } ?? [])
    soleIndex = index.index
    soleFilter = filter?.filter
  }

  // MARK: Reading blocks

  /// The block, from the cache or the file; blocks read from the file are added to the cache.
  @inline(__always)
  func block(_ handle: BlockHandle, _ kind: Block.Kind) throws(StorageError) -> Block {
    let key = BlockCache.Key(file: number.rawValue, offset: handle.offset)
    if let block = cache.find(key) { return block }
    return try readBlock(handle, kind, key)
  }

  @inline(never)
  private func readBlock(
    _ handle: BlockHandle, _ kind: Block.Kind, _ key: BlockCache.Key
  ) throws(StorageError) -> Block {
    let block = try FileReader(file, path).block(handle, kind)
    cache.insert(block, for: key, lasting: kind != .data)
    return block
  }

  /// The block if the cache has it.
  func cachedBlock(_ handle: BlockHandle) -> Block? {
    cache.find(BlockCache.Key(file: number.rawValue, offset: handle.offset))
  }

  func malformed(_ what: String, at offset: Int) -> StorageError {
    StorageError(.malformed, what + " does not follow its format", path: path, offset: offset)
  }

  // MARK: Searching

  /// Looks the key up; `hash` is its filter hash.
  func find(_ key: RawBytes, hash: UInt64) throws(StorageError) -> Lookup {
    if let soleIndex {
      if let soleFilter, !soleFilter.mayContain(hash) { return .absent }
      return try find(key, in: soleIndex.handle(soleIndex.lastIndex(notAfter: key)))
    }
    let part = directory[directory.lastIndex(notAfter: key)]
    if part.filter.count > 0 {
      let block = try block(part.filter, .filter)
      guard let filter = block.filter else { throw malformed("a filter", at: part.filter.offset) }
      let mayContain = filter.mayContain(hash)
      withExtendedLifetime(block) {}
      if !mayContain { return .absent }
    }
    let block = try block(part.index, .index)
    guard let index = block.index else { throw malformed("an index", at: part.index.offset) }
    let handle = index.handle(index.lastIndex(notAfter: key))
    withExtendedLifetime(block) {}
    return try find(key, in: handle)
  }

  @inline(__always)
  private func find(_ key: RawBytes, in handle: BlockHandle) throws(StorageError) -> Lookup {
    let block = try block(handle, .data)
    guard let data = block.data else { throw malformed("a block", at: handle.offset) }
    switch data.search(key) {
    case .entry(let found, true):
      let entry = EntryView(
        key: key, value: found.value, headByteCount: found.headByteCount,
        sequence: found.sequence, kind: found.kind, expiry: found.expiry)
      return .found(entry, block)
    case .entry, .beyondEnd: return .absent
    case .malformed: throw malformed("a block", at: handle.offset)
    }
  }

  // MARK: Verifying

  /// Reads the whole file and compares its checksum with the one the manifest records.
  func verify(byteCount: Int, checksum: UInt32) throws(StorageError) {
    guard file.size == byteCount else {
      throw StorageError(
        .missingFile, "\(file.size) bytes instead of \(byteCount)", path: path, offset: file.size)
    }
    var found: UInt32 = 0
    var offset = 0
    let reader = FileReader(file, path)
    while offset < byteCount {
      let count = min(1 << 20, byteCount - offset)
      let part = try reader.bytes(BlockHandle(offset: offset, count: count))
      found = CRC32C.checksum(RawBytes(part), continuing: found)
      part.deallocate()
      offset += count
    }
    guard found == checksum else {
      throw StorageError(
        .checksumMismatch, "damaged file", path: path, offset: 0, expected: checksum, found: found)
    }
  }
}

/// What a lookup of one key found.
enum Lookup {
  case absent
  /// The newest entry; its memory is valid while the block is held.
  case found(EntryView, Block)
}
