package import KVBase

extension CrashableFileSystem {
  /// Flips one bit of one durable byte, as a disk that rots does; nil when nothing is durable.
  ///
  /// Each byte of each file is as likely as any other. Cost is O(files log files).
  package func rot(random: inout SeededRandom) -> (path: String, offset: Int)? {
    let files = durableFiles()
    let total = files.reduce(0) { $0 + $1.byteCount }
    guard total > 0 else { return nil }
    var offset = random.below(total)
    let mask = UInt8(1) << UInt8(random.below(8))
    for file in files {
      guard offset >= file.byteCount else {
        corrupt(file.path, at: offset, mask: mask)
        return (file.path, offset)
      }
      offset -= file.byteCount
    }
    return nil
  }

  /// The files and how much of each is durable, by path.
  private func durableFiles() -> [(path: String, byteCount: Int)] {
    monitor.withLock {
      live.keys.sorted().map { ($0, live[$0]?.durable.count ?? 0) }
    }
  }

  /// The bytes that all files take.
  package var usage: Int { monitor.withLock { usedByteCount } }
}
