import KVBase
import KVCluster
import KVModel
import KVStorage

/// How the names of objects become keys of the store.
///
/// ```
/// object    u16 partition | escaped type | escaped bucket | key
/// index     FF FC | u16 partition | escaped type | escaped bucket | escaped name | escaped term | key
/// register  FF FD | u16 partition | escaped type | escaped bucket | key
/// grave     FF FE | u16 partition | escaped type | escaped bucket | key
/// metadata  FF FF | name
/// escaped   each 00 as 00 FF, then 00 01 as the end
/// ```
///
/// The order of the keys is that of (partition, type, bucket, key), so a partition is one range and
/// a bucket within it another. No partition number reaches FF00.
///
/// **On disk**: Docs/Formats.md.
enum KeyLayout {
  private static let metadataPrefix: Bytes = [0xFF, 0xFF]
  /// The prefix of all registers.
  static let registerPrefix: Bytes = [0xFF, 0xFD]
  /// The prefix of all graves.
  static let gravePrefix: Bytes = [0xFF, 0xFE]

  /// The parts of a range with objects, with index entries and with graves.
  ///
  /// What is lost there is fetched again, made again or forgotten. Promises of registers and the node's
  /// own values cannot be.
  static func restorableParts(of range: KeyRange) -> [KeyRange] {
    [
      KeyRange(lower: [], upper: indexPrefix),
      KeyRange(lower: indexPrefix, upper: registerPrefix),
      KeyRange(lower: gravePrefix, upper: metadataPrefix),
    ].compactMap(range.intersection)
  }

  /// The partitions whose index entries may be in a range of nothing else.
  static func indexedPartitions(of range: KeyRange) -> [PartitionID] {
    guard range.lower.starts(with: indexPrefix) else { return [] }
    let first = partition(of: Bytes(range.lower.dropFirst(indexPrefix.count)))
    let last = partition(of: Bytes(range.upper.dropFirst(indexPrefix.count)))
    return ((first?.index ?? 0)...(last?.index ?? 4095)).map { PartitionID($0) }
  }

  /// The store's key of an object.
  static func objectKey(_ key: ObjectKey, _ partition: PartitionID) -> Bytes {
    bucketPrefix(key.bucket, partition, room: key.key.count) + key.key
  }

  /// The store's key of what is remembered of a deleted object.
  static func graveKey(_ key: ObjectKey, _ partition: PartitionID) -> Bytes {
    gravePrefix + objectKey(key, partition)
  }

  /// The store's key of a metadata value.
  static func metadataKey(_ name: String) -> Bytes { metadataPrefix + Bytes(name.utf8) }

  /// The range of a partition, or of one bucket within it.
  static func range(
    _ partition: PartitionID, _ bucket: BucketID?
  ) -> (lower: Bytes, upper: Bytes) {
    guard let bucket else {
      return (prefix(partition), prefix(PartitionID(partition.index + 1)))
    }
    let lower = bucketPrefix(bucket, partition, room: 0)
    var upper = lower
    // The prefix ends in 00 01, which no longer key of another bucket continues.
    upper[upper.count - 1] = 2
    return (lower, upper)
  }

  /// The prefix of all index entries.
  static let indexPrefix: Bytes = [0xFF, 0xFC]

  /// The store's key of one entry of an index.
  static func indexKey(_ entry: Pair, _ key: ObjectKey, _ partition: PartitionID) -> Bytes {
    indexPrefix(key.bucket, entry.key, partition)
      + escaped(IndexTerm.sortable(entry.value ?? [], field: entry.key)) + key.key
  }

  /// What the entries of one index of a bucket begin with.
  static func indexPrefix(
    _ bucket: BucketID, _ field: Bytes, _ partition: PartitionID
  ) -> Bytes {
    indexPrefix + bucketPrefix(bucket, partition, room: 0) + escaped(field)
  }

  /// A part in its escaped form; without the end mark when it is only a beginning.
  static func escaped(_ part: Bytes, isComplete: Bool = true) -> Bytes {
    var result: Bytes = []
    append(part, to: &result)
    if !isComplete { result.removeLast(2) }
    return result
  }

  /// The smallest key that follows `key`.
  static func successor(of key: Bytes) -> Bytes { key + [0] }

  /// The partition of an object's key; nil for index entries, registers, graves and metadata.
  static func partition(of key: Bytes) -> PartitionID? {
    guard key.count >= 2, key[0] < 0xFF else { return nil }
    return PartitionID(Int(key[0]) << 8 | Int(key[1]))
  }

  /// The store's key of a register.
  static func registerKey(_ key: ObjectKey, _ partition: PartitionID) -> Bytes {
    registerPrefix + objectKey(key, partition)
  }

  /// The range of a partition's registers, or of those of one bucket.
  static func registerRange(
    _ partition: PartitionID, _ bucket: BucketID?
  ) -> (lower: Bytes, upper: Bytes) {
    let range = range(partition, bucket)
    return (registerPrefix + range.lower, registerPrefix + range.upper)
  }

  /// The name behind a register's key; nil when it is none.
  static func objectKey(decodingRegister bytes: Bytes) -> ObjectKey? {
    guard bytes.starts(with: registerPrefix) else { return nil }
    return objectKey(decoding: Bytes(bytes.dropFirst(registerPrefix.count)))
  }

  /// The name behind an object's key; nil when it is none.
  static func objectKey(decoding bytes: Bytes) -> ObjectKey? {
    guard bytes.count >= 2 else { return nil }
    var position = 2
    guard let type = unescape(bytes, &position), let name = unescape(bytes, &position) else {
      return nil
    }
    return ObjectKey(
      bucket: BucketID(type: type, name: name), key: Bytes(bytes[position...]))
  }

  private static func prefix(_ partition: PartitionID) -> Bytes {
    [UInt8(partition.index >> 8), UInt8(partition.index & 0xFF)]
  }

  private static func bucketPrefix(
    _ bucket: BucketID, _ partition: PartitionID, room: Int
  ) -> Bytes {
    var result = prefix(partition)
    result.reserveCapacity(8 + bucket.type.count + bucket.name.count + room)
    for part in [bucket.type, bucket.name] { append(part, to: &result) }
    return result
  }

  private static func append(_ part: Bytes, to result: inout Bytes) {
    for byte in part {
      result.append(byte)
      if byte == 0 { result.append(0xFF) }
    }
    result.append(0)
    result.append(1)
  }

  static func unescape(_ bytes: Bytes, _ position: inout Int) -> Bytes? {
    var part: Bytes = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      guard byte == 0 else {
        part.append(byte)
        continue
      }
      guard position < bytes.count else { return nil }
      defer { position += 1 }
      switch bytes[position] {
      case 0xFF: part.append(0)
      case 1: return part
      default: return nil
      }
    }
    return nil
  }
}
