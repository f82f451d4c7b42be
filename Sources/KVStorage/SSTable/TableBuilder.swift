import KVBase

/// Writes sorted entries, one per key, to an SSTable file.
///
/// The caller appends in key order, then calls ``finish()``; a builder dropped before that leaves a
/// file that no manifest names.
final class TableBuilder {
  /// What the manifest records of a finished table.
  struct Result {
    var byteCount: Int
    var checksum: UInt32
    var properties: TableFormat.Properties
  }

  /// Index and filter of a part, kept until the data blocks are all written.
  private struct FinishedPart {
    var description: TableDirectory.Description
    var index: Bytes
    var filter: Bytes
  }

  private static let writeByteCount = 256 << 10

  private let file: any WritableFile
  private let options: StoreOptions
  private var block: BlockBuilder
  private var index = IndexBuilder()
  private var hashes: [UInt64] = []
  private var parts: [FinishedPart] = []
  private var partEntryCount = 0
  private var pending = RawBuffer(capacity: writeByteCount + (64 << 10))
  private var compressed = RawBuffer(capacity: 8 << 10)
  private var properties = TableFormat.Properties()
  private var hasLasting = false
  private var lastExpiry: UInt64 = 0
  private var fileOffset = 0
  private var checksum: UInt32 = 0

  init(file: any WritableFile, options: StoreOptions) {
    self.file = file
    self.options = options
    block = BlockBuilder(restartInterval: options.restartInterval)
  }

  /// The bytes written so far and those of the open block.
  var byteCount: Int { position + block.byteCount }

  private var position: Int { fileOffset + pending.count }

  /// Adds an entry; its key is after the one added before.
  func append(_ entry: EntryView) throws(StorageError) {
    if block.isEmpty { beginBlock(entry.key) }
    properties.entryCount += 1
    partEntryCount += 1
    if entry.kind == .delete { properties.tombstoneCount += 1 } else { noteExpiry(entry.expiry) }
    properties.smallestSequence = min(properties.smallestSequence, entry.sequence)
    properties.largestSequence = max(properties.largestSequence, entry.sequence)
    if options.filterBitsPerKey > 0 { hashes.append(BloomFilter.hash(entry.key)) }
    block.append(entry)
    if block.byteCount >= options.blockByteCount { try finishBlock() }
  }

  private func noteExpiry(_ expiry: UInt64) {
    if expiry == 0 { hasLasting = true }
    lastExpiry = max(lastExpiry, expiry)
  }

  /// Names the block in the index by as much of its first key as tells it from the block before.
  private func beginBlock(_ key: RawBytes) {
    guard properties.entryCount > 0 else {
      properties.smallestKey = Bytes(key)
      index.append(key, offset: position)
      return
    }
    let common = properties.largestKey.withRaw { commonPrefixCount($0, key) }
    index.append(key.slice(0, common + 1), offset: position)
  }

  /// Writes what is left, makes the file durable and describes it.
  func finish() throws(StorageError) -> Result {
    precondition(properties.entryCount > 0, "a table needs at least one entry")
    if !hasLasting { properties.lastExpiry = lastExpiry }
    if !block.isEmpty { try finishBlock() }
    if index.count > 0 { finishPart() }
    let directory = TableDirectory.encode(try writeParts())
    var described = ByteWriter()
    properties.encode(into: &described)
    let footer = TableFormat.Footer(
      directory: try write(directory, compress: false),
      properties: try write(described.bytes, compress: false))
    footer.encode().withRaw { pending.append($0) }
    try flush()
    try file.sync()
    return Result(byteCount: fileOffset, checksum: checksum, properties: properties)
  }

  private func finishBlock() throws(StorageError) {
    properties.largestKey = Bytes(block.lastKey.bytes)
    _ = try write(block.finish(), compress: options.compression == .lz4)
    block.reset()
    let filterByteCount = hashes.count * options.filterBitsPerKey / 8
    if index.byteCount >= options.indexPartByteCount
      || filterByteCount >= 2 * options.indexPartByteCount
    {
      finishPart()
    }
  }

  private func finishPart() {
    let none = BlockHandle(offset: 0, count: 0)
    let description = TableDirectory.Description(
      key: index.firstKey, index: none, filter: none, entryCount: partEntryCount)
    let filter =
      hashes.isEmpty ? [] : BloomFilter.encode(hashes, bitsPerKey: options.filterBitsPerKey)
    parts.append(
      FinishedPart(
        description: description, index: index.finish(end: position), filter: filter))
    hashes.removeAll(keepingCapacity: true)
    partEntryCount = 0
  }

  private func writeParts() throws(StorageError) -> [TableDirectory.Description] {
    for number in parts.indices where !parts[number].filter.isEmpty {
      parts[number].description.filter = try write(parts[number].filter, compress: false)
    }
    for number in parts.indices {
      parts[number].description.index = try write(
        parts[number].index, compress: options.compression == .lz4)
    }
    return parts.map(\.description)
  }

  private func write(_ bytes: Bytes, compress: Bool) throws(StorageError) -> BlockHandle {
    try bytes.withRaw { (raw) throws(StorageError) in try write(raw, compress: compress) }
  }

  private func write(_ bytes: RawBytes, compress: Bool) throws(StorageError) -> BlockHandle {
    let offset = position
    var encoding = TableFormat.BlockEncoding.raw
    let start = pending.count
    if compress, TableFormat.compress(bytes, into: &compressed) {
      encoding = .lz4
      pending.append(compressed.bytes)
    } else {
      pending.append(bytes)
    }
    let count = pending.count - start
    pending.append(encoding.rawValue)
    pending.append(fixed: UInt32(bytes.count))
    pending.append(fixed: CRC32C.checksum(pending.bytes.slice(start, count + 5)))
    if pending.count >= TableBuilder.writeByteCount { try flush() }
    return BlockHandle(offset: offset, count: count)
  }

  private func flush() throws(StorageError) {
    let bytes = pending.bytes
    try file.write(bytes, at: fileOffset)
    checksum = CRC32C.checksum(bytes, continuing: checksum)
    fileOffset += bytes.count
    pending.removeAll()
  }
}
