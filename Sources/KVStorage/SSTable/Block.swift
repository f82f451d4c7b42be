/// A part of an SSTable or a separated value in memory, uncompressed and with its checksum verified.
///
/// The checksum says the bytes are what was written, not that what was written makes sense, so
/// every length is still checked: a malformed block costs an error, never memory.
///
/// **Concurrency**: immutable; any thread may read.
final class Block: @unchecked Sendable {
  // The memory is filled before the initialiser and never changed after it.
  private let bytes: RawBytes
  /// What the bytes are; the memory is that of this object.
  let contents: Contents

  /// The parts of a store that are read on demand.
  enum Kind {
    case data, index, filter, value
  }

  /// A view of the bytes by their kind.
  enum Contents {
    case data(DataBlock)
    case index(IndexBlock)
    case filter(BloomFilter)
    case value(RawBytes)
  }

  /// Takes over memory that was allocated with `allocate`; nil when it does not follow its format.
  init?(adopting bytes: RawBytes, as kind: Kind) {
    self.bytes = bytes
    let contents: Contents? =
      switch kind {
      case .data: DataBlock(bytes).map(Contents.data)
      case .index: IndexBlock(bytes).map(Contents.index)
      case .filter: BloomFilter(bytes).map(Contents.filter)
      case .value: .value(bytes)
      }
    guard let contents else {
      bytes.deallocate()
      return nil
    }
    self.contents = contents
  }

  deinit { bytes.deallocate() }

  var byteCount: Int { bytes.count }

  /// The value, whose memory is this object's.
  @inline(__always)
  var value: RawBytes { bytes }

  @inline(__always)
  var data: DataBlock? {
    guard case .data(let data) = contents else { return nil }
    return data
  }

  @inline(__always)
  var index: IndexBlock? {
    guard case .index(let index) = contents else { return nil }
    return index
  }

  @inline(__always)
  var filter: BloomFilter? {
    guard case .filter(let filter) = contents else { return nil }
    return filter
  }

  /// What the block takes of memory: its bytes as the allocator rounds them, and this object.
  var memoryByteCount: Int { (bytes.count + 8 + 15) & ~15 + Block.objectByteCount }

  private static let objectByteCount = 128

  /// Memory for a block; filters lie on the boundary of a cache line.
  static func allocate(_ byteCount: Int, for kind: Kind = .data) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(1, byteCount), alignment: kind == .filter ? BloomFilter.lineByteCount : 16)
  }
}
