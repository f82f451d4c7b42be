import KVBase
import Synchronization

/// Appends records to one journal segment.
///
/// Records collect in memory and move to the file a group at a time, so that the store can let others
/// append during the write of a group and its sync.
///
/// **Concurrency**: guarded by the store's write lock, but for ``writeGroup(prefill:)``, of which the
/// store runs one at a time and which touches only the group, and for ``Segment/sync()``.
final class JournalWriter {
  let header: JournalFormat.Header
  let segment: Segment
  private let file: any WritableFile
  private let byteLimit: Int
  private let seed: UInt32
  private var pending = RawBuffer(capacity: 64 << 10)
  private var group = RawBuffer(capacity: 64 << 10)
  private var index = SegmentIndexBuilder()
  private(set) var writtenOffset: Int
  private var prefilledOffset: Int
  private var pendingRecordCount = 0
  private var groupRecordCount = 0
  /// The last operation of the group being written.
  private(set) var groupLastSequence = SequenceNumber.zero

  /// Creates the segment's file; header and name become durable with its first sync.
  ///
  /// Beyond about `byteLimit` bytes the caller begins another segment.
  init(
    directory: String, header: JournalFormat.Header, kind: Segment.Kind = .journal,
    byteLimit: Int = .max, fileSystem: any FileSystem
  ) throws(StorageError) {
    self.header = header
    let path = StorePaths.segment(directory, header.number, kind)
    let file = try fileSystem.create(path)
    let bytes = header.encode()
    try bytes.withRaw { (raw) throws(StorageError) in try file.write(raw, at: 0) }
    self.file = file
    self.byteLimit = byteLimit
    segment = Segment(
      number: header.number, kind: kind, path: path, fileSystem: fileSystem, writing: file)
    seed = JournalFormat.seed(bytes[...])
    writtenOffset = bytes.count
    prefilledOffset = bytes.count
    segment.publish(readableByteCount: writtenOffset)
  }

  /// Takes over the memory of a writer that is done: fresh memory costs more than filling it.
  func takeMemory(of finished: JournalWriter) {
    guard finished.pending.count == 0, finished.group.count == 0 else { return }
    swap(&pending, &finished.pending)
    swap(&group, &finished.group)
  }

  var path: String { segment.path }
  var pendingByteCount: Int { pending.count }

  /// The length of the segment once all is written.
  var byteCount: Int { writtenOffset + group.count + pending.count }

  var valueByteCount: Int { index.valueByteCount }

  /// Adds a record with a batch's operations to the pending ones; returns the offset in the file at
  /// which the operations will begin.
  func append(
    _ batch: WriteBatch, firstSequence: SequenceNumber, durable: SequenceNumber,
    type: JournalFormat.RecordType = .batch
  ) -> Int {
    let start = pending.count
    let operations = batch.operations
    pending.reserve(JournalFormat.recordHeaderByteCount + 10 + operations.count)
    beginRecord(type, firstSequence, durable)
    pending.append(varint: UInt64(batch.count))
    let offset = byteCount
    operations.withRaw { pending.append($0) }
    endRecord(from: start)
    return offset
  }

  private func beginRecord(
    _ type: JournalFormat.RecordType, _ firstSequence: SequenceNumber, _ durable: SequenceNumber
  ) {
    pending.append(fixed: UInt32(0))
    pending.append(type.rawValue)
    pending.append(fixed: firstSequence.rawValue)
    pending.append(fixed: durable.rawValue)
    pending.append(fixed: UInt32(0))
  }

  private func endRecord(from start: Int) {
    let count = pending.count - start
    pending.patch(UInt32(count - JournalFormat.recordHeaderByteCount), at: start)
    let checksum = JournalFormat.checksum(pending.bytes.slice(start, count), seed: seed)
    pending.patch(checksum, at: start + JournalFormat.checksummedByteCount)
    pendingRecordCount += 1
  }

  /// Notes a separated value of the record just appended, for the segment's index.
  func noteValue(_ key: RawBytes, offset: Int, byteCount: Int) {
    index.append(key, offset: offset, byteCount: byteCount)
  }

  /// Adds the index record and the footer: nothing may be appended after it.
  func seal(nextSequence: SequenceNumber, durable: SequenceNumber) {
    let offset = byteCount
    let start = pending.count
    beginRecord(.index, nextSequence, durable)
    index.finish(into: &pending)
    endRecord(from: start)
    JournalFormat.footer(indexOffset: offset, seed: seed).withRaw { pending.append($0) }
  }

  /// Takes the pending records, up to `last`, as the group to write; new ones collect apart.
  ///
  /// A group whose write failed stays the one to write, before any newer record.
  func beginGroup(through last: SequenceNumber) {
    guard group.count == 0 else { return }
    swap(&pending, &group)
    (groupRecordCount, pendingRecordCount) = (pendingRecordCount, 0)
    groupLastSequence = last
  }

  /// Writes the group; it may be called again after a failure.
  ///
  /// With `prefill`, and when the records are small, zeros are written ahead: a sync of bytes that lie
  /// within the file as it is need not wait for the file system's own journal.
  func writeGroup(prefill: Bool) throws(StorageError) {
    guard group.count > 0 else { return }
    let end = writtenOffset + group.count
    if prefill, end > prefilledOffset, end < byteLimit,
      group.count < groupRecordCount * JournalWriter.prefilledRecordByteCount
    {
      let next = min(end + JournalWriter.prefillByteCount, byteLimit)
      try file.preallocate(max(prefilledOffset, writtenOffset)..<next)
      prefilledOffset = next
    }
    try file.write(group.bytes, at: writtenOffset)
  }

  /// Records smaller than this on average have the file prefilled: for larger ones, writing every
  /// byte twice costs more than the file system's journal does.
  private static let prefilledRecordByteCount = 4 << 10
  private static let prefillByteCount = 512 << 10

  /// The group is in the file; returns its length.
  func endGroup() -> Int {
    let count = group.count
    writtenOffset += count
    segment.publish(readableByteCount: writtenOffset)
    group.removeAll()
    group.shrink(to: 4 << 20)
    return count
  }

  /// The segment is sealed and written: cuts off what was prefilled.
  func finish() throws(StorageError) {
    if prefilledOffset > writtenOffset { try file.truncate(to: writtenOffset) }
    segment.finish(byteCount: writtenOffset, values: index.valueCount, index.valueByteCount)
  }

  /// Fills the room with bytes that are not in the file yet; false when they are in it.
  func copyBuffered(at offset: Int, into room: UnsafeMutableRawBufferPointer) -> Bool {
    guard offset >= writtenOffset else { return false }
    let inGroup = offset - writtenOffset
    room.copyMemory(
      from: inGroup < group.count
        ? group.bytes.slice(inGroup, room.count)
        : pending.bytes.slice(inGroup - group.count, room.count))
    return true
  }
}

extension RawBuffer {
  /// Overwrites four bytes with an integer, big-endian.
  @inline(__always)
  fileprivate mutating func patch(_ value: UInt32, at offset: Int) {
    base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
}
