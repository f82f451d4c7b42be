import CLZ4
import KVBase

/// Where a block lies in its file; the length is without the trailer.
struct BlockHandle: Hashable {
  var offset: Int
  var count: Int
}

/// The constants and small structures of an SSTable file.
///
/// ```
/// data block*  filter*  index block*  directory  properties  footer (64 bytes)
/// ```
/// Every part but the footer is followed by a trailer: how it is compressed (1), its uncompressed
/// length (4) and the CRC32C of it all (4).
///
/// **On disk**: Docs/Formats.md, "SSTable".
enum TableFormat {
  static let magic = Bytes("SPINESST".utf8)
  static let version: UInt32 = 2
  static let footerByteCount = 64
  static let trailerByteCount = 9
  /// More than the largest entry can make of a block.
  static let maximumBlockByteCount = StoreLimits.valueByteCount + (32 << 20)

  /// How a block is stored.
  ///
  /// The raw values are persisted.
  enum BlockEncoding: UInt8 {
    case raw = 0
    case lz4 = 1
  }

  /// The end of the file: where the other parts are.
  struct Footer: Hashable {
    var directory: BlockHandle
    var properties: BlockHandle

    func encode() -> Bytes {
      var writer = ByteWriter(capacity: footerByteCount)
      for handle in [directory, properties] {
        writer.write(fixed: UInt64(handle.offset))
        writer.write(fixed: UInt32(handle.count))
      }
      writer.write(raw: repeatElement(0, count: 24))
      writer.write(fixed: version)
      writer.write(fixed: CRC32C.checksum(writer.bytes))
      writer.write(raw: magic)
      return writer.bytes
    }

    init(directory: BlockHandle, properties: BlockHandle) {
      self.directory = directory
      self.properties = properties
    }

    init(decoding bytes: Bytes, at offset: Int, path: String) throws(StorageError) {
      func malformed(_ message: String) -> StorageError {
        StorageError(.malformed, message, path: path, offset: offset)
      }
      guard bytes.count == footerByteCount, Bytes(bytes[56...]) == magic else {
        throw malformed("not the footer of an SSTable")
      }
      var reader = ByteReader(bytes)
      do {
        func handle() throws(DecodingFailure) -> BlockHandle {
          let offset = try reader.readFixed(UInt64.self)
          let count = try reader.readFixed(UInt32.self)
          return BlockHandle(offset: Int(clamping: offset), count: Int(count))
        }
        directory = try handle()
        properties = try handle()
        let reserved = try reader.readRaw(24)
        let version = try reader.readFixed(UInt32.self)
        let expected = try reader.readFixed(UInt32.self)
        let found = CRC32C.checksum(bytes[..<52])
        guard expected == found else {
          throw StorageError(
            .checksumMismatch, "damaged footer", path: path, offset: offset, expected: expected,
            found: found)
        }
        guard version == TableFormat.version, reserved.allSatisfy({ $0 == 0 }) else {
          throw StorageError(.unsupportedVersion, "SSTable version \(version)", path: path)
        }
      } catch let error as StorageError { throw error } catch { throw malformed("\(error)") }
    }
  }

  /// What a table says of itself.
  struct Properties: Hashable {
    var entryCount = 0
    var tombstoneCount = 0
    /// The last second at which an entry expires, if every entry does or is a tombstone; else 0.
    var lastExpiry: UInt64 = 0
    var smallestSequence: UInt64 = .max
    var largestSequence: UInt64 = 0
    var smallestKey: Bytes = []
    var largestKey: Bytes = []

    func encode(into writer: inout ByteWriter) {
      writer.write(count: entryCount)
      writer.write(count: tombstoneCount)
      writer.write(varint: lastExpiry)
      writer.write(varint: smallestSequence)
      writer.write(varint: largestSequence)
      writer.write(smallestKey)
      writer.write(largestKey)
    }

    init() {}

