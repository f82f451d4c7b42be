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

  private static let writeByteCount = 256 << 10

  private let file: any WritableFile
  private let options: StoreOptions
  private var block: BlockBuilder
  private var index = BlockBuilder(restartInterval: 1)
  private var pending = RawBuffer(capacity: writeByteCount + (64 << 10))
  private var compressed = RawBuffer(capacity: 8 << 10)
  private var hashes: [UInt64] = []
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
  var byteCount: Int { fileOffset + pending.count + block.byteCount }

  /// Adds an entry; its key is after the one added before.
  func append(_ entry: EntryView) throws(StorageError) {
    if properties.entryCount == 0 { properties.smallestKey = Bytes(entry.key) }
    properties.entryCount += 1
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

  /// Writes what is left, makes the file durable and describes it.
  func finish() throws(StorageError) -> Result {
    precondition(properties.entryCount > 0, "a table needs at least one entry")
    if !hasLasting { properties.lastExpiry = lastExpiry }
    if !block.isEmpty { try finishBlock() }
    let noFilter = BlockHandle(offset: 0, count: 0)
    var filter = noFilter
    if !hashes.isEmpty {
      let bytes = BloomFilter.encode(hashes, bitsPerKey: options.filterBitsPerKey)
      filter = try bytes.withRaw { (raw) throws(StorageError) in try write(raw, compress: false) }
    }
    var writer = ByteWriter()
    properties.encode(into: &writer)
    let described = try writer.bytes.withRaw { (raw) throws(StorageError) in
      try write(raw, compress: false)
    }
    let indexHandle = try write(index.finish(), compress: false)
    let footer = TableFormat.Footer(index: indexHandle, filter: filter, properties: described)
    footer.encode().withRaw { pending.append($0) }
    try flush()
    try file.sync()
    return Result(byteCount: fileOffset, checksum: checksum, properties: properties)
  }

  private func finishBlock() throws(StorageError) {
    properties.largestKey = Bytes(block.lastKey.bytes)
    let handle = try write(block.finish(), compress: options.compression == .lz4)
    block.reset()
    var encoded = RawBuffer(capacity: 20)
    encoded.append(varint: UInt64(handle.offset))
    encoded.append(varint: UInt64(handle.count))
    let value = encoded.bytes
    properties.largestKey.withRaw { key in
      index.append(
        EntryView(key: key, value: value, headByteCount: 0, sequence: 0, kind: .put))
    }
  }

  private func write(_ bytes: RawBytes, compress: Bool) throws(StorageError) -> BlockHandle {
    let offset = fileOffset + pending.count
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
