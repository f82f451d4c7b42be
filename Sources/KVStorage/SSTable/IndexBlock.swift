import KVBase

/// Leads from a key to the data block that may hold it, for a run of consecutive data blocks.
///
/// Each block has a separator: a key after all of the block before and not after any of its own.
/// The prefix that all separators share is stored once, and the eight bytes behind it as one
/// number, so that a search compares numbers that lie side by side and hardly ever a whole key.
///
/// A view of memory that someone else owns.
///
/// **On disk**: Docs/Formats.md, "Index block".
struct IndexBlock {
  /// The number of data blocks.
  let count: Int
  private let bytes: RawBytes
  private let offsetsStart: Int
  private let restsStart: Int
  private let prefix: RawBytes
  private let restBytes: RawBytes

  /// An index of no blocks.
  static var empty: IndexBlock { IndexBlock() }

  private init() {
    count = 0
    bytes = RawBytes(start: nil, count: 0)
    offsetsStart = 0
    restsStart = 0
    prefix = bytes
    restBytes = bytes
  }

  /// Nil when the bytes are no index.
  init?(_ bytes: RawBytes) {
    guard bytes.count >= 8 else { return nil }
    count = bytes.fixed(at: bytes.count - 8)
    let prefixCount = bytes.fixed(at: bytes.count - 4)
    self.bytes = bytes
    offsetsStart = 8 * count
    restsStart = offsetsStart + 8 * (count + 1)
    let prefixStart = restsStart + 4 * count
    guard count > 0, prefixStart + prefixCount <= bytes.count - 8 else { return nil }
    prefix = bytes.slice(prefixStart, prefixCount)
    let rest = prefixStart + prefixCount
    restBytes = bytes.slice(rest, bytes.count - 8 - rest)
    guard isConsistent else { return nil }
  }

  private var isConsistent: Bool {
    var restEnd = 0
    for index in 0..<count {
      let field = restField(index)
      guard field >> 4 >= restEnd, field & 15 <= 8 else { return false }
      restEnd = field >> 4
      let start = offset(index)
      let next = offset(index + 1)
      guard start >= 0, next >= start, next - start > TableFormat.trailerByteCount else {
        return false
      }
    }
    return restEnd == restBytes.count
  }

  @inline(__always)
  private func word(_ index: Int) -> UInt64 {
    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8 &* index, as: UInt64.self))
  }

  @inline(__always)
  private func offset(_ index: Int) -> Int {
    Int(
      truncatingIfNeeded: UInt64(
        bigEndian: bytes.loadUnaligned(
          fromByteOffset: offsetsStart &+ 8 &* index, as: UInt64.self)))
  }

  /// Where a separator's rest ends, times 16, and how many of its word's bytes count.
  @inline(__always)
  private func restField(_ index: Int) -> Int { bytes.fixed(at: restsStart &+ 4 &* index) }

  /// Where a data block lies.
  @inline(__always)
  func handle(_ index: Int) -> BlockHandle {
    let start = offset(index)
    return BlockHandle(
      offset: start, count: offset(index &+ 1) &- start &- TableFormat.trailerByteCount)
  }

  /// A key after all of the block before, and not after any of the data block.
  func separator(_ index: Int) -> Bytes {
    let field = restField(index)
    let start = index == 0 ? 0 : restField(index - 1) >> 4
    let key = withUnsafeBytes(of: word(index).bigEndian) { Bytes(prefix) + $0.prefix(field & 15) }
    return key + restBytes.slice(start, field >> 4 - start)
  }

  /// The file offset behind the last data block.
  var endOffset: Int { offset(count) }

  /// The last data block whose separator is at most `key`; the first if there is none.
  @inline(__always)
  func lastIndex(notAfter key: RawBytes) -> Int {
    let common = commonPrefixCount(prefix, key)
    if common < prefix.count {
      return common < key.count && key[common] > prefix[common] ? count &- 1 : 0
    }
    let suffix = RawBytes(rebasing: key[common...])
    let sought = IndexBlock.word(of: suffix)
    var low = 0
    var size = count
    // The answer is in low..<low + size; no branch to mispredict but the rare one.
    while size > 1 {
      let half = size / 2
      let middle = word(low &+ half)
      if middle == sought, !isSeparator(low &+ half, notAfter: suffix) {
        size = half
      } else {
        low = middle <= sought ? low &+ half : low
        size = middle <= sought ? size &- half : half
      }
    }
    return low
  }

  /// Compares what is behind equal words.
  @inline(never)
  private func isSeparator(_ index: Int, notAfter suffix: RawBytes) -> Bool {
    let field = restField(index)
    let wordCount = field & 15
    if wordCount < 8 || suffix.count < 8 { return wordCount <= suffix.count }
    let start = index == 0 ? 0 : restField(index - 1) >> 4
    return compareKeys(
      restBytes.slice(start, field >> 4 - start), RawBytes(rebasing: suffix[8...])) <= 0
  }

  /// The first eight bytes as a number that sorts like them, zeros in place of missing ones.
  @inline(__always)
  static func word(of bytes: RawBytes) -> UInt64 {
    if bytes.count >= 8 {
      return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
    }
    var word: UInt64 = 0
    for index in 0..<8 {
      word = word &<< 8 | (index < bytes.count ? UInt64(bytes[index]) : 0)
    }
    return word
  }
}

/// Encodes an index block.
struct IndexBuilder: ~Copyable {
  private var keys = RawBuffer()
  private var keyEnds: [Int] = []
  private var offsets: [Int] = []

  var count: Int { offsets.count }

  /// About the size of the index if it were finished now.
  var byteCount: Int { 20 * offsets.count + keys.count / 2 }

  /// The separator of the first block.
  var firstKey: Bytes { keyEnds.first.map { Bytes(keys.bytes.slice(0, $0)) } ?? [] }

  /// Adds the data block at `offset`; the blocks follow each other in the file.
  mutating func append(_ separator: RawBytes, offset: Int) {
    keys.append(separator)
    keyEnds.append(keys.count)
    offsets.append(offset)
  }

  private func key(_ index: Int) -> RawBytes {
    let start = index == 0 ? 0 : keyEnds[index - 1]
    return keys.bytes.slice(start, keyEnds[index] - start)
  }

  /// The finished index; the last data block ends, trailer included, at `end`.
  mutating func finish(end: Int) -> Bytes {
    // The keys ascend, so what the first and the last share, all share.
    let prefixCount = commonPrefixCount(key(0), key(count - 1))
    var buffer = RawBuffer(capacity: 20 * count + 64)
    for index in 0..<count {
      buffer.append(fixed: IndexBlock.word(of: RawBytes(rebasing: key(index)[prefixCount...])))
    }
    for offset in offsets { buffer.append(fixed: UInt64(offset)) }
    buffer.append(fixed: UInt64(end))
    var restEnd = 0
    for index in 0..<count {
      let suffixCount = key(index).count - prefixCount
      restEnd += max(0, suffixCount - 8)
      buffer.append(fixed: UInt32(restEnd << 4 | min(8, suffixCount)))
    }
    buffer.append(key(0).slice(0, prefixCount))
    for index in 0..<count {
      buffer.append(RawBytes(rebasing: key(index).dropFirst(prefixCount + 8)))
    }
    buffer.append(fixed: UInt32(count))
    buffer.append(fixed: UInt32(prefixCount))
    keys.removeAll()
    keyEnds.removeAll(keepingCapacity: true)
    offsets.removeAll(keepingCapacity: true)
    return Bytes(buffer.bytes)
  }
}
