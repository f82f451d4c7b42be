import KVBase

extension CrashableFileSystem: UpdatableFileSystem {
  /// Creates a directory and its missing parents.
  public func createDirectory(_ path: String) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      var directory = path
      while directories.insert(directory).inserted { directory = parentDirectory(of: directory) }
    }
  }

  /// Opens a file for reading.
  public func open(_ path: String) throws(StorageError) -> any ReadableFile {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    return CrashableFile(self, try inode(path), path)
  }

  /// Creates an empty file for writing.
  public func create(_ path: String) throws(StorageError) -> any WritableFile {
    let inode = Inode(durable: [])
    try change(path) { () throws(StorageError) in
      guard directories.contains(parentDirectory(of: path)) else {
        throw StorageError(.notFound, "no such directory", path: parentDirectory(of: path))
      }
      bind(path, to: inode)
      unsyncedNames.append(.link(path, inode))
    }
    return CrashableFile(self, inode, path)
  }

  /// Opens an existing file for writing.
  public func openForUpdate(_ path: String) throws(StorageError) -> any WritableFile {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.change, path)
    return CrashableFile(self, try inode(path), path)
  }

  /// Removes a file.
  public func remove(_ path: String) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      _ = try inode(path)
      unbind(path)
      unsyncedNames.append(.unlink(path))
    }
  }

  /// Renames a file within its directory.
  public func rename(_ path: String, to newPath: String) throws(StorageError) {
    precondition(
      parentDirectory(of: path) == parentDirectory(of: newPath),
      "\(path) cannot be renamed into another directory, as \(newPath)")
    try change(path) { () throws(StorageError) in
      let inode = try inode(path)
      // Two names of one file stay as they are, as POSIX has it.
      guard live[newPath] !== inode else { return }
      bind(newPath, to: inode)
      unbind(path)
      unsyncedNames.append(.rename(path, newPath, inode))
    }
  }

  /// Gives a file one more name.
  public func link(_ path: String, to newPath: String) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      let inode = try inode(path)
      guard directories.contains(parentDirectory(of: newPath)) else {
        throw StorageError(.notFound, "no such directory", path: parentDirectory(of: newPath))
      }
      guard live[newPath] == nil else {
        throw StorageError(.inputOutput, "link: the file exists", path: newPath)
      }
      bind(newPath, to: inode)
      unsyncedNames.append(.link(newPath, inode))
    }
  }

  /// The names in a directory, in ascending order.
  public func list(_ directory: String) throws(StorageError) -> [String] {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, directory)
    guard directories.contains(directory) else {
      throw StorageError(.notFound, "no such directory", path: directory)
    }
    let prefix = directory.hasSuffix("/") ? directory : directory + "/"
    let paths = Array(live.keys) + Array(directories)
    return paths.compactMap { path -> String? in
      guard path.hasPrefix(prefix), path.count > prefix.count else { return nil }
      let name = path.dropFirst(prefix.count)
      return name.contains("/") ? nil : String(name)
    }.sorted()
  }

  /// True when the file exists.
  public func exists(_ path: String) throws(StorageError) -> Bool {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    return live[path] != nil || directories.contains(path)
  }

  /// The size of a file in bytes.
  public func size(_ path: String) throws(StorageError) -> Int {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    return try inode(path).content.count
  }

  /// Makes the names in a directory durable.
  public func syncDirectory(_ path: String) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      for change in unsyncedNames where change.directory == path { change.apply(to: &durable) }
      unsyncedNames.removeAll { $0.directory == path }
    }
  }

  /// Takes an exclusive lock.
  public func lock(_ path: String) throws(StorageError) -> any FileLock {
    monitor.lock()
    defer { monitor.unlock() }
    guard locks.insert(path).inserted else {
      throw StorageError(.locked, "the store is open elsewhere", path: path)
    }
    return CrashableLock(self, path)
  }

  /// The wall clock, as set by ``setSecondsSinceEpoch(_:)``.
  public var secondsSinceEpoch: UInt64 { monitor.withLock { seconds } }
}

// MARK: For the files

extension CrashableFileSystem {
  func unlock(_ path: String) { monitor.withLock { _ = locks.remove(path) } }

  func read(
    _ inode: Inode, _ path: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int {
    monitor.lock()
    defer { monitor.unlock() }
    try attempt(.read, path)
    let count = max(0, min(buffer.count, inode.content.count - offset))
    if count > 0 { buffer.copyBytes(from: inode.content[offset..<offset + count]) }
    return count
  }

  func write(
    _ bytes: UnsafeRawBufferPointer, to inode: Inode, _ path: String, at offset: Int
  ) throws(StorageError) {
    monitor.lock()
    defer { monitor.unlock() }
    let growth = max(0, offset + bytes.count - inode.content.count)
    do throws(StorageError) {
      try attempt(.change, path)
      guard growth <= byteCapacity - min(byteCapacity, usedByteCount) else {
        throw StorageError(.diskFull, "write: no space left", path: path)
      }
    } catch {
      // A failed write leaves a part behind, as a real one may.
      if !isOff, growth == 0 || growth / 2 <= byteCapacity - min(byteCapacity, usedByteCount) {
        let part = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)])
        usedByteCount += inode.write(part, at: offset)
      }
      throw error
    }
    usedByteCount += inode.write(bytes, at: offset)
  }

  func sync(_ inode: Inode, _ path: String) throws(StorageError) {
    monitor.lock()
    defer { monitor.unlock() }
    counts.fileSyncs += 1
    do throws(StorageError) { try attempt(.change, path) } catch {
      // The kernel reports a failed write-back once and then forgets the pages: a later sync that
      // succeeds says nothing about these bytes.
      if !isOff { inode.unsynced = [] }
      throw error
    }
    inode.sync()
  }

  func truncate(_ inode: Inode, _ path: String, to byteCount: Int) throws(StorageError) {
    try change(path) { () throws(StorageError) in
      usedByteCount -= inode.truncate(to: byteCount)
    }
  }
}
