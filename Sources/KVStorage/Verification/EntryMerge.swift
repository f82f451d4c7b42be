import KVBase

/// Goes through the entries of a closed store in the order of their keys, whatever can be read of them.
final class EntryMerge {
  /// An entry and where it is.
  struct Place {
    /// The level; nil for the journal.
    var level: Int?
    var path: String?
    /// Valid until the next key.
    var entry: EntryView
  }

  /// All entries of a key.
  struct Group {
    var key: Bytes
    /// In the order in which reads look: by the invariants of a version the newest comes first.
    var places: [Place]
    /// True when the key has a value.
    var isLive: Bool

    var newest: Place { places[0] }
  }

  private struct Source {
    var level: Int?
    var cursor: Cursor
    var path: String? {
      (cursor as? LevelCursor).map { $0.files[max(0, $0.number)].path }
    }
  }

  private var sources: [Source] = []
  private let ranges: RangeMarks
  private let now: UInt64

  init(
    _ state: RecoveredManifest, _ journal: JournalScan, _ environment: TableEnvironment,
    onDamage: @escaping (BlockDamage) -> Void
  ) {
    sources.append(Source(level: nil, cursor: MemtableCursor(journal.memtable)))
    let levels = state.version.levels
    for file in levels[0] {
      sources.append(EntryMerge.source([file], level: 0, environment, onDamage))
    }
    for level in 1..<levels.count where !levels[level].isEmpty {
      sources.append(EntryMerge.source(levels[level], level: level, environment, onDamage))
    }
    ranges = RangeMarks(state.version.ranges.marks + journal.ranges)
    now = environment.fileSystem.secondsSinceEpoch
  }

  private static func source(
    _ files: [TableFile], level: Int, _ environment: TableEnvironment,
    _ onDamage: @escaping (BlockDamage) -> Void
  ) -> Source {
    let cursor = LevelCursor(files, environment, readsAll: true)
    cursor.onDamage = onDamage
    return Source(level: level, cursor: cursor)
  }

  /// Calls `body` for each key with `lower <= key < upper`, until it returns false.
  func forEachKey(
    from lower: Bytes = [], to upper: Bytes? = nil,
    _ body: (Group) throws(StorageError) -> Bool
  ) throws(StorageError) {
    for source in sources {
      try lower.withRaw { (key) throws(StorageError) in try source.cursor.seek(key) }
    }
    while let key = smallestKey() {
      if let upper, !key.lexicographicallyPrecedes(upper) { return }
      let places = sources.filter { isAt(key, $0) }.map {
        Place(level: $0.level, path: $0.path, entry: $0.cursor.entry)
      }
      guard try body(Group(key: key, places: places, isLive: isLive(places[0].entry))) else {
        return
      }
      for source in sources {
        while isAt(key, source) { try source.cursor.next() }
      }
    }
  }

  private func smallestKey() -> Bytes? {
    var smallest: Source?
    for source in sources where source.cursor.isValid {
      guard let best = smallest else {
        smallest = source
        continue
      }
      if compareKeys(source.cursor.entry.key, best.cursor.entry.key) < 0 { smallest = source }
    }
    return smallest.map { Bytes($0.cursor.entry.key) }
  }

  private func isAt(_ key: Bytes, _ source: Source) -> Bool {
    source.cursor.isValid && key.withRaw { compareKeys($0, source.cursor.entry.key) == 0 }
  }

  private func isLive(_ entry: EntryView) -> Bool {
    entry.kind != .delete && !entry.isExpired(at: now)
      && ranges.sequences(entry.key).deleted < entry.sequence
  }
}
