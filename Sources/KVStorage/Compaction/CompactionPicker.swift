import KVBase

/// Which tables to merge into the next level.
struct Compaction {
  /// The level that gives up `inputs`; the result goes to the level below.
  var level: Int
  /// Tables of `level`; for level 0 newest first.
  var inputs: [TableFile]
  /// The tables of the next level that overlap them.
  var overlapped: [TableFile]

  var outputLevel: Int { level + 1 }

  /// The tables can change level as they are.
  var isMove: Bool { inputs.count == 1 && overlapped.isEmpty }
}

/// Chooses the level that is fullest for its limit, and in it the tables whose turn it is.
///
/// Pure: the version, the options and the pointers decide.
/// **Source**: leveled compaction as in LevelDB, `db/version_set.cc`.
enum CompactionPicker {
  /// The next compaction; nil when no level is over its limit.
  static func pick(_ version: Version, _ options: StoreOptions, _ pointers: [Bytes]) -> Compaction?
  {
    var bestLevel = 0
    var bestScore =
      Double(version.levels[0].count) / Double(options.level0CompactionFileCount)
    var limit = Double(options.levelBaseByteLimit)
    for level in 1..<Version.levelCount - 1 {
      let score = Double(version.byteCount(level)) / limit
      if score > bestScore { (bestLevel, bestScore) = (level, score) }
      limit *= Double(options.levelMultiplier)
    }
    guard bestScore >= 1 else { return nil }
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
    return Compaction(level: level, inputs: inputs, overlapped: overlapped)
  }
}
