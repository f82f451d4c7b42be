import Glibc

/// The files of the machine: the only place in the engine with file system calls.
///
/// Appends are `pwrite`, reads `pread`, durability `fdatasync`; directories are synced with `fsync`.
public struct PosixFileSystem: UpdatableFileSystem {
  /// The file system of this process.
  public init() {}

  /// Creates a directory and its missing parents.
  public func createDirectory(_ path: String) throws(StorageError) {
    if mkdir(path, 0o755) == 0 {
      try syncDirectory(parentDirectory(of: path))
      return
    }
    switch errno {
    case EEXIST: return
    case ENOENT where parentDirectory(of: path) != path:
      try createDirectory(parentDirectory(of: path))
      try createDirectory(path)
    default: throw systemError("mkdir", path)
    }
  }

  /// Opens a file for reading.
  public func open(_ path: String) throws(StorageError) -> any ReadableFile {
    let descriptor = try openDescriptor(path, O_RDONLY)
    var status = stat()
    guard fstat(descriptor.number, &status) == 0 else { throw systemError("fstat", path) }
    return PosixReadableFile(descriptor, path, Int(status.st_size))
  }

  /// Creates an empty file for writing.
  public func create(_ path: String) throws(StorageError) -> any WritableFile {
    PosixWritableFile(try openDescriptor(path, O_WRONLY | O_CREAT | O_TRUNC), path)
  }

  /// Opens an existing file for writing.
  public func openForUpdate(_ path: String) throws(StorageError) -> any WritableFile {
    PosixWritableFile(try openDescriptor(path, O_WRONLY), path)
  }

  /// Removes a file.
  public func remove(_ path: String) throws(StorageError) {
    guard unlink(path) == 0 else { throw systemError("unlink", path) }
  }

  /// Renames a file within its directory.
  public func rename(_ path: String, to newPath: String) throws(StorageError) {
    guard Glibc.rename(path, newPath) == 0 else { throw systemError("rename", path) }
  }

  /// Gives a file one more name.
  public func link(_ path: String, to newPath: String) throws(StorageError) {
    guard Glibc.link(path, newPath) == 0 else {
      switch errno {
      case EXDEV, EMLINK, EPERM, EOPNOTSUPP:
        throw StorageError(
          .cannotLink, "link: \(String(cString: strerror(errno)))", path: newPath)
      default: throw systemError("link", newPath)
      }
    }
  }

  /// The names in a directory, in ascending order.
  public func list(_ directory: String) throws(StorageError) -> [String] {
    guard let stream = opendir(directory) else { throw systemError("opendir", directory) }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else { break }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard name != ".", name != ".." else { continue }
      names.append(name)
    }
    guard errno == 0 else { throw systemError("readdir", directory) }
    return names.sorted()
  }

  /// True when the file exists.
  public func exists(_ path: String) throws(StorageError) -> Bool {
    if access(path, F_OK) == 0 { return true }
    guard errno == ENOENT || errno == ENOTDIR else { throw systemError("access", path) }
    return false
  }

  /// The size of a file in bytes.
  public func size(_ path: String) throws(StorageError) -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else { throw systemError("stat", path) }
    return Int(status.st_size)
  }

  /// Makes the names in a directory durable.
  public func syncDirectory(_ path: String) throws(StorageError) {
    let descriptor = try openDescriptor(path, O_RDONLY | O_DIRECTORY)
    guard fsync(descriptor.number) == 0 else { throw systemError("fsync", path) }
  }

  /// Takes an exclusive lock.
  public func lock(_ path: String) throws(StorageError) -> any FileLock {
    let descriptor = try openDescriptor(path, O_RDWR | O_CREAT)
    guard flock(descriptor.number, LOCK_EX | LOCK_NB) == 0 else {
      guard errno == EWOULDBLOCK else { throw systemError("flock", path) }
      throw StorageError(.locked, "the store is open elsewhere", path: path)
    }
    return descriptor
  }

  /// The wall clock in seconds since 1970, exact to a few milliseconds.
  public var secondsSinceEpoch: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME_COARSE, &time)
    return UInt64(max(0, time.tv_sec))
  }

  private func openDescriptor(_ path: String, _ flags: Int32) throws(StorageError) -> Descriptor {
    while true {
      let number = Glibc.open(path, flags | O_CLOEXEC, 0o644)
      if number >= 0 { return Descriptor(number) }
      guard errno == EINTR else { throw systemError("open", path) }
    }
  }
}

/// An open file descriptor, closed on release.
private final class Descriptor: FileLock {
  let number: Int32
  init(_ number: Int32) { self.number = number }
  deinit { close(number) }
}

private final class PosixReadableFile: ReadableFile {
  private let descriptor: Descriptor
  private let path: String
  let size: Int

  init(_ descriptor: Descriptor, _ path: String, _ size: Int) {
    self.descriptor = descriptor
    self.path = path
    self.size = size
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
  {
    var done = 0
    while done < buffer.count {
      let count = pread(
        descriptor.number, buffer.baseAddress?.advanced(by: done), buffer.count - done,
        off_t(offset + done))
      if count == 0 { break }
      if count > 0 { done += count } else if errno != EINTR { throw systemError("pread", path) }
    }
    return done
  }
}

private final class PosixWritableFile: WritableFile {
  private let descriptor: Descriptor
  private let path: String

  init(_ descriptor: Descriptor, _ path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(
        descriptor.number, bytes.baseAddress?.advanced(by: done), bytes.count - done,
        off_t(offset + done))
      if count >= 0 { done += count } else if errno != EINTR { throw systemError("pwrite", path) }
    }
  }

  func truncate(to byteCount: Int) throws(StorageError) {
    while ftruncate(descriptor.number, off_t(byteCount)) != 0 {
      guard errno == EINTR else { throw systemError("ftruncate", path) }
    }
  }

  func preallocate(_ range: Range<Int>) throws(StorageError) { try writeZeros(range) }

  func sync() throws(StorageError) {
    guard fdatasync(descriptor.number) == 0 else { throw systemError("fdatasync", path) }
  }
}

private func systemError(_ call: String, _ path: String) -> StorageError {
  let number = errno
  let code: StorageError.Code =
    switch number {
    case ENOENT, ENOTDIR: .notFound
    case ENOSPC, EDQUOT: .diskFull
    case EACCES, EPERM, EROFS: .accessDenied
    default: .inputOutput
    }
  return StorageError(code, "\(call): \(String(cString: strerror(number)))", path: path)
}
