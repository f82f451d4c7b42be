import KVBase

/// An SSTable opened for reading; its index and filter stay in memory.
///
/// Every block is checked against its checksum when it is read from the file.
///
/// **Concurrency**: immutable after opening; any thread may read.
final class Table: Sendable {
  let path: String
  let properties: TableFormat.Properties
  private let file: any ReadableFile
  private let number: FileNumber
  private let cache: BlockCache
  private let index: Block
  private let filter: Bytes

  /// Opens a table and verifies footer, index, filter and properties.
  init(
    path: String, number: FileNumber, fileSystem: any FileSystem, cache: BlockCache
  ) throws(StorageError) {
    self.path = path
    self.number = number
    self.cache = cache
    file = try fileSystem.open(path)
    let footerOffset = file.size - TableFormat.footerByteCount
    guard footerOffset >= 0 else {
      throw StorageError(.malformed, "\(file.size) bytes are no SSTable", path: path, offset: 0)
    }
    let stored = try Table.read(
      file, BlockHandle(offset: footerOffset, count: TableFormat.footerByteCount), path)
    defer { stored.deallocate() }
    let footer = try TableFormat.Footer(decoding: Bytes(stored), at: footerOffset, path: path)
    let indexBytes = try Table.readPart(file, footer.index, path)
    guard let index = Block(adopting: indexBytes) else {
      throw StorageError(.malformed, "not an index", path: path, offset: footer.index.offset)
    }
    self.index = index
    filter = try Table.readFilter(file, footer.filter, path)
    properties = try Table.readProperties(file, footer.properties, path)
  }

  private static func readFilter(
    _ file: any ReadableFile, _ handle: BlockHandle, _ path: String
  ) throws(StorageError) -> Bytes {
    guard handle.count > 0 else { return [] }
    let raw = try readPart(file, handle, path)
    defer { raw.deallocate() }
    guard BloomFilter.isValid(raw) else {
      throw StorageError(.malformed, "not a filter", path: path, offset: handle.offset)
    }
    return Bytes(raw)
  }

  private static func readProperties(
    _ file: any ReadableFile, _ handle: BlockHandle, _ path: String
  ) throws(StorageError) -> TableFormat.Properties {
    let raw = try readPart(file, handle, path)
    defer { raw.deallocate() }
    var reader = ByteReader(Bytes(raw))
    do throws(DecodingFailure) {
      let properties = try TableFormat.Properties(decoding: &reader)
      try reader.expectEnd()
      return properties
    } catch {
      throw StorageError(.malformed, "\(error)", path: path, offset: handle.offset)
    }
  }

  // MARK: Reading blocks

