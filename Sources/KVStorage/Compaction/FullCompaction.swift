import KVBase

/// How far a full compaction has come.
public struct CompactionProgress: Hashable, Sendable {
  /// What is being done.
  public enum Stage: String, Hashable, Sendable {
    /// Tables are merged into the deepest level.
    case compacting
    /// Values that are still needed are moved out of the emptiest segments.
    case collecting
  }

  /// What is being done.
  public var stage: Stage
  /// Bytes of tables that are still to be merged; 0 while collecting.
  public var remainingByteCount: Int
  /// What the store holds and has done.
  public var statistics: StoreStatistics
}

extension Store {
  /// Rewrites all tables into the deepest level that has any, without deleted, expired and older
  /// entries, and gives back the space of values that are not needed any more.
  ///
  /// Safe beside all other calls, but slow: it reads and writes all tables at least once. How much
  /// garbage stays in segments follows from ``StoreOptions/spaceAmplificationLimit``. `progress` is
  /// called after every step.
  public func compact(
    _ progress: (CompactionProgress) -> Void = { _ in }
  ) throws(StorageError) {
    try engine.compactFully(progress)
    let before = engine.statistics().collectionCount
    engine.collectFully()
    while try engine.performBackgroundWork(credit: .max / 4) {
      progress(engine.progress(.collecting, remaining: 0))
    }
    // The references to the copies are new entries of their keys.
    if engine.statistics().collectionCount > before { try engine.compactFully(progress) }
  }
}

extension Engine {
  fileprivate func progress(
    _ stage: CompactionProgress.Stage, remaining: Int
  ) -> CompactionProgress {
    CompactionProgress(
      stage: stage, remainingByteCount: remaining, statistics: statistics())
  }

  fileprivate func collectFully() {
    backgroundLock.withLock { collector.requestEstimates() }
  }

  /// Flushes, empties one level after the other into the next, and rewrites what was in the deepest.
  fileprivate func compactFully(
    _ progress: (CompactionProgress) -> Void
  ) throws(StorageError) {
    var rest = try backgroundLock.withLock { () throws(StorageError) -> Set<FileNumber> in
      try flushAll()
      return Set(ledger.version.levels.joined().map(\.metadata.number))
    }
    while true {
      let remaining = try backgroundLock.withLock { () throws(StorageError) -> Int? in
        try requireOpen()
        guard let next = FullCompaction.pick(ledger.version, &rest) else { return nil }
        try CompactionJob(ledger, next).run { () throws(StorageError) in
          while try flushOldest() {}
          return true
        }
        install()
        return ledger.version.levels.joined().map(\.metadata)
          .reduce(0) { $0 + (rest.contains($1.number) ? $1.byteCount : 0) }
      }
      guard let remaining else { return }
      progress(self.progress(.compacting, remaining: remaining))
    }
  }
}

/// Chooses the next step of a full compaction.
private enum FullCompaction {
  /// The next merge of tables among `rest`, from which it takes what will have been rewritten.
  ///
  /// Tables that appeared later are left alone, so that it ends while others write.
  static func pick(_ version: Version, _ rest: inout Set<FileNumber>) -> Compaction? {
    let deepest = version.levels.lastIndex { !$0.isEmpty } ?? 0
    let bottom = max(1, deepest)
    for level in 0..<bottom {
      let inputs = inputs(version, level, rest)
      guard !inputs.isEmpty else { continue }
      let smallest = inputs.map(\.smallestKey).min { $0.lexicographicallyPrecedes($1) } ?? []
      let largest = inputs.map(\.largestKey).max { $0.lexicographicallyPrecedes($1) } ?? []
      let overlapped = version.levels[level + 1].filter { $0.overlaps(smallest, largest) }
      for table in inputs + overlapped { rest.remove(table.metadata.number) }
      return Compaction(
        level: level, inputs: inputs, overlapped: overlapped, outputLevel: level + 1)
    }
    guard let table = version.levels[bottom].first(where: { rest.contains($0.metadata.number) })
    else { return nil }
    rest.remove(table.metadata.number)
    return Compaction(level: bottom, inputs: [table], overlapped: [], outputLevel: bottom)
  }

  private static func inputs(
    _ version: Version, _ level: Int, _ rest: Set<FileNumber>
  ) -> [TableFile] {
    if level == 0 {
      return version.levels[0].contains { rest.contains($0.metadata.number) }
        ? version.levels[0] : []
    }
    return version.levels[level].prefix(1).map { $0 }
  }
}
