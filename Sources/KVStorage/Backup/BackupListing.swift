import KVBase

/// The list of a backup's files, so that a missing one is noticed even if no manifest names it.
///
/// ```
/// SPINEKV-BACKUP 1
/// ledger/000012.sst 4096
/// checksum 1483918946
/// ```
/// **On disk**: Docs/Formats.md, "Backup".
struct BackupListing: Hashable {
  struct File: Hashable {
    /// The path from the root of the backup.
    var name: String
    var byteCount: Int
  }

  static let header = "SPINEKV-BACKUP 1"
  var files: [File] = []

  init() {}

  func encode() -> Bytes {
    var text = BackupListing.header + "\n"
    for file in files { text += "\(file.name) \(file.byteCount)\n" }
    return Bytes((text + "checksum \(CRC32C.checksum(Bytes(text.utf8)))\n").utf8)
  }

  init(decoding bytes: Bytes, path: String) throws(StorageError) {
    let malformed = StorageError(.malformed, "not the list of a backup", path: path, offset: 0)
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    guard lines.count >= 2, lines[0] == BackupListing.header else { throw malformed }
    for line in lines[1..<(lines.count - 1)] {
      let words = line.split(separator: " ")
      guard words.count == 2, let count = Int(words[1]), count >= 0 else { throw malformed }
      files.append(File(name: String(words[0]), byteCount: count))
    }
    // Also compares the checksum.
    guard encode() == bytes else { throw malformed }
  }

  /// What is wrong with the files below `root`, by what their names and sizes tell.
  func problems(_ root: String, _ fileSystem: any FileSystem) throws(StorageError)
    -> [StorageError]
  {
    var problems: [StorageError] = []
    for file in files {
      let path = root + "/" + file.name
      guard try fileSystem.exists(path) else {
        problems.append(
          StorageError(.missingFile, "a file of the backup is missing", path: path))
        continue
      }
      let size = try fileSystem.size(path)
      guard size != file.byteCount else { continue }
      problems.append(
        StorageError(
          .missingFile, "\(size) bytes instead of \(file.byteCount)", path: path,
          offset: min(size, file.byteCount)))
    }
    return problems
  }
}

/// Says of a store that it comes from a backup.
///
/// A backup's list of files is the mark of a store that was just restored, by whatever means it was
/// copied. The first open compares the list with the files and gives it another name, since from then
/// on the files change.
struct RestoreMark {
  let root: String
  let fileSystem: any FileSystem

  private var listing: String { StorePaths.backupListing(root) }
  private var mark: String { StorePaths.restored(root) }

  /// True when the store was restored; called when it is opened, before anything is changed.
  func begin() throws(StorageError) -> Bool {
    guard try fileSystem.exists(listing) else { return try fileSystem.exists(mark) }
    let files = try BackupListing(decoding: try fileSystem.readAll(listing), path: listing)
    if let problem = try files.problems(root, fileSystem).first { throw problem }
    try fileSystem.rename(listing, to: mark)
    try fileSystem.syncDirectory(root)
    return true
  }

  func remove() throws(StorageError) {
    guard try fileSystem.exists(mark) else { return }
    try fileSystem.remove(mark)
    try fileSystem.syncDirectory(root)
  }
}
