import KVBase

/// Feeds arbitrary bytes to the reader of encrypted files.
enum EncryptionFuzz {
  private static let contents = Bytes("first value".utf8)

  /// Valid files to mutate: one of a few bytes and one of some pages.
  static func samples() -> [(name: String, bytes: Bytes)] {
    let long = Bytes((0..<10_000).map { UInt8(truncatingIfNeeded: $0) })
    return [("encrypted", sample(contents)), ("encryptedPages", sample(long))]
  }

  /// Reads the bytes as a file: as they are, and as the pages behind a good header.
  static func fuzz(_ bytes: Bytes) {
    read(bytes)
    let header = sample(contents).prefix(EncryptedFormat.dataOffset)
    read(header + bytes)
  }

  private static func read(_ raw: Bytes) {
    let base = CrashableFileSystem()
    do throws(StorageError) {
      try base.createFile("/file", contents: raw)
      let fileSystem = EncryptedFileSystem(base, keys: try ring())
      _ = try fileSystem.size("/file")
      _ = try? fileSystem.readAll("/file")
      _ = try fileSystem.rewrapKeys(in: "/")
    } catch {}
  }

  private static func ring() throws(StorageError) -> KeyRing {
    KeyRing(current: try NodeKey(Bytes(0..<32)))
  }

  /// The raw bytes of a file with these contents, under made-up keys.
  private static func sample(_ contents: Bytes) -> Bytes {
    let base = CrashableFileSystem()
    do throws(StorageError) {
      let fileSystem = EncryptedFileSystem(base, keys: try ring()) { count in
        Bytes((0..<count).map { UInt8(truncatingIfNeeded: 100 + $0) })
      }
      try fileSystem.createFile("/file", contents: contents)
      return try base.readAll("/file")
    } catch { preconditionFailure("a file system in memory failed: \(error)") }
  }

  /// A key slot: node key 00 to 1f, file keys 64 to a3, file id 64 to 73.
  static func sampleKeySlot() -> Bytes { Bytes(sample(contents).prefix(KeySlot.byteCount)) }

  /// The first page of the same file, which holds `first value`.
  static func samplePage() -> Bytes { Bytes(sample(contents)[EncryptedFormat.dataOffset...]) }
}
