public import KVBase

/// Index entries of objects.
extension KVObject {
  /// The index entries of all contents, sorted, each once.
  public var indexes: [Pair] {
    if siblings.count == 1 { return siblings[0].content.indexes }
    return Set(siblings.flatMap(\.content.indexes)).sorted()
  }

  /// True when a content of the encoded object has index entries, found without decoding the rest; true
  /// also for bytes that are no object's head.
  public static func hasIndexes(encodedHead bytes: Bytes) -> Bool {
    var reader = ByteReader(bytes)
    do {
      try reader.skip(5)
      try reader.skip(16 * Int(clamping: reader.readVarint()))
      for _ in 0..<(try reader.readCount(minimumBytes: 30)) {
        // Dot, flags, time; then tag, content type, character set and encoding.
        try reader.skip(16 + 1 + 8)
        try reader.skipBytes()
        for _ in 0..<3 { try reader.skipOptional() }
        for _ in 0..<(3 * (try reader.readCount(minimumBytes: 3))) { try reader.skipOptional() }
        for _ in 0..<(try reader.readCount(minimumBytes: 2)) {
          try reader.skipBytes()
          try reader.skipOptional()
        }
        if try reader.readVarint() > 0 { return true }
        _ = try reader.readVarint()
      }
      return false
    } catch {
      return true
    }
  }
}

extension ByteReader {
  fileprivate mutating func skipBytes() throws(DecodingFailure) {
    try skip(try readCount())
  }

  fileprivate mutating func skipOptional() throws(DecodingFailure) {
    if try readBool() { try skipBytes() }
  }
}
