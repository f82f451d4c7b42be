/// Encodes sorted entries as a block: keys without the prefix they share with the one before, and
/// every so many entries a restart, where the key is whole; behind the keys the values.
///
/// **On disk**: Docs/Formats.md, "Data block".
struct BlockBuilder: ~Copyable {
  private let restartInterval: Int
  private var buffer = RawBuffer(capacity: 8 << 10)
  private var values = RawBuffer(capacity: 8 << 10)
  private var restarts: [(key: UInt32, value: UInt32)] = []
  private var sinceRestart = 0
  private(set) var lastKey = RawBuffer()

  init(restartInterval: Int) {
    self.restartInterval = restartInterval
    restarts.reserveCapacity(64)
  }

  var isEmpty: Bool { restarts.isEmpty }

  /// The size of the block if it were finished now.
  @inline(__always)
  var byteCount: Int { buffer.count &+ values.count &+ 8 &* restarts.count &+ 8 }

  /// Adds an entry; its key is after the one added before.
  @inline(__always)
  mutating func append(_ entry: EntryView) {
    var shared = 0
    if sinceRestart == restartInterval || restarts.isEmpty {
      restarts.append((UInt32(buffer.count), UInt32(values.count)))
      sinceRestart = 0
    } else {
      shared = commonPrefixCount(lastKey.bytes, entry.key)
    }
    let unshared = entry.key.slice(shared, entry.key.count &- shared)
    buffer.append(varint: UInt64(shared))
    buffer.append(varint: UInt64(unshared.count))
    let expires: UInt64 = entry.expiry == 0 ? 0 : 4
    buffer.append(varint: entry.sequence &<< 3 | expires | UInt64(entry.kind.rawValue))
    if expires != 0 { buffer.append(varint: entry.expiry) }
    if entry.kind != .delete {
      buffer.append(varint: UInt64(entry.value.count))
      buffer.append(varint: UInt64(entry.headByteCount))
    }
    buffer.append(unshared)
    values.append(entry.value)
    lastKey.truncate(to: shared)
    lastKey.append(unshared)
    sinceRestart &+= 1
  }

  /// The finished block, valid until ``reset()``.
  mutating func finish() -> RawBytes {
    if restarts.isEmpty { restarts.append((0, 0)) }
    let keysEnd = buffer.count
    buffer.append(values.bytes)
    for restart in restarts {
      buffer.append(fixed: restart.key)
      buffer.append(fixed: restart.value)
    }
    buffer.append(fixed: UInt32(keysEnd))
    buffer.append(fixed: UInt32(restarts.count))
    return buffer.bytes
  }

  mutating func reset() {
    buffer.removeAll()
    buffer.shrink(to: 1 << 20)
    values.removeAll()
    values.shrink(to: 1 << 20)
    restarts.removeAll(keepingCapacity: true)
    sinceRestart = 0
    lastKey.removeAll()
  }
}
