public import KVBase

extension WritableFile {
  /// Writes zeros over the range in pieces of one buffer that all files share.
  func writeZeros(_ range: Range<Int>) throws(StorageError) {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let count = min(zeros.count, range.upperBound - offset)
      try zeros.withUnsafeBufferPointer { (buffer) throws(StorageError) in
        try write(
          UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[..<count])), at: offset)
      }
      offset += count
    }
  }
}

/// As much as is preallocated by one system call.
private let zeros = Bytes(repeating: 0, count: 64 << 10)

extension FileSystem {
  /// The whole contents of a file.
  public func readAll(_ path: String) throws(StorageError) -> Bytes {
    let file = try open(path)
    var bytes = Bytes(repeating: 0, count: file.size)
    let count = try bytes.withUnsafeMutableBufferPointer {
      (buffer) throws(StorageError) in
      try file.read(at: 0, into: UnsafeMutableRawBufferPointer(buffer))
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// Creates a file with these contents and makes the contents, not yet the name, durable.
  public func createFile(_ path: String, contents: Bytes) throws(StorageError) {
    let file = try create(path)
    try contents.withUnsafeBufferPointer { (buffer) throws(StorageError) in
      try file.write(UnsafeRawBufferPointer(buffer), at: 0)
    }
    try file.sync()
  }

  /// Replaces a small file so that a crash leaves either the old contents or the new.
  ///
  /// Writes `path` with the suffix `.tmp`, syncs it, renames it and syncs the directory.
  public func replaceFile(_ path: String, contents: Bytes) throws(StorageError) {
    let temporary = path + ".tmp"
    try createFile(temporary, contents: contents)
    try rename(temporary, to: path)
    try syncDirectory(parentDirectory(of: path))
  }
}

/// The directory part of a path: everything before the last slash.
package func parentDirectory(of path: String) -> String {
  guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}
