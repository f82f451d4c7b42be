import KVBase

/// The SSTables of the ledger at a moment.
///
/// A snapshot keeps its version, and the version its files.
///
/// **Invariants**
/// 1. Level 0 is in order of age, newest first; its tables may overlap.
/// 2. In every other level the tables ascend and share no key.
/// 3. Of two entries of a key the one in the lower-numbered level, or newer in level 0, is newer.
final class Version: Sendable {
  static let levelCount = 7

  let levels: [[TableFile]]
  /// What is said of ranges of keys in these tables.
  let ranges: RangeMarks

  init(levels: [[TableFile]], ranges: RangeMarks = RangeMarks()) {
    self.levels = levels
    self.ranges = ranges
  }

  convenience init() { self.init(levels: Array(repeating: [], count: Version.levelCount)) }

  func byteCount(_ level: Int) -> Int {
    levels[level].reduce(0) { $0 + $1.metadata.byteCount }
  }

  /// The version after an edit; nil when the edit removes a table that is not there.
  func applying(_ edit: VersionEdit, ledger: String) -> Version? {
    var levels = levels
    for removal in edit.removed {
      let index = levels[removal.level].firstIndex { $0.metadata.number == removal.number }
      guard let index else { return nil }
      levels[removal.level].remove(at: index)
    }
    for addition in edit.added {
      let number = addition.table.number
      // A table that only moves keeps its object, and so its open file.
      let moved = self.levels.lazy.joined().first { $0.metadata.number == number }
      levels[addition.level].append(moved ?? TableFile(addition.table, ledger: ledger))
    }
    levels[0].sort {
      $0.metadata.properties.largestSequence > $1.metadata.properties.largestSequence
    }
    for level in 1..<levels.count {
      levels[level].sort { $0.smallestKey.lexicographicallyPrecedes($1.smallestKey) }
    }
    var marks = ranges.marks
    if !edit.removedRanges.isEmpty { marks.removeAll { edit.removedRanges.contains($0.id) } }
    marks += edit.addedRanges
    let isSame = edit.removedRanges.isEmpty && edit.addedRanges.isEmpty
    let version = Version(levels: levels, ranges: isSame ? ranges : RangeMarks(marks))
    return version.isConsistent ? version : nil
  }

  /// Invariant 2.
  private var isConsistent: Bool {
    levels.dropFirst().allSatisfy { level in
      zip(level, level.dropFirst()).allSatisfy {
        $0.largestKey.lexicographicallyPrecedes($1.smallestKey)
      }
    }
  }

  /// The range deletes of which no table carries a trace any more, and the damage that a later range
  /// delete has made irrelevant.
  var servedRanges: [RangeMark.ID] {
    ranges.marks.filter { mark in
      switch mark.kind {
      case .deleted: !levels.joined().contains { mark.mayConcern($0.metadata.properties) }
      case .damaged:
        ranges.marks.contains {
          $0.kind == .deleted && $0.sequence >= mark.sequence
            && !mark.lower.lexicographicallyPrecedes($0.lower)
            && !$0.upper.lexicographicallyPrecedes(mark.upper)
        }
      }
    }.map(\.id)
  }

  /// The edit that makes this version from nothing.
  func snapshotEdit() -> VersionEdit {
    var edit = VersionEdit()
    for (level, files) in levels.enumerated() {
      edit.added += files.map { VersionEdit.AddedTable(level: level, table: $0.metadata) }
    }
    edit.addedRanges = ranges.marks
    return edit
  }
}
