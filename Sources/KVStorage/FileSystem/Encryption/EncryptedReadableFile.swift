import KVBase

/// An encrypted file opened for reading that no file object of this process writes.
///
/// **Concurrency**: any thread.
final class EncryptedReadableFile: ReadableFile, @unchecked Sendable {
  // `vouched` is guarded by `monitor`.
  let size: Int
  private let pages: EncryptedPages
  private let mark: Int
  private let monitor = Monitor()
  private var vouched: Int?

  /// Fails when the file is shorter than the part of it that was durable.
  init(_ pages: EncryptedPages, header: Bytes, size: Int) throws(StorageError) {
    self.pages = pages
    self.size = size
    mark = pages.ciphers.withCipher { EncryptedMark.read(header, $0) }
    guard size >= mark else {
      throw StorageError(
        .authenticationFailed, "the file has lost its end: \(mark) bytes were durable",
        path: pages.path, offset: size)
    }
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
  {
    let count = max(0, min(buffer.count, size - offset))
    try pages.read(
      at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]),
      vouched: { () throws(StorageError) in try vouchedByteCount() })
    return count
  }

  /// How much is known to have been durable; found by reading the file's end, once.
  private func vouchedByteCount() throws(StorageError) -> Int {
    try monitor.withLock { () throws(StorageError) in
      if let vouched { return vouched }
      let found = max(mark, try pages.vouchedByteCount(size: size))
      vouched = found
      return found
    }
  }
}

/// An encrypted file opened for reading while this process writes it.
final class LiveReadableFile: ReadableFile {
  let size: Int
  private let live: LiveFile

  init(_ live: LiveFile) {
    self.live = live
    size = live.size
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
  {
    try live.read(at: offset, into: buffer)
  }
}

/// A file whose creation was cut short by a crash.
final class EmptyReadableFile: ReadableFile {
  let size = 0

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
  {
    0
  }
}

/// What the writer of a file shares with those who read it at the same time.
///
/// The last page is read from memory, because in the file it changes under a reader's eyes.
///
/// **Invariants**: 1. every page before the tail is full and sealed in the file; 2. the tail's first
/// bytes, up to the end, are in `image`, encrypted.
///
/// **Concurrency**: any thread; only the writer changes it, inside ``publish(_:)``.
final class LiveFile: @unchecked Sendable {
  /// What readers need to know; guarded by `monitor`.
  struct State {
    /// The end of what was written.
    var end = 0
    /// The file's size, with what was preallocated.
    var size = 0
    /// The page that the next byte goes to.
    var tailPage = 0
    var tailGeneration: UInt32 = 0

    /// How many bytes the tail has.
    var tailLength: Int { end - tailPage * EncryptedFormat.payloadByteCount }
  }

  let fileID: FileID
  let pages: EncryptedPages
  /// Held by the writer during each of its operations.
  let writing = Monitor()
  private let monitor = Monitor()
  private(set) var state = State()
  /// The tail as it is, or is about to be, in the file.
  let image = UnsafeMutableRawPointer.allocate(
    byteCount: EncryptedFormat.pageByteCount, alignment: 16)

  init(fileID: FileID, pages: EncryptedPages) {
    self.fileID = fileID
    self.pages = pages
  }

  deinit { image.deallocate() }

  var size: Int { monitor.withLock { state.size } }

  /// Changes what readers see, the tail's bytes included.
  func publish(_ change: (inout State) -> Void) { monitor.withLock { change(&state) } }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
  {
    do throws(StorageError) { return try readOnce(at: offset, into: buffer) } catch {
      guard error.code == .authenticationFailed else { throw error }
      // A page may have been replaced or cut off meanwhile.
      writing.lock()
      defer { writing.unlock() }
      return try readOnce(at: offset, into: buffer)
    }
  }

  private func readOnce(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int {
    let (count, sealedCount) = readTail(at: offset, into: buffer)
    try pages.read(
      at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<sealedCount]),
      vouched: { .max })
    return count
  }

  /// Reads what is not in sealed pages; returns how much there is to read, and how much of it is.
  private func readTail(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) -> (count: Int, sealedCount: Int) {
    pages.ciphers.withCipher { cipher in
      monitor.withLock {
        let count = max(0, min(buffer.count, state.size - offset))
        let tailStart = state.tailPage * EncryptedFormat.payloadByteCount
        let sealedCount = max(0, min(count, tailStart - offset))
        let writtenCount = max(sealedCount, min(count, state.end - offset))
        if let start = buffer.baseAddress {
          let tailOffset = offset + sealedCount - tailStart
          cipher.apply(
            page: state.tailPage, generation: state.tailGeneration, offset: tailOffset,
            from: RawBytes(
              start: image + EncryptedFormat.payloadOffset + tailOffset,
              count: writtenCount - sealedCount), to: start + sealedCount)
          UnsafeMutableRawBufferPointer(rebasing: buffer[writtenCount..<count])
            .initializeMemory(as: UInt8.self, repeating: 0)
        }
        return (count, sealedCount)
      }
    }
  }
}
