import KVBase

/// Reads pieces of an SSTable's file; errors name the file and the offset.
struct FileReader {
  let file: any ReadableFile
  let path: String

  init(_ file: any ReadableFile, _ path: String) {
    self.file = file
    self.path = path
  }

  /// Bytes of the file in new memory.
  func bytes(_ handle: BlockHandle) throws(StorageError) -> UnsafeMutableRawBufferPointer {
    try requireInside(handle)
    let memory = Block.allocate(handle.count)
    do throws(StorageError) {
      let room = UnsafeMutableRawBufferPointer(rebasing: memory[..<handle.count])
      let count = try file.read(at: handle.offset, into: room)
      guard count == handle.count else {
        throw StorageError(
          .missingFile, "the file ends early", path: path, offset: handle.offset + count)
      }
      return room
    } catch {
      memory.deallocate()
      throw error
    }
  }

  private func requireInside(_ handle: BlockHandle) throws(StorageError) {
    guard handle.offset >= 0, handle.count >= 0, handle.count <= file.size,
      handle.offset <= file.size - handle.count
    else {
      throw StorageError(
        .malformed, "\(handle.count) bytes beyond the end", path: path, offset: handle.offset)
    }
  }

  /// A block with its trailer in the file, verified and decoded.
  func block(_ handle: BlockHandle, _ kind: Block.Kind) throws(StorageError) -> Block {
    guard handle.count >= 0, handle.count <= file.size else {
      throw StorageError(
        .malformed, "\(handle.count) bytes beyond the end", path: path, offset: handle.offset)
    }
    let stored = try bytes(
      BlockHandle(offset: handle.offset, count: handle.count + TableFormat.trailerByteCount))
    defer { stored.deallocate() }
    return try block(stored: RawBytes(stored), handle, kind)
  }

  /// The block whose stored bytes, with the trailer, these are.
  func block(
    stored: RawBytes, _ handle: BlockHandle, _ kind: Block.Kind
  ) throws(StorageError) -> Block {
    let bytes = try TableFormat.decodeBlock(stored, offset: handle.offset, path: path, for: kind)
    guard let block = Block(adopting: bytes, as: kind) else {
      throw StorageError(
        .malformed, "a block does not follow its format", path: path, offset: handle.offset)
    }
    return block
  }

  /// Reads at least the block and its trailer, at most `byteCount` bytes, to the end of `window`.
  func read(
    _ handle: BlockHandle, ahead byteCount: Int, into window: inout RawBuffer
  ) throws(StorageError) {
    try requireInside(handle)
    let needed = handle.count + TableFormat.trailerByteCount
    try requireInside(BlockHandle(offset: handle.offset, count: needed))
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
}

/// The end of an SSTable's file, read at once, with what opening needs; small tables fit it whole.
struct TableTail: ~Copyable {
  private static let byteCount = 16 << 10

  private let reader: FileReader
  private let tail: UnsafeMutableRawBufferPointer
  private let start: Int

  private init(_ reader: FileReader, _ tail: UnsafeMutableRawBufferPointer, at start: Int) {
    self.reader = reader
    self.tail = tail
    self.start = start
  }

  static func read(_ file: any ReadableFile, _ path: String) throws(StorageError) -> TableTail {
    guard file.size >= TableFormat.footerByteCount else {
      throw StorageError(.malformed, "\(file.size) bytes are no SSTable", path: path, offset: 0)
    }
    let reader = FileReader(file, path)
    let start = max(0, file.size - TableTail.byteCount)
    let tail = try reader.bytes(BlockHandle(offset: start, count: file.size - start))
    return TableTail(reader, tail, at: start)
  }

  deinit { tail.deallocate() }

  func footer() throws(StorageError) -> TableFormat.Footer {
    let offset = reader.file.size - TableFormat.footerByteCount
    return try TableFormat.Footer(
      decoding: Bytes(tail.suffix(TableFormat.footerByteCount)), at: offset, path: reader.path)
  }

  /// A block of the tail or, if it begins before it, of the file.
  func block(_ handle: BlockHandle, _ kind: Block.Kind) throws(StorageError) -> Block {
    guard let stored = stored(handle) else { return try reader.block(handle, kind) }
    return try reader.block(stored: stored, handle, kind)
  }

  private func stored(_ handle: BlockHandle) -> RawBytes? {
    guard handle.offset >= start, handle.count >= 0, handle.count <= tail.count,
      handle.offset - start + handle.count + TableFormat.trailerByteCount <= tail.count
    else { return nil }
    return RawBytes(tail).slice(
      handle.offset - start, handle.count + TableFormat.trailerByteCount)
  }

  /// A part that is no block, decoded to its end.
  func decode<Part: ~Copyable>(
    _ handle: BlockHandle, _ decode: (inout ByteReader) throws(DecodingFailure) -> Part
  ) throws(StorageError) -> Part {
    let bytes = try decodedBytes(handle)
    var reader = ByteReader(bytes)
    do throws(DecodingFailure) {
      let part = try decode(&reader)
      try reader.expectEnd()
      return part
    } catch {
      throw StorageError(
        .malformed, "\(error)", path: self.reader.path, offset: handle.offset)
    }
  }

  private func decodedBytes(_ handle: BlockHandle) throws(StorageError) -> Bytes {
    func decode(_ stored: RawBytes) throws(StorageError) -> Bytes {
      let raw = try TableFormat.decodeBlock(
        stored, offset: handle.offset, path: reader.path, for: .data)
      defer { raw.deallocate() }
      return Bytes(raw)
    }
    if let stored = stored(handle) { return try decode(stored) }
    guard handle.count >= 0, handle.count <= reader.file.size else {
      throw StorageError(
        .malformed, "\(handle.count) bytes beyond the end", path: reader.path,
        offset: handle.offset)
    }
    let read = try reader.bytes(
      BlockHandle(offset: handle.offset, count: handle.count + TableFormat.trailerByteCount))
    defer { read.deallocate() }
    return try decode(RawBytes(read))
  }
}
