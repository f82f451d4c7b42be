import KVBase

/// Gives arbitrary bytes to whole stores, in place of one of their files.
enum StoreFuzz {
  private static let root = "/store"

  /// The files of a small store that was not closed, by path.
  private static let files: [(path: String, bytes: Bytes)] = {
    do throws(StorageError) { return try makeFiles() } catch {
      preconditionFailure("a file system in memory failed: \(error)")
    }
  }()

  /// The files of the store, one of each type.
  static func samples() -> [(name: String, bytes: Bytes)] {
    [".journal", ".values", ".sst", "MANIFEST-"].compactMap { type in
      files.last { $0.path.contains(type) }.map { (name: $0.path, bytes: $0.bytes) }
    }
  }

  /// Opens and inspects a store in which the bytes stand for the file they look like, if any.
  ///
  /// Every read must answer or throw.
  static func fuzz(_ bytes: Bytes) {
    let alike = files.indices.max {
      common(files[$0].bytes, bytes) < common(files[$1].bytes, bytes)
    }
    guard let alike, common(files[alike].bytes, bytes) > 32 else { return }
    inspect(replacing: alike, bytes)
    open(replacing: alike, bytes)
  }

  /// How many of the first bytes are the same.
  private static func common(_ a: Bytes, _ b: Bytes) -> Int {
    zip(a, b).prefix(64).count { $0 == $1 }
  }

  private static func makeFiles() throws(StorageError) -> [(path: String, bytes: Bytes)] {
    let fileSystem = CrashableFileSystem()
    var options = StoreOptions()
    options.memtableByteLimit = 1 << 10
    options.separationByteCount = 16
    options.segmentByteLimit = 512
    options.spaceAmplificationLimit = 1.05
    let store = try Store.open(at: root, fileSystem: fileSystem, options: options)
    for round in 0..<12 {
      var batch = WriteBatch()
      for key in 0..<5 {
        let value = Bytes(repeating: UInt8(round), count: 10 + 4 * key)
        batch.put(Bytes("key \(key)".utf8), value, headByteCount: 3, expiry: key == 0 ? 99 : nil)
      }
      if round % 4 == 3 { batch.deleteRange(Bytes("key 1".utf8), Bytes("key 3".utf8)) }
      try store.write(batch)
      _ = try store.performBackgroundWork()
    }
    var files: [(path: String, bytes: Bytes)] = []
    for directory in [StorePaths.journalDirectory(root), StorePaths.ledgerDirectory(root)] {
      for name in try fileSystem.list(directory) {
        let path = directory + "/" + name
        files.append((path, try fileSystem.readAll(path)))
      }
    }
    return files
  }

  private static func store(
    replacing index: Int, _ bytes: Bytes
  ) throws(StorageError) -> CrashableFileSystem {
    let fileSystem = CrashableFileSystem()
    for directory in [StorePaths.journalDirectory(root), StorePaths.ledgerDirectory(root)] {
      try fileSystem.createDirectory(directory)
    }
    for (number, file) in files.enumerated() {
      try fileSystem.createFile(file.path, contents: number == index ? bytes : file.bytes)
    }
    return fileSystem
  }

  private static func inspect(replacing index: Int, _ bytes: Bytes) {
    do throws(StorageError) {
      let fileSystem = try store(replacing: index, bytes)
      let inspector = try StoreInspector(at: root, fileSystem: fileSystem)
      _ = inspector.verify()
      _ = try inspector.figures()
    } catch {}
  }

  private static func open(replacing index: Int, _ bytes: Bytes) {
    do throws(StorageError) {
      let fileSystem = try store(replacing: index, bytes)
      let store = try Store.open(at: root, fileSystem: fileSystem)
      _ = try? store.scan(limit: 1000)
      for key in 0..<5 { _ = try? store.get(Bytes("key \(key)".utf8)) }
      for _ in 0..<8 { guard try store.performBackgroundWork() else { break } }
      _ = try store.scan(limit: 1000, .heads)
    } catch {}
  }
}
