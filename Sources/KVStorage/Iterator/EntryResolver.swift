import KVBase

/// Decides what an entry found by a cursor means to a reader, and fetches its value.
struct EntryResolver {
  /// The time that decides over expiry, in seconds since 1970.
  var now: UInt64

  /// False for a key whose newest entry, this one, says that it has no value.
  @inline(__always)
  func isLive(_ entry: EntryView) -> Bool {
    entry.kind != .delete && !entry.isExpired(at: now)
  }

  /// Replaces the buffer's contents by the part of the entry's value that the projection asks for.
  func read(
    _ entry: EntryView, _ projection: Projection, into buffer: inout Bytes
  ) throws(StorageError) {
    buffer.removeAll(keepingCapacity: true)
    switch projection {
    case .keys: return
    case .heads: buffer.append(contentsOf: entry.value.prefix(entry.headByteCount))
    case .values: buffer.append(contentsOf: entry.value)
    }
  }
}
