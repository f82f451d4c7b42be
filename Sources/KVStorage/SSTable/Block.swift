/// A block of sorted entries in memory, uncompressed and with its checksum verified.
///
/// The checksum says the bytes are what was written, not that what was written makes sense, so every
/// length is still checked: a malformed block costs an error, never memory.
///
/// **On disk**: Docs/Formats.md, "Block".
final class Block: @unchecked Sendable {
  // The memory is filled before the initialiser and never changed after it.
  let bytes: RawBytes
  private let restartsOffset: Int
  private let restartCount: Int

  /// Takes over memory that was allocated with `allocate`; nil when it is no block.
  init?(adopting bytes: RawBytes) {
    self.bytes = bytes
    let count = bytes.count
    guard count >= 8 else {
      restartsOffset = 0
      restartCount = 0
      return nil
    }
    let stored = UInt32(
      bigEndian: bytes.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
    restartCount = Int(stored)
    restartsOffset = count - 4 - 4 * restartCount
    guard restartCount > 0, restartsOffset >= 0 else { return nil }
    for index in 0..<restartCount where restart(index) > restartsOffset { return nil }
  }

  /// What the block takes of memory: its bytes as the allocator rounds them, and this object.
  var memoryByteCount: Int { (bytes.count + 8 + 15) & ~15 + Block.objectByteCount }

  private static let objectByteCount = 64

  deinit { bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0).deallocate() } }

  /// One entry as it is stored: the key without the part it shares with the one before.
  struct StoredEntry {
    var shared: Int
    var unshared: RawBytes
    var value: RawBytes
    var headByteCount: Int
    var sequence: UInt64
    var kind: EntryKind
    var expiry: UInt64
    var end: Int
  }

  @inline(__always)
  private func restart(_ index: Int) -> Int {
    Int(
      UInt32(
        bigEndian: bytes.loadUnaligned(
          fromByteOffset: restartsOffset &+ 4 &* index, as: UInt32.self)))
  }

  /// True at the offset after the last entry.
  @inline(__always)
  func isEnd(_ offset: Int) -> Bool { offset >= restartsOffset }

  /// Decodes the entry at an offset; nil when it is malformed.
  @inline(__always)
  func decode(at offset: Int) -> StoredEntry? {
    var reader = RawReader(RawBytes(rebasing: bytes[..<restartsOffset]), at: offset)
    guard let shared = reader.count(atMost: StoreLimits.keyByteCount),
      let unsharedCount = reader.count(atMost: StoreLimits.keyByteCount),
      let tag = reader.varint(), let kind = EntryKind(rawValue: UInt8(tag & 3))
    else { return nil }
    var valueCount = 0
    var headCount = 0
    var expiry: UInt64 = 0
    if tag & 4 != 0 {
      guard let read = reader.varint() else { return nil }
      expiry = read
    }
    if kind != .delete {
      guard let value = reader.count(atMost: StoreLimits.valueByteCount),
        let head = reader.count(atMost: value)
      else { return nil }
      valueCount = value
      headCount = head
    }
    guard let unshared = reader.raw(unsharedCount), let value = reader.raw(valueCount) else {
      return nil
    }
    return StoredEntry(
      shared: shared, unshared: unshared, value: value, headByteCount: headCount,
      sequence: tag &>> 3, kind: kind, expiry: expiry, end: reader.position)
  }

  /// The offset of the last restart whose key is at most `key` (the first restart if none is), or
  /// nil when the block is malformed.
  @inline(__always)
  func restartOffset(before key: RawBytes) -> Int? {
    var low = 0
    var high = restartCount &- 1
    while low < high {
      let middle = (low &+ high &+ 1) / 2
      guard let entry = decode(at: restart(middle)), entry.shared == 0 else { return nil }
      if compareKeys(entry.unshared, key) <= 0 { low = middle } else { high = middle &- 1 }
    }
    return restart(low)
  }

  /// What a search for a key in a block found.
  enum Search {
    /// The first entry whose key is not before the one sought; `isEqual` says whether it is that.
    case entry(StoredEntry, isEqual: Bool)
    /// Every key of the block is before the one sought.
    case beyondEnd
    case malformed
  }

  /// Finds the first entry not before `key` without building any key.
  ///
  /// While all entries passed are before the key, `matched` is how much of the key the last of them
  /// had in common with it. An entry that shares more than that with its predecessor differs from
  /// the key where the predecessor did; one that shares less is beyond the key.
  @inline(__always)
  func search(_ key: RawBytes) -> Search {
    guard var offset = restartOffset(before: key) else { return .malformed }
    var matched = 0
    while !isEnd(offset) {
      guard let entry = decode(at: offset) else { return .malformed }
      offset = entry.end
      if entry.shared > matched { continue }
      if entry.shared < matched { return .entry(entry, isEqual: false) }
      let rest = RawBytes(rebasing: key[matched...])
      let common = commonPrefixCount(entry.unshared, rest)
      if common == rest.count {
        return .entry(entry, isEqual: common == entry.unshared.count)
      }
      if common < entry.unshared.count, entry.unshared[common] > rest[common] {
        return .entry(entry, isEqual: false)
      }
      matched &+= common
    }
    return .beyondEnd
  }

  static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, byteCount), alignment: 16)
  }
}
