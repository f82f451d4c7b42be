import KVBase

/// Which tables to merge into the next level.
struct Compaction {
  /// The level that gives up `inputs`; the result goes to the level below.
  var level: Int
  /// Tables of `level`; for level 0 newest first.
  var inputs: [TableFile]
  /// The tables of the next level that overlap them.
  var overlapped: [TableFile]
  var outputLevel: Int
  /// What becomes of the inputs.
  var kind = Kind.merge

  enum Kind {
    /// They are merged with the overlapped tables.
    case merge
    /// They change level as they are.
    case move
    /// They have no entry that counts, and nothing below them does either.
    case drop
  }
}

/// Chooses the level that is fullest for its limit, and in it the tables whose turn it is.
///
/// Pure: the version, the options and the pointers decide.
/// **Source**: leveled compaction as in LevelDB, `db/version_set.cc`.
enum CompactionPicker {
  /// The next compaction; nil when no level is over its limit and no range waits to be cleared.
  static func pick(
    _ version: Version, _ options: StoreOptions, _ pointers: [Bytes], now: UInt64
  ) -> Compaction? {
    if let drop = droppable(version) { return drop }
    var bestLevel = 0
    var bestScore =
      Double(version.levels[0].count) / Double(options.level0CompactionFileCount)
    var limit = Double(options.levelBaseByteLimit)
    for level in 1..<Version.levelCount - 1 {
      let score = Double(version.byteCount(level)) / limit
      if score > bestScore { (bestLevel, bestScore) = (level, score) }
      limit *= Double(options.levelMultiplier)
    }
    guard bestScore >= 1 else { return purge(version, now: now) }
    let inputs = bestLevel == 0 ? level0Inputs(version) : [nextTable(version, bestLevel, pointers)]
    return complete(version, bestLevel, inputs)
  }

  /// The oldest table of level 0 and all tables of level 0 connected to it by overlaps.
  ///
  /// Any older version of a key among them then moves together with the newer ones.
  private static func level0Inputs(_ version: Version) -> [TableFile] {
    var rest = version.levels[0]
    var inputs: [TableFile] = []
    var frontier = [rest.removeLast()]
    while let table = frontier.popLast() {
      inputs.append(table)
      let touching = rest.filter { $0.overlaps(table.smallestKey, table.largestKey) }
      rest.removeAll { $0.overlaps(table.smallestKey, table.largestKey) }
      frontier += touching
    }
    return inputs
  }

  /// The first table after the last one compacted, going round.
  private static func nextTable(
    _ version: Version, _ level: Int, _ pointers: [Bytes]
  ) -> TableFile {
    let tables = version.levels[level]
    return tables.first { pointers[level].lexicographicallyPrecedes($0.smallestKey) } ?? tables[0]
  }

  private static func complete(
    _ version: Version, _ level: Int, _ inputs: [TableFile]
  ) -> Compaction {
    let smallest = inputs.map(\.smallestKey).min { $0.lexicographicallyPrecedes($1) } ?? []
    let largest = inputs.map(\.largestKey).max { $0.lexicographicallyPrecedes($1) } ?? []
    let overlapped = version.levels[level + 1].filter { $0.overlaps(smallest, largest) }
    var compaction = Compaction(
      level: level, inputs: inputs, overlapped: overlapped, outputLevel: level + 1)
    if inputs.count == 1, overlapped.isEmpty { compaction.kind = .move }
    return compaction
  }

  // MARK: Ranges that are gone

  /// Tables that lie wholly in a deleted range and are older than the delete.
  private static func droppable(_ version: Version) -> Compaction? {
    for mark in version.ranges.marks where mark.kind == .deleted {
      for (level, tables) in version.levels.enumerated() {
        let inputs = tables.filter {
          $0.metadata.properties.largestSequence < mark.sequence
            && mark.covers($0.smallestKey, $0.largestKey)
        }
        guard !inputs.isEmpty else { continue }
        return Compaction(
          level: level, inputs: inputs, overlapped: [], outputLevel: level, kind: .drop)
      }
    }
    return nil
  }

  /// A table that still carries entries of a deleted range, or nothing but expired ones: merged, so
  /// that its space comes back although no level is over its limit.
  private static func purge(_ version: Version, now: UInt64) -> Compaction? {
    let deletes = version.ranges.marks.filter { $0.kind == .deleted }
    func isDue(_ table: TableFile) -> Bool {
      let properties = table.metadata.properties
      return properties.isExpired(at: now) || deletes.contains { $0.mayConcern(properties) }
    }
    if version.levels[0].contains(where: isDue) {
      return complete(version, 0, level0Inputs(version))
    }
    for level in 1..<version.levels.count {
      guard let table = version.levels[level].first(where: isDue) else { continue }
      let isBottom = level == version.levels.count - 1
      let below = isBottom ? [] : complete(version, level, [table]).overlapped
      // Nothing below the table shares its range: it can stay where it is.
      if below.isEmpty {
        return Compaction(level: level, inputs: [table], overlapped: [], outputLevel: level)
      }
      return complete(version, level, [table])
    }
    return nil
  }
}
