public import KVBase

/// Puts and deletes that are applied together or not at all.
///
/// The batch is kept in the encoding of a journal record's payload (Docs/Formats.md), so applying it
/// copies bytes and encodes nothing again.
public struct WriteBatch: Sendable {
  /// The number of puts and deletes.
  public private(set) var count = 0
  private(set) var operations: Bytes = []
  private(set) var oversize: StorageError?
  private(set) var largestValueByteCount = 0

  /// An empty batch.
  public init() {}

  /// True when there is nothing to apply.
  public var isEmpty: Bool { count == 0 }

  /// The bytes that the batch takes in the journal, without its header.
  public var byteCount: Int { operations.count }

  /// Sets a key's value; ``Store/head(_:)`` will return the first `headByteCount` bytes of it.
  ///
  /// A key or value beyond ``StoreLimits`` makes ``Store/append(_:)`` refuse the whole batch.
  /// With `expiry`, in seconds since 1970, the key is gone from that second on, without a delete.
  /// - Precondition: `headByteCount` is at most the length of the value.
  public mutating func put(
    _ key: Bytes, _ value: Bytes, headByteCount: Int = 0, expiry: UInt64? = nil
  ) {
    precondition(
      (0...value.count).contains(headByteCount),
      "a head of \(headByteCount) bytes does not fit a value of \(value.count)")
    guard check(key, value.count) else { return }
    makeRoom(for: key.count + value.count + 34)
    let expires = expiry.map { $0 > 0 } ?? false
    operations.append(EntryKind.put.rawValue | (expires ? EntryKind.expiryFlag : 0))
    append(key)
    if expires, let expiry { append(varint: expiry) }
    append(varint: UInt64(value.count))
    append(varint: UInt64(headByteCount))
    operations.append(contentsOf: value)
    count += 1
    largestValueByteCount = max(largestValueByteCount, value.count)
  }

  /// Removes a key, whether or not it exists.
  public mutating func delete(_ key: Bytes) {
    guard check(key, 0) else { return }
    operations.append(EntryKind.delete.rawValue)
    append(key)
    count += 1
  }

  /// Removes every key with `lower <= key < upper`; nothing when the range is empty.
  ///
  /// The cost does not depend on the number of keys; their space comes back in the background.
  public mutating func deleteRange(_ lower: Bytes, _ upper: Bytes) {
    guard lower.lexicographicallyPrecedes(upper), check(lower, 0), check(upper, 0) else { return }
    operations.append(EntryKind.deleteRange.rawValue)
    append(lower)
    append(varint: UInt64(upper.count))
    append(varint: 0)
    operations.append(contentsOf: upper)
    count += 1
  }

  /// Adds the operation that makes a key refer to a copy of its value, or forgets its expired value.
  mutating func append(_ move: CollectionRun.Move) {
    guard let pointer = move.pointer else { return delete(move.key) }
    var value = RawBuffer(capacity: move.head.count + ValuePointer.maximumByteCount)
    move.head.withRaw { value.append($0) }
    pointer.encode(into: &value)
    operations.append(
      EntryKind.reference.rawValue | (move.expiry == 0 ? 0 : EntryKind.expiryFlag))
    append(move.key)
    if move.expiry != 0 { append(varint: move.expiry) }
    append(varint: UInt64(value.count))
    append(varint: UInt64(move.head.count))
    operations.append(contentsOf: value.bytes)
    count += 1
  }

  /// Adds a put of a copied value, which may be compressed, as it is stored.
  mutating func append(
    _ key: Bytes, stored: Bytes, headByteCount: Int, expiry: UInt64, originalByteCount: Int
  ) {
    operations.append(
      EntryKind.put.rawValue | (expiry == 0 ? 0 : EntryKind.expiryFlag)
        | (originalByteCount == 0 ? 0 : EntryKind.compressedFlag))
    append(key)
    if expiry != 0 { append(varint: expiry) }
    append(varint: UInt64(stored.count))
    append(varint: UInt64(headByteCount))
    if originalByteCount != 0 { append(varint: UInt64(originalByteCount)) }
    operations.append(contentsOf: stored)
    count += 1
  }

  /// Replaces the contents by those of another batch, with values of at least `limit` bytes compressed
  /// where that saves an eighth.
  ///
  /// `isDense` says, and is told, whether the last value shrank to more than half its length.
  mutating func compress(_ batch: WriteBatch, from limit: Int, isDense: inout Bool) {
    removeAll()
    operations.reserveCapacity(batch.operations.count)
    batch.operations.withRaw { source in
      var reader = BatchReader(source)
      while !reader.isAtEnd {
        let start = reader.position
        guard let entry = reader.next(sequence: 0) else {
          preconditionFailure("a write batch does not follow its own encoding")
        }
        if entry.kind == .put, entry.value.count >= limit {
          let stored = appendCompressed(entry, isDense: isDense)
          isDense = (stored ?? entry.value.count) > entry.value.count / 2
          if stored != nil { continue }
        }
        operations.append(contentsOf: source[start..<reader.position])
      }
    }
    count = batch.count
  }

  /// The bytes of the value as stored; nil, and nothing added, when compressing saves too little.
  private mutating func appendCompressed(_ entry: EntryView, isDense: Bool) -> Int? {
    let start = operations.count
    operations.append(
      EntryKind.put.rawValue | EntryKind.compressedFlag
        | (entry.expiry == 0 ? 0 : EntryKind.expiryFlag))
    append(varint: UInt64(entry.key.count))
    operations.append(contentsOf: entry.key)
    if entry.expiry != 0 { append(varint: entry.expiry) }
    let countOffset = operations.count
    for _ in 0..<WriteBatch.paddedCountByteCount { operations.append(0) }
    append(varint: UInt64(entry.headByteCount))
    append(varint: UInt64(entry.value.count))
    guard let stored = CompressedValue.append(entry, to: &operations, isDense: isDense) else {
      operations.removeSubrange(start...)
      return nil
    }
    for index in 0..<WriteBatch.paddedCountByteCount {
      let isLast = index == WriteBatch.paddedCountByteCount - 1
      operations[countOffset + index] = UInt8(stored >> (7 * index) & 0x7F) | (isLast ? 0 : 0x80)
    }
    return stored
  }

