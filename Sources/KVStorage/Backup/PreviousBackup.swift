import KVBase

/// An earlier backup, from which unchanged files can be linked.
struct PreviousBackup {
  let directory: String
  private let fileSystem: any FileSystem
  private let tables: [FileNumber: TableMetadata]

  init(at directory: String, fileSystem: any FileSystem) throws(StorageError) {
    self.directory = directory
    self.fileSystem = fileSystem
    let found = try Recovery(root: directory, fileSystem: fileSystem).readManifestAlone()
    guard let manifest = found?.state else {
      throw StorageError(.notFound, "there is no previous backup", path: directory)
    }
    let live = manifest.version.levels.joined().map { ($0.metadata.number, $0.metadata) }
    tables = Dictionary(live) { $1 }
  }

  /// True when the backup has the same table: number, length and checksum agree.
  func holds(_ table: TableFile) throws(StorageError) -> Bool {
    guard tables[table.metadata.number] == table.metadata else { return false }
    return try byteCount("ledger/" + StorePaths.name(table.path)) == table.metadata.byteCount
  }

  /// True when the backup has the same segment: number, length and samples of the contents agree.
  ///
  /// No checksum of a whole segment is recorded. Two stores with a common past can have different
  /// segments of one number; they differ in nearly every record.
  func holds(_ segment: Segment) throws(StorageError) -> Bool {
    let name = "journal/" + StorePaths.name(segment.path)
    let ours = try fileSystem.open(segment.path)
    guard try byteCount(name) == ours.size else { return false }
    let path = directory + "/" + name
    let theirs = try fileSystem.open(path)
    for range in PreviousBackup.samples(of: ours.size) {
      let sample = try ours.bytes(at: range.lowerBound, count: range.count, segment.path)
      guard try theirs.bytes(at: range.lowerBound, count: range.count, path) == sample else {
        return false
      }
    }
    return true
  }

  /// The size of a file of the backup; nil when it is not there.
  private func byteCount(_ name: String) throws(StorageError) -> Int? {
    let path = directory + "/" + name
    return try fileSystem.exists(path) ? try fileSystem.size(path) : nil
  }

  /// All of a small file; else pages spread evenly, the first and the last among them: the last holds
  /// the index, whose checksum covers every key and place.
  private static func samples(of byteCount: Int) -> [Range<Int>] {
    let sampleByteCount = 4 << 10
    let sampleCount = 16
    guard byteCount > sampleCount * sampleByteCount else { return [0..<byteCount] }
    return (0..<sampleCount).map { index in
      let start = (byteCount - sampleByteCount) / (sampleCount - 1) * index
      let begin = index == sampleCount - 1 ? byteCount - sampleByteCount : start
      return begin..<begin + sampleByteCount
    }
  }
}
