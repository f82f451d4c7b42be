/// Sorted entries, as they lie in the data blocks of an SSTable: first all keys, then all values.
///
/// A search so passes over keys that lie side by side: of a block of 4 KiB with values of 100 bytes
/// it touches a tenth of the cache lines.
///
/// A view of memory that someone else owns.
///
/// **On disk**: Docs/Formats.md, "Data block".
struct DataBlock {
  let bytes: RawBytes
  /// Where the keys end and the values begin.
  private let keysEnd: Int
  private let restartsOffset: Int
  private let restartCount: Int

  /// A block without entries.
  static var empty: DataBlock { DataBlock() }

  private init() {
    bytes = RawBytes(start: nil, count: 0)
    keysEnd = 0
    restartsOffset = 0
    restartCount = 0
  }

  /// Nil when the bytes are no block.
  init?(_ bytes: RawBytes) {
    self.bytes = bytes
    guard bytes.count >= 16 else { return nil }
    keysEnd = bytes.fixed(at: bytes.count - 8)
    restartCount = bytes.fixed(at: bytes.count - 4)
    restartsOffset = bytes.count - 8 - 8 * restartCount
    guard restartCount > 0, restartsOffset >= keysEnd else { return nil }
    for index in 0..<restartCount {
      let restart = restart(index)
      guard restart.key <= keysEnd, restart.value <= restartsOffset - keysEnd else { return nil }
    }
  }

  /// A place between two entries: where the next one's key and value begin.
  struct Place {
    var key = 0
    /// Counted from the first value.
    var value = 0
  }

  /// One entry as it is stored: the key without the part it shares with the one before.
  struct StoredEntry {
    var start: Place
    var end: Place
    var shared: Int
    var unshared: RawBytes
    var value: RawBytes
    var headByteCount: Int
    var sequence: UInt64
    var kind: EntryKind
    var expiry: UInt64
  }

  @inline(__always)
  private func restart(_ index: Int) -> Place {
    let offset = restartsOffset &+ 8 &* index
    return Place(key: bytes.fixed(at: offset), value: bytes.fixed(at: offset &+ 4))
  }

  /// True behind the last entry.
  @inline(__always)
  func isEnd(_ place: Place) -> Bool { place.key >= keysEnd }

  /// The place behind the last entry, of which only the key's offset counts.
  var end: Place { Place(key: keysEnd) }

  // MARK: Decoding

  /// Decodes the entry at a place; nil when it is malformed.
  @inline(__always)
  func decode(at start: Place) -> StoredEntry? {
    // Behind the keys are at least eight bytes, so eight may be loaded anywhere up to their end.
    var position = start.key &+ 2
    guard position <= keysEnd else { return nil }
    let counts = UInt16(
      littleEndian: bytes.loadUnaligned(fromByteOffset: start.key, as: UInt16.self))
    guard counts & 0x8080 == 0, let tag = shortVarint(&position), tag & 4 == 0 else {
      return decodeSlowly(at: start)
    }
    let unsharedCount = Int(counts &>> 8)
    var valueCount = 0
    var headCount = 0
    if tag & 3 != UInt64(EntryKind.delete.rawValue) {
      guard let value = shortVarint(&position), let head = shortVarint(&position) else {
        return decodeSlowly(at: start)
      }
      guard value <= UInt64(StoreLimits.valueByteCount), head <= value else { return nil }
      valueCount = Int(value)
      headCount = Int(head)
    }
    let end = Place(key: position &+ unsharedCount, value: start.value &+ valueCount)
    guard end.key <= keysEnd, end.value <= restartsOffset &- keysEnd,
      let kind = EntryKind(rawValue: UInt8(tag & 3))
    else { return nil }
    return StoredEntry(
      start: start, end: end, shared: Int(counts & 0xFF),
      unshared: bytes.slice(position, unsharedCount),
      value: bytes.slice(keysEnd &+ start.value, valueCount), headByteCount: headCount,
      sequence: tag &>> 3, kind: kind, expiry: 0)
  }

  /// A varint of at most eight bytes; nil for longer ones and at the end of the keys.
  @inline(__always)
  private func shortVarint(_ position: inout Int) -> UInt64? {
    guard position <= keysEnd else { return nil }
    let word = UInt64(
      littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    if word & 0x80 == 0 {
      position &+= 1
      return word & 0x7F
    }
    let ends = ~word & 0x8080_8080_8080_8080
    guard ends != 0 else { return nil }
    let bitCount = UInt64(truncatingIfNeeded: ends.trailingZeroBitCount &+ 1)
    position &+= Int(bitCount &>> 3)
    // Squeezes out the top bit of each byte: pairs, then fours, then all.
    var value = word & (.max &>> (64 &- bitCount)) & 0x7F7F_7F7F_7F7F_7F7F
    value = value & 0x007F_007F_007F_007F | (value & 0x7F00_7F00_7F00_7F00) &>> 1
    value = value & 0x0000_3FFF_0000_3FFF | (value & 0x3FFF_0000_3FFF_0000) &>> 2
    return value & 0x0FFF_FFFF | (value & 0x0FFF_FFFF_0000_0000) &>> 4
  }

  /// Decodes what has an expiry or long fields.
  @inline(never)
  private func decodeSlowly(at start: Place) -> StoredEntry? {
    var reader = RawReader(RawBytes(rebasing: bytes[..<keysEnd]), at: start.key)
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
    guard let unshared = reader.raw(unsharedCount),
      valueCount <= restartsOffset - keysEnd - start.value
    else { return nil }
    return StoredEntry(
      start: start, end: Place(key: reader.position, value: start.value + valueCount),
      shared: shared, unshared: unshared, value: bytes.slice(keysEnd + start.value, valueCount),
      headByteCount: headCount, sequence: tag &>> 3, kind: kind, expiry: expiry)
  }

  // MARK: Searching

  /// The last restart whose key is at most `key` (the first restart if none is), or nil when the
  /// block is malformed.
  @inline(__always)
  private func restart(notAfter key: RawBytes) -> Place? {
    var low = 0
    var high = restartCount &- 1
    while low < high {
      let middle = (low &+ high &+ 1) / 2
      guard let entry = decode(at: restart(middle)), entry.shared == 0 else { return nil }
      if compareKeys(entry.unshared, key) <= 0 { low = middle } else { high = middle &- 1 }
    }
    return restart(low)
  }

  /// The last restart before a place; nil when nothing is before it.
  func restart(before place: Place) -> Place? {
    var low = 0
    var high = restartCount
    while low < high {
      let middle = (low &+ high) / 2
      if restart(middle).key < place.key { low = middle &+ 1 } else { high = middle }
    }
    return low == 0 ? nil : restart(low &- 1)
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
    guard var place = restart(notAfter: key) else { return .malformed }
    var matched = 0
    while !isEnd(place) {
      guard let entry = decode(at: place) else { return .malformed }
      place = entry.end
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
}