    /// True when no entry of the table counts any more.
    func isExpired(at now: UInt64) -> Bool { lastExpiry != 0 && lastExpiry <= now }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
      entryCount = Int(clamping: try reader.readVarint())
      tombstoneCount = Int(clamping: try reader.readVarint())
      lastExpiry = try reader.readVarint()
      smallestSequence = try reader.readVarint()
      largestSequence = try reader.readVarint()
      smallestKey = try reader.readBytes()
      largestKey = try reader.readBytes()
    }
  }

  /// Compresses into `target`; false when that does not save an eighth.
  static func compress(_ bytes: RawBytes, into target: inout RawBuffer) -> Bool {
    target.removeAll()
    let worthwhile = bytes.count - bytes.count / 8
    target.append(upTo: worthwhile) { room in
      let count = LZ4_compress_default(
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
        room.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count),
        Int32(room.count))
      return Int(max(0, count))
    }
    return target.count > 0
  }

  /// The block in `stored`, which ends with its trailer, in new memory.
  ///
  /// `offset` and `path` are for the error.
  static func decodeBlock(
    _ stored: RawBytes, offset: Int, path: String, for kind: Block.Kind
  ) throws(StorageError) -> RawBytes {
    let block = try open(stored, offset: offset, path: path)
    let memory = Block.allocate(block.byteCount, for: kind)
    let room = UnsafeMutableRawBufferPointer(rebasing: memory[..<block.byteCount])
    guard block.encoding == .lz4 else {
      room.copyMemory(from: block.payload)
      return RawBytes(room)
    }
    guard decompress(block.payload, into: room) else {
      memory.deallocate()
      throw StorageError(.malformed, "LZ4 does not decode", path: path, offset: offset)
    }
    return RawBytes(room)
  }

  /// The block in `stored`: where it lies if it is not compressed, or else in `buffer`.
  static func decode(
    _ stored: RawBytes, offset: Int, path: String, into buffer: inout RawBuffer
  ) throws(StorageError) -> RawBytes {
    let block = try open(stored, offset: offset, path: path)
    guard block.encoding == .lz4 else { return block.payload }
    buffer.removeAll()
    var isDone = false
    buffer.append(upTo: block.byteCount) { room in
      isDone = decompress(block.payload, into: room)
      return isDone ? block.byteCount : 0
    }
    guard isDone else {
      throw StorageError(.malformed, "LZ4 does not decode", path: path, offset: offset)
    }
    return buffer.bytes
  }

  private struct StoredBlock {
    var payload: RawBytes
    var encoding: BlockEncoding
    /// The uncompressed length, which the payload can justify.
    var byteCount: Int
  }

  /// Verifies the trailer.
  private static func open(
    _ stored: RawBytes, offset: Int, path: String
  ) throws(StorageError) -> StoredBlock {
    let count = stored.count - trailerByteCount
    var trailer = RawReader(stored, at: count)
    guard count >= 0, let encoding = trailer.byte(), let size = trailer.fixed(UInt32.self),
      let expected = trailer.fixed(UInt32.self)
    else { throw StorageError(.malformed, "no block trailer", path: path, offset: offset) }
    let found = CRC32C.checksum(stored.slice(0, count + 5))
    guard expected == found else {
      throw StorageError(
        .checksumMismatch, "damaged block", path: path, offset: offset, expected: expected,
        found: found)
    }
    let payload = stored.slice(0, count)
    switch BlockEncoding(rawValue: encoding) {
    case .raw where Int(size) == count:
      return StoredBlock(payload: payload, encoding: .raw, byteCount: count)
    // One byte of LZ4 makes at most 255, so a forged size cannot ask for much memory.
    case .lz4 where Int(size) <= min(maximumBlockByteCount, count * 255 + 64):
      return StoredBlock(payload: payload, encoding: .lz4, byteCount: Int(size))
    default:
      throw StorageError(
        .malformed, "a block of \(size) bytes encoded as \(encoding)", path: path, offset: offset)
    }
  }

  private static func decompress(
    _ payload: RawBytes, into room: UnsafeMutableRawBufferPointer
  ) -> Bool {
    let count = LZ4_decompress_safe(
      payload.baseAddress?.assumingMemoryBound(to: CChar.self),
      room.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(payload.count),
      Int32(room.count))
    return count == Int32(room.count)
  }
}
