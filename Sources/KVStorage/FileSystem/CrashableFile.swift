import KVBase

/// A change of a directory that is not durable yet.
enum NameChange {
  case link(String, Inode)
  case unlink(String)
  case rename(String, String, Inode)

  var directory: String {
    switch self {
    case .link(let path, _), .unlink(let path), .rename(let path, _, _):
      parentDirectory(of: path)
    }
  }

  func apply(to names: inout [String: Inode]) {
    switch self {
    case .link(let path, let inode): names[path] = inode
    case .unlink(let path): names[path] = nil
    case .rename(let path, let newPath, let inode):
      names[path] = nil
      names[newPath] = inode
    }
  }
}

/// A file's bytes: what readers see, what is durable, and the changes between the two.
final class Inode {
  enum Change {
    case write(offset: Int, bytes: Bytes)
    case truncate(byteCount: Int)
  }

  var content: Bytes
  var durable: Bytes
  var unsynced: [Change] = []
  /// How many names the file has.
  var linkCount = 0

  init(durable: Bytes) {
    content = durable
    self.durable = durable
  }

  /// Writes and returns by how much the file grew.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
    let before = content.count
    Inode.apply(bytes, at: offset, to: &content)
    unsynced.append(.write(offset: offset, bytes: Bytes(bytes)))
    return content.count - before
  }

  /// Cuts and returns by how much the file shrank.
  func truncate(to byteCount: Int) -> Int {
    let cut = max(0, content.count - byteCount)
    content.removeLast(cut)
    unsynced.append(.truncate(byteCount: byteCount))
    return cut
  }

  func sync() {
    for change in unsynced { Inode.apply(change, to: &durable) }
    unsynced = []
  }

  /// The durable bytes and a random part of the rest: none, all, a torn prefix or a torn subset.
  func contentAfterCrash(random: inout SeededRandom) -> Bytes {
    var result = durable
    guard !unsynced.isEmpty else { return result }
    let mode = random.below(4)
    guard mode > 0 else { return result }
    let last = mode == 2 ? random.below(unsynced.count) : unsynced.count - 1
    for (index, change) in unsynced.enumerated() where index <= last {
      let isTorn = mode == 2 && index == last || mode == 3 && random.chance(0.2)
      if mode == 3, random.chance(0.4) { continue }
      switch change {
      case .write(let offset, let bytes) where isTorn:
        let part = Bytes(bytes[..<random.below(bytes.count + 1)])
        Inode.apply(.write(offset: offset, bytes: part), to: &result)
      case .truncate where isTorn: break
      default: Inode.apply(change, to: &result)
      }
    }
    return result
  }

  private static func apply(_ change: Change, to target: inout Bytes) {
    switch change {
    case .write(let offset, let bytes):
      bytes.withUnsafeBytes { apply($0, at: offset, to: &target) }
    case .truncate(let byteCount): target.removeLast(max(0, target.count - byteCount))
    }
  }

  private static func apply(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, to target: inout Bytes
  ) {
    guard !bytes.isEmpty else { return }
    if offset == target.count {
      target.append(contentsOf: bytes)
      return
    }
    let end = offset + bytes.count
    if end > target.count {
      target.append(contentsOf: repeatElement(0, count: end - target.count))
    }
    target.replaceSubrange(offset..<end, with: bytes)
  }
}

final class CrashableFile: ReadableFile, WritableFile, @unchecked Sendable {
  // `inode` is only touched by the file system, under its lock; `size` is fixed at opening.
  private let fileSystem: CrashableFileSystem
  private let inode: Inode
  private let path: String
  let size: Int

  init(_ fileSystem: CrashableFileSystem, _ inode: Inode, _ path: String) {
    self.fileSystem = fileSystem
    self.inode = inode
    self.path = path
    size = inode.content.count
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
  {
    try fileSystem.read(inode, path, at: offset, into: buffer)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
    try fileSystem.write(bytes, to: inode, path, at: offset)
  }

  func truncate(to byteCount: Int) throws(StorageError) {
    try fileSystem.truncate(inode, path, to: byteCount)
  }

  func preallocate(_ range: Range<Int>) throws(StorageError) { try writeZeros(range) }

  func sync() throws(StorageError) { try fileSystem.sync(inode, path) }
}

final class CrashableLock: FileLock {
  private let fileSystem: CrashableFileSystem
  private let path: String

  init(_ fileSystem: CrashableFileSystem, _ path: String) {
    self.fileSystem = fileSystem
    self.path = path
  }

  deinit { fileSystem.unlock(path) }
}
