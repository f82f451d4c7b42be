import KVBase
import Synchronization

/// One file of the journal, as readers of separated values and garbage collection see it.
///
/// **Concurrency**: any thread. The file is removed by the background work once the manifest does not
/// name it and no read state refers to this object any more.
final class Segment: Sendable {
  /// Where the segment comes from.
  ///
  /// The raw values are persisted.
  enum Kind: UInt8 {
    /// Written by appends, and replayed after a crash.
    case journal = 0
    /// Written by garbage collection: values only.
    case values = 1
  }

  let number: FileNumber
  let kind: Kind
  let path: String
  private let fileSystem: any FileSystem
  private let opened = Mutex<(any ReadableFile)?>(nil)
  private let writing: Mutex<Writing>
  private let readable = Atomic<Int>(0)
  private let total = Atomic<Int>(0)
  private let values = Atomic<Int>(0)
  private let valueBytes = Atomic<Int>(0)
  private let liveShare = Atomic<Int>(Segment.fullShare)
  private let originalShare = Atomic<Int>(Segment.fullShare)

  private struct Writing {
    var file: (any WritableFile)?
    var isNameDurable = false
    var failure: StorageError?
  }

  /// A segment of which `metadata` is known.
  init(_ metadata: SegmentMetadata, directory: String, fileSystem: any FileSystem) {
    number = metadata.number
    kind = metadata.kind
    path = StorePaths.segment(directory, metadata.number, metadata.kind)
    self.fileSystem = fileSystem
    writing = Mutex(Writing())
    publish(readableByteCount: metadata.byteCount)
    finish(
      byteCount: metadata.byteCount, values: metadata.valueCount, metadata.valueByteCount)
  }

  /// A segment that is being written.
  init(
    number: FileNumber, kind: Kind, path: String, fileSystem: any FileSystem,
    writing file: any WritableFile
  ) {
    self.number = number
    self.kind = kind
    self.path = path
    self.fileSystem = fileSystem
    writing = Mutex(Writing(file: file))
  }

  /// What the manifest says of it; meaningful when it is written to its end.
  var metadata: SegmentMetadata {
    SegmentMetadata(
      number: number, kind: kind, byteCount: total.load(ordering: .relaxed),
      valueCount: values.load(ordering: .relaxed),
      valueByteCount: valueBytes.load(ordering: .relaxed))
  }

  func publish(readableByteCount: Int) { readable.store(readableByteCount, ordering: .releasing) }

  func finish(byteCount: Int, values count: Int, _ byteCountOfValues: Int) {
    total.store(byteCount, ordering: .relaxed)
    values.store(count, ordering: .relaxed)
    valueBytes.store(byteCountOfValues, ordering: .relaxed)
  }

  // MARK: Durability

  /// Makes what is written durable; an error is reported by every later call too.
  ///
  /// The kernel reports a failed write-back once: whoever asks next must not take silence for success.
  func sync() throws(StorageError) {
    try writing.withLock { (writing) throws(StorageError) in
      if let failure = writing.failure { throw failure }
      guard let file = writing.file else { return }
      do throws(StorageError) {
        try file.sync()
        if !writing.isNameDurable { try fileSystem.syncDirectory(parentDirectory(of: path)) }
        writing.isNameDurable = true
      } catch {
        writing.failure = error
        throw error
      }
    }
  }

  /// Closes the handle for writing of a segment that is sealed and synced.
  func closeForWriting() { writing.withLock { $0.file = nil } }

  // MARK: Reading

  /// True when the bytes before `end` are in the file.
  @inline(__always)
  func isReadable(to end: Int) -> Bool { end <= readable.load(ordering: .acquiring) }

  var readableByteCount: Int { readable.load(ordering: .acquiring) }

  func file() throws(StorageError) -> any ReadableFile {
    try opened.withLock { (opened) throws(StorageError) in
      if let file = opened { return file }
      let file = try fileSystem.open(path)
      opened = file
      return file
    }
  }

  /// Appends a value's bytes to `buffer`, unverified.
  func read(_ pointer: ValuePointer, into buffer: inout Bytes) throws(StorageError) {
    var failure: StorageError?
    buffer.append(addingCapacity: pointer.byteCount) { span in
      span.withUnsafeMutableBufferPointer { room, initialized in
        do throws(StorageError) {
          try read(
            at: pointer.offset,
            into: UnsafeMutableRawBufferPointer(
              UnsafeMutableBufferPointer(rebasing: room[..<pointer.byteCount])))
          initialized = pointer.byteCount
        } catch { failure = error }
      }
    }
    if let failure { throw failure }
  }

  /// Fills the memory with the bytes at an offset, unverified.
  func read(at offset: Int, into room: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let count = try file().read(at: offset, into: room)
    guard count == room.count else {
      throw StorageError(
        .missingFile, "the segment ends within a value", path: path, offset: offset + count)
    }
  }

  // MARK: Garbage

  /// 1 in the integer form of ``liveness`` and ``expansion``.
  private static let fullShare = 1 << 20

  /// Which part of the value bytes is live, by the latest estimate: between 0 and 1.
  var liveness: Double {
    get { Double(liveShare.load(ordering: .relaxed)) / Double(Segment.fullShare) }
    set { liveShare.store(Int(newValue * Double(Segment.fullShare)), ordering: .relaxed) }
  }

  /// How many bytes the live values have for each stored, by the latest estimate: at least 1.
  var expansion: Double {
    get { Double(originalShare.load(ordering: .relaxed)) / Double(Segment.fullShare) }
    set { originalShare.store(Int(newValue * Double(Segment.fullShare)), ordering: .relaxed) }
  }

  /// About the bytes that a segment of only the live values would take.
  ///
  /// A segment of values is one already, but for those that died; one of the journal also holds what
  /// has gone to the ledger.
  var liveByteCount: Int {
    let metadata = metadata
    let whole =
      kind == .values
      ? metadata.byteCount
      : min(metadata.byteCount, metadata.valueByteCount + 64 * metadata.valueCount)
    return Int(Double(whole) * liveness)
  }

  /// Which part of the file collecting it would give back: between 0 and 1.
  var garbageShare: Double {
    let total = total.load(ordering: .relaxed)
    return total == 0 ? 0 : 1 - Double(liveByteCount) / Double(total)
  }
}

/// What the manifest records of a segment that holds values.
struct SegmentMetadata: Hashable {
  var number: FileNumber
  var kind: Segment.Kind
  /// The length of the good part of the file.
  var byteCount: Int
  var valueCount: Int
  var valueByteCount: Int
}

/// The segments that a read state can read values from, in ascending order of their numbers.
struct SegmentSet: Sendable {
  private(set) var segments: [Segment] = []

  /// Cost is O(log n).
  @inline(__always)
  subscript(number: FileNumber) -> Segment? {
    var low = 0
    var high = segments.count
    while low < high {
      let middle = (low &+ high) / 2
      if segments[middle].number < number { low = middle &+ 1 } else { high = middle }
    }
    return low < segments.count && segments[low].number == number ? segments[low] : nil
  }

  /// The bytes of the segments that are written to their end.
  var byteCount: Int { segments.reduce(0) { $0 + $1.metadata.byteCount } }

  mutating func insert(_ segment: Segment) {
    let index = segments.firstIndex { segment.number < $0.number } ?? segments.count
    segments.insert(segment, at: index)
  }

  mutating func remove(_ number: FileNumber) { segments.removeAll { $0.number == number } }
}