  /// The length of a compressed value is known after its place: a varint as long as any.
  private static let paddedCountByteCount = 4

  /// Empties the batch and keeps its memory.
  public mutating func removeAll() {
    count = 0
    largestValueByteCount = 0
    operations.removeAll(keepingCapacity: true)
    oversize = nil
  }

  private mutating func check(_ key: Bytes, _ valueByteCount: Int) -> Bool {
    if key.count > StoreLimits.keyByteCount {
      oversize = oversize ?? StorageError(.keyTooLarge, "a key of \(key.count) bytes")
    } else if valueByteCount > StoreLimits.valueByteCount {
      oversize = oversize ?? StorageError(.valueTooLarge, "a value of \(valueByteCount) bytes")
    } else if operations.count + key.count + valueByteCount > StoreLimits.batchByteCount - 64 {
      oversize = oversize ?? StorageError(.batchTooLarge, "more than \(operations.count) bytes")
    }
    return oversize == nil
  }

  /// Grows by at least a half: to reserve just what the next put needs would copy the whole batch
  /// for each.
  private mutating func makeRoom(for byteCount: Int) {
    let needed = operations.count + byteCount
    guard needed > operations.capacity else { return }
    operations.reserveCapacity(count == 0 ? needed : max(needed, operations.capacity * 3 / 2))
  }

  private mutating func append(_ key: Bytes) {
    append(varint: UInt64(key.count))
    operations.append(contentsOf: key)
  }

  private mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      operations.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    operations.append(UInt8(rest))
  }
}

/// What an entry says about its key.
///
/// The raw values are persisted, two bits each.
enum EntryKind: UInt8 {
  /// The key has no value.
  case delete = 0
  /// The entry holds the whole value.
  case put = 1
  /// The entry holds the value's head and a ``ValuePointer``; the value is in a journal segment.
  case reference = 2
  /// All keys from the entry's key to before its value have no value; in batches only.
  case deleteRange = 3

  /// Set in the byte of a batch's operation whose key is followed by an expiry.
  static let expiryFlag: UInt8 = 8
  /// Set in the byte of a batch's put whose value is compressed.
  static let compressedFlag: UInt8 = 16
}

/// One entry of a memtable, block or batch; the memory belongs to whoever handed it out.
struct EntryView {
  var key: RawBytes
  /// The value; of a reference the head and, after it, the encoded pointer.
  var value: RawBytes
  var headByteCount: Int
  var sequence: UInt64
  var kind: EntryKind
  /// The second since 1970 from which on the entry counts as a delete; 0 for never.
  var expiry: UInt64 = 0
  /// The length that the value had before it was compressed, 0 when it is not; see ``CompressedValue``.
  var originalByteCount = 0

  /// The length of a put's value as a reader gets it.
  var valueByteCount: Int { originalByteCount == 0 ? value.count : originalByteCount }

  /// True for a put whose value stays in the journal, given the option.
  @inline(__always)
  func isSeparated(from limit: Int) -> Bool {
    kind == .put && (value.count >= limit || originalByteCount != 0)
  }

  /// True when the entry expires no later than `now`.
  @inline(__always)
  func isExpired(at now: UInt64) -> Bool { expiry != 0 && expiry <= now }
}

/// Which part of a value a read returns.
public enum Projection: Hashable, Sendable {
  /// Nothing: only the key matters.
  case keys
  /// The first bytes, as many as the put declared to be the head.
  case heads
  /// All of it.
  case values
}

/// Walks through the operations of a batch in their encoding.
struct BatchReader {
  private var reader: RawReader

  init(_ operations: RawBytes) { reader = RawReader(operations) }

  var isAtEnd: Bool { reader.remaining == 0 }

  var position: Int { reader.position }

  /// The next operation with this sequence number; nil when the bytes are malformed.
  @inline(__always)
  mutating func next(sequence: UInt64) -> EntryView? {
    guard let tag = reader.byte(),
      tag & ~(EntryKind.expiryFlag | EntryKind.compressedFlag | 3) == 0,
      let kind = EntryKind(rawValue: tag & 3),
      let keyCount = reader.count(atMost: StoreLimits.keyByteCount),
      let key = reader.raw(keyCount)
    else { return nil }
    guard kind != .delete else {
      return EntryView(
        key: key, value: RawBytes(start: nil, count: 0), headByteCount: 0, sequence: sequence,
        kind: .delete)
    }
    var expiry: UInt64 = 0
    if tag & EntryKind.expiryFlag != 0 {
      guard let read = reader.varint() else { return nil }
      expiry = read
    }
    guard let valueCount = reader.count(atMost: StoreLimits.valueByteCount),
      let headCount = reader.count(atMost: valueCount)
    else { return nil }
    var originalCount = 0
    if tag & EntryKind.compressedFlag != 0 {
      guard kind == .put,
        let read = reader.count(
          atMost: CompressedValue.largestByteCount(stored: valueCount, head: headCount)),
        read > headCount
      else { return nil }
      originalCount = read
    }
    guard let value = reader.raw(valueCount) else { return nil }
    return EntryView(
      key: key, value: value, headByteCount: headCount, sequence: sequence, kind: kind,
      expiry: expiry, originalByteCount: originalCount)
  }
}
