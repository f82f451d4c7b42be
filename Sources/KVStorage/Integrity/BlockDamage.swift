import KVBase

/// A piece of a table that cannot be read, and the keys that may be in it.
struct BlockDamage {
  var error: StorageError
  var lower: Bytes
  /// The first key after the piece.
  var upper: Bytes
  /// The newest entry that may be lost.
  var sequence: UInt64
}

extension Bytes {
  /// The smallest key after this one.
  var successor: Bytes { self + [0] }
}
