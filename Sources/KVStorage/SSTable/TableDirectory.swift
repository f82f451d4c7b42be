import KVBase

/// The parts into which index and filter of a table are divided: the only piece of them that stays
/// in memory when there are several.
///
/// A part covers consecutive data blocks. A table with one part keeps that in memory too.
///
/// **On disk**: Docs/Formats.md, "Directory".
struct TableDirectory: ~Copyable, @unchecked Sendable {
  // The memory is filled by the initialiser and never changed after it.
  private let keys: RawBytes
  private let parts: UnsafeMutablePointer<Part>
  /// The number of parts, at least one.
  let count: Int

  /// One part; its key is not after any key of the part, and after all keys before the part.
  struct Part {
    var key: RawBytes
    var index: BlockHandle
    /// A length of 0 says there is no filter.
    var filter: BlockHandle
    var entryCount: Int
    /// The number of entries in the parts before it.
    var firstEntry: Int
  }

  deinit {
    parts.deallocate()
    keys.deallocate()
  }

  @inline(__always)
  subscript(index: Int) -> Part { parts[index] }

  /// The last part whose key is at most `key`; the first if there is none.
  @inline(__always)
  func lastIndex(notAfter key: RawBytes) -> Int {
    var low = 0
    var high = count &- 1
    while low < high {
      let middle = (low &+ high &+ 1) / 2
      if compareKeys(parts[middle].key, key) <= 0 { low = middle } else { high = middle &- 1 }
    }
    return low
  }

  /// What a builder knows of a part.
  struct Description {
    var key: Bytes
    var index: BlockHandle
    var filter: BlockHandle
    var entryCount: Int
  }

  static func encode(_ parts: [Description]) -> Bytes {
    var writer = ByteWriter()
    writer.write(list: parts) { writer, part in
      writer.write(part.key)
      writer.write(count: part.index.offset)
      writer.write(count: part.index.count)
      writer.write(count: part.filter.offset)
      writer.write(count: part.filter.count)
      writer.write(count: part.entryCount)
    }
    return writer.bytes
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let decoded = try reader.readList(minimumBytes: 6) {
      (reader) throws(DecodingFailure) in
      Description(
        key: try reader.readBytes(), index: try TableDirectory.handle(&reader),
        filter: try TableDirectory.handle(&reader),
        entryCount: Int(clamping: try reader.readVarint()))
    }
    guard !decoded.isEmpty else { throw reader.failure(expected: "a part") }
    self.init(decoded)
  }

  private static func handle(_ reader: inout ByteReader) throws(DecodingFailure) -> BlockHandle {
    let offset = Int(clamping: try reader.readVarint())
    return BlockHandle(offset: offset, count: Int(clamping: try reader.readVarint()))
  }

  private init(_ decoded: [Description]) {
    count = decoded.count
    parts = .allocate(capacity: count)
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(1, decoded.reduce(0) { $0 + $1.key.count }), alignment: 8)
    keys = RawBytes(memory)
    var keyStart = 0
    var firstEntry = 0
    for (index, part) in decoded.enumerated() {
      let room = UnsafeMutableRawBufferPointer(
        rebasing: memory[keyStart..<keyStart + part.key.count])
      part.key.withRaw { room.copyMemory(from: $0) }
      (parts + index).initialize(
        to: Part(
          key: RawBytes(room), index: part.index, filter: part.filter,
          entryCount: part.entryCount, firstEntry: firstEntry))
      keyStart += part.key.count
      firstEntry &+= part.entryCount
    }
  }
}
