/// A position in sorted entries: the common base of the sources that a scan or compaction merges.
///
/// A cursor gives each key once, with its newest entry. It is a class with stored properties so
/// that reading the present entry costs no call, and neither does moving on within a block. The
/// entry's memory is valid until the cursor moves. Not thread-safe; one owner uses it.
class Cursor {
  /// The entry at the position; meaningful while `isValid`.
  @exclusivity(unchecked)
  final var entry = EntryView(
    key: RawBytes(start: nil, count: 0), value: RawBytes(start: nil, count: 0), headByteCount: 0,
    sequence: 0, kind: .delete)
  /// False before the first seek and beyond either end.
  @exclusivity(unchecked)
  final var isValid = false
  /// The block that the entry is in; without entries for cursors that are in none.
  @exclusivity(unchecked)
  final var run = BlockRun()

  /// Moves to the first entry whose key is not before `key`.
  func seek(_ key: RawBytes) throws(StorageError) { preconditionFailure("a subclass seeks") }

  /// Moves to the last entry of all.
  func seekToLast() throws(StorageError) { preconditionFailure("a subclass seeks") }

  /// Moves to the next entry when it is not in the same block; the position must be valid.
  func nextBeyondBlock() throws(StorageError) { preconditionFailure("a subclass moves") }

  /// Moves to the entry before; the position must be valid.
  func previous() throws(StorageError) { preconditionFailure("a subclass moves") }

  /// Moves to the next entry; the position must be valid.
  @inline(__always)
  final func next() throws(StorageError) {
    if !run.next(&entry) { try nextBeyondBlock() }
  }

  /// Moves to the last entry whose key is before `key`.
  func seek(before key: RawBytes) throws(StorageError) {
    try seek(key)
    if isValid { try previous() } else { try seekToLast() }
  }

  /// Moves to the last entry whose key is not after `key`.
  func seek(notAfter key: RawBytes) throws(StorageError) {
    try seek(key)
    guard isValid else { return try seekToLast() }
    if compareKeys(entry.key, key) != 0 { try previous() }
  }

  /// Lets go of blocks, keeps other memory, and takes entries after `sequence` for absent.
  func rest(at sequence: UInt64) { isValid = false }
}