  /// Reads bytes of the file into new memory.
  private static func read(
    _ file: any ReadableFile, _ handle: BlockHandle, _ path: String
  ) throws(StorageError) -> UnsafeMutableRawBufferPointer {
    guard handle.offset >= 0, handle.count >= 0, handle.count <= file.size,
      handle.offset <= file.size - handle.count
    else {
      throw StorageError(
        .malformed, "\(handle.count) bytes beyond the end", path: path, offset: handle.offset)
    }
    let memory = Block.allocate(handle.count)
    do throws(StorageError) {
      let count = try file.read(
        at: handle.offset, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<handle.count]))
      guard count == handle.count else {
        throw StorageError(
          .missingFile, "the file ends early", path: path, offset: handle.offset + count)
      }
      return UnsafeMutableRawBufferPointer(rebasing: memory[..<handle.count])
    } catch {
      memory.deallocate()
      throw error
    }
  }

  private static func readPart(
    _ file: any ReadableFile, _ handle: BlockHandle, _ path: String
  ) throws(StorageError) -> RawBytes {
    let whole = BlockHandle(
      offset: handle.offset, count: handle.count + TableFormat.trailerByteCount)
    let stored = try read(file, whole, path)
    defer { stored.deallocate() }
    return try TableFormat.decodeBlock(RawBytes(stored), offset: handle.offset, path: path)
  }

  /// The block, from the cache or the file; blocks read from the file may be added to the cache.
  func block(_ handle: BlockHandle, fillCache: Bool = true) throws(StorageError) -> Block {
    let key = BlockCache.Key(file: number.rawValue, offset: handle.offset)
    if let block = cache.find(key) { return block }
    let bytes = try Table.readPart(file, handle, path)
    let block = try adopt(bytes, handle)
    if fillCache { cache.insert(block, for: key) }
    return block
  }

  /// The block if the cache has it.
  func cachedBlock(_ handle: BlockHandle) -> Block? {
    cache.find(BlockCache.Key(file: number.rawValue, offset: handle.offset))
  }

  /// The block at the beginning of `window`, which holds it and its trailer.
  func block(_ handle: BlockHandle, in window: RawBytes) throws(StorageError) -> Block {
    let stored = window.slice(0, handle.count + TableFormat.trailerByteCount)
    return try adopt(
      try TableFormat.decodeBlock(stored, offset: handle.offset, path: path), handle)
  }

  /// Reads at least the block and its trailer, at most `byteCount` bytes, to the end of `window`.
  func read(
    _ handle: BlockHandle, ahead byteCount: Int, into window: inout RawBuffer
  ) throws(StorageError) {
    let needed = handle.count + TableFormat.trailerByteCount
    guard handle.offset >= 0, needed <= file.size, handle.offset <= file.size - needed else {
      throw StorageError(
        .malformed, "\(needed) bytes beyond the end", path: path, offset: handle.offset)
    }
    let wanted = min(max(needed, byteCount), file.size - handle.offset)
    var failure: StorageError?
    window.append(upTo: wanted) { room in
      do throws(StorageError) { return try file.read(at: handle.offset, into: room) } catch {
        failure = error
        return 0
      }
    }
    if let failure { throw failure }
    guard window.count >= needed else {
      throw StorageError(.missingFile, "the file ends early", path: path, offset: handle.offset)
    }
  }

  private func adopt(_ bytes: RawBytes, _ handle: BlockHandle) throws(StorageError) -> Block {
    guard let block = Block(adopting: bytes) else {
      throw StorageError(.malformed, "not a block", path: path, offset: handle.offset)
    }
    return block
  }

  // MARK: Searching

  /// The index, whose entries map the last key of each block to its handle.
  var indexBlock: Block { index }

  func malformedIndex() -> StorageError {
    StorageError(.malformed, "the index does not follow its format", path: path)
  }

  /// Decodes the value of an index entry.
  @inline(__always)
  func handle(_ value: RawBytes) throws(StorageError) -> BlockHandle {
    var reader = RawReader(value)
    guard let offset = reader.count(atMost: file.size), let count = reader.count(atMost: file.size)
    else { throw malformedIndex() }
    return BlockHandle(offset: offset, count: count)
  }

  /// Looks the key up; `hash` is its filter hash.
  func find(_ key: RawBytes, hash: UInt64) throws(StorageError) -> Lookup {
    if !filter.isEmpty, !filter.withRaw({ BloomFilter.mayContain(hash, $0) }) { return .absent }
    let location: BlockHandle
    switch index.search(key) {
    case .entry(let entry, _): location = try handle(entry.value)
    case .beyondEnd: return .absent
    case .malformed: throw malformedIndex()
    }
    let block = try block(location)
    switch block.search(key) {
    case .entry(let found, true):
      let entry = EntryView(
        key: key, value: found.value, headByteCount: found.headByteCount,
        sequence: found.sequence, kind: found.kind, expiry: found.expiry)
      return .found(entry, block)
    case .entry, .beyondEnd: return .absent
    case .malformed:
      throw StorageError(
        .malformed, "a block does not follow its format", path: path, offset: location.offset)
    }
  }

  /// False when the filter excludes every key with this hash.
  func mayContain(_ hash: UInt64) -> Bool {
    filter.isEmpty || filter.withRaw { BloomFilter.mayContain(hash, $0) }
  }

  /// Reads the whole file and compares its checksum with the one the manifest records.
  func verify(byteCount: Int, checksum: UInt32) throws(StorageError) {
    guard file.size == byteCount else {
      throw StorageError(
        .missingFile, "\(file.size) bytes instead of \(byteCount)", path: path, offset: file.size)
    }
    var found: UInt32 = 0
    var offset = 0
    while offset < byteCount {
      let count = min(1 << 20, byteCount - offset)
      let part = try Table.read(file, BlockHandle(offset: offset, count: count), path)
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
