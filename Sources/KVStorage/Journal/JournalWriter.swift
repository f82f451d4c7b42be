import KVBase

/// Appends records to one journal segment.
///
/// Records collect in memory and move to the file a group at a time, so that the store can let others
/// append during the write of a group and its sync.
///
/// **Concurrency**: guarded by the store's write lock, but for ``writeGroup()`` and ``sync()``, of
/// which the store runs one at a time and which touch only the group.
final class JournalWriter {
  let header: JournalFormat.Header
  let path: String
  private let file: any WritableFile
  private let seed: UInt32
  private var pending = RawBuffer(capacity: 64 << 10)
  private var group = RawBuffer(capacity: 64 << 10)
  private(set) var writtenOffset: Int
  /// The last operation of the group being written.
  private(set) var groupLastSequence = SequenceNumber.zero
  /// How much of the file is known to be durable.
  var durableOffset: Int

  /// Creates the segment's file; its header and its name are durable when this returns.
  init(
    directory: String, header: JournalFormat.Header, fileSystem: any FileSystem
  ) throws(StorageError) {
    self.header = header
    path = StorePaths.journalSegment(directory, header.number)
    let file = try fileSystem.create(path)
    let bytes = header.encode()
    try bytes.withRaw { (raw) throws(StorageError) in try file.write(raw, at: 0) }
    // Durable before any record: so a bad header with records after it is damage, not a torn write.
    try file.sync()
    try fileSystem.syncDirectory(directory)
    self.file = file
    seed = CRC32C.checksum(bytes.dropLast(4))
    writtenOffset = bytes.count
    durableOffset = bytes.count
  }

  var pendingByteCount: Int { pending.count }

  /// Adds a record with a batch's operations to the pending ones.
  func append(_ batch: WriteBatch, firstSequence: SequenceNumber) {
    let start = pending.count
    let operations = batch.operations
    pending.reserve(JournalFormat.recordHeaderByteCount + 10 + operations.count)
    pending.append(fixed: UInt32(0))
    pending.append(JournalFormat.batchType)
    pending.append(fixed: firstSequence.rawValue)
    pending.append(fixed: UInt64(durableOffset))
    pending.append(fixed: UInt32(0))
    pending.append(varint: UInt64(batch.count))
    operations.withRaw { pending.append($0) }
    let count = pending.count - start
    pending.patch(UInt32(count - JournalFormat.recordHeaderByteCount), at: start)
    let checksum = JournalFormat.checksum(pending.bytes.slice(start, count), seed: seed)
    pending.patch(checksum, at: start + JournalFormat.checksummedByteCount)
  }

  /// Takes the pending records, up to `last`, as the group to write; new ones collect apart.
  ///
  /// A group whose write failed stays the one to write, before any newer record.
  func beginGroup(through last: SequenceNumber) {
    guard group.count == 0 else { return }
    swap(&pending, &group)
    groupLastSequence = last
  }

  /// Writes the group; it may be called again after a failure.
  func writeGroup() throws(StorageError) {
    if group.count > 0 { try file.write(group.bytes, at: writtenOffset) }
  }

  /// The group is in the file; returns its length.
  func endGroup() -> Int {
    let count = group.count
    writtenOffset += count
    group.removeAll()
    group.shrink(to: 4 << 20)
    return count
  }

  func sync() throws(StorageError) { try file.sync() }
}

extension RawBuffer {
  /// Overwrites four bytes with an integer, big-endian.
  @inline(__always)
  fileprivate mutating func patch(_ value: UInt32, at offset: Int) {
    base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
}
