import KVBase
import Synchronization

/// One SSTable of a version; opened when it is first read.
///
/// **Concurrency**: any thread may read. The file is removed by the background work once no version
/// refers to this object any more.
final class TableFile: Sendable {
  let metadata: TableMetadata
  let path: String
  private let number: FileNumber
  private let opened = Mutex<Table?>(nil)

  init(_ metadata: TableMetadata, ledger: String) {
    self.metadata = metadata
    number = metadata.number
    path = StorePaths.table(ledger, metadata.number)
  }

  var smallestKey: Bytes { metadata.properties.smallestKey }
  var largestKey: Bytes { metadata.properties.largestKey }

  /// The table, opened and checked against the manifest.
  func table(_ environment: TableEnvironment) throws(StorageError) -> Table {
    try opened.withLock { (opened) throws(StorageError) in
      if let table = opened { return table }
      let table = try Table(
        path: path, number: number, fileSystem: environment.fileSystem, cache: environment.cache)
      guard table.properties == metadata.properties else {
        throw StorageError(.malformed, "the table is not the one the manifest names", path: path)
      }
      opened = table
      return table
    }
  }

  func contains(_ key: RawBytes) -> Bool {
    smallestKey.withRaw { compareKeys($0, key) } <= 0 && !isBefore(key)
  }

  /// True when every key of the table is before `key`.
  func isBefore(_ key: RawBytes) -> Bool { largestKey.withRaw { compareKeys($0, key) } < 0 }

  /// True when the table may hold keys in the closed range.
  func overlaps(_ lower: Bytes, _ upper: Bytes) -> Bool {
    lower.withRaw { !isBefore($0) }
      && upper.withRaw { upper in smallestKey.withRaw { compareKeys($0, upper) } <= 0 }
  }
}

extension [TableFile] {
  /// Index of the first of ascending tables whose largest key is not before `key`.
  func firstIndex(notBefore key: RawBytes) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].isBefore(key) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// What is needed to open tables.
struct TableEnvironment: Sendable {
  var fileSystem: any FileSystem
  var cache: BlockCache
}

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

  /// The range deletes of which no table carries a trace any more.
  var servedRanges: [RangeMark.ID] {
    ranges.marks.filter { mark in
      mark.kind == .deleted
        && !levels.joined().contains { mark.mayConcern($0.metadata.properties) }
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

  /// The newest entry of the key in any table.
  func find(
    _ key: RawBytes, _ environment: TableEnvironment
  ) throws(StorageError) -> Lookup {
    let hash = BloomFilter.hash(key)
    for file in levels[0] where file.contains(key) {
      let result = try file.table(environment).find(key, hash: hash)
      guard case .absent = result else { return result }
    }
    for level in 1..<levels.count where !levels[level].isEmpty {
      let index = levels[level].firstIndex(notBefore: key)
      guard index < levels[level].count, levels[level][index].contains(key) else { continue }
      let result = try levels[level][index].table(environment).find(key, hash: hash)
      guard case .absent = result else { return result }
    }
    return .absent
  }

  /// Cursors that together hold every entry.
  func cursors(_ environment: TableEnvironment) throws(StorageError) -> [Cursor] {
    var cursors: [Cursor] = []
    for file in levels[0] { cursors.append(TableCursor(try file.table(environment))) }
    for level in levels.dropFirst() where !level.isEmpty {
      cursors.append(LevelCursor(level, environment))
    }
    return cursors
  }
}

/// Walks through tables that ascend without overlap, opening one at a time.
final class LevelCursor: Cursor {
  private let files: [TableFile]
  private let environment: TableEnvironment
  private let readsAll: Bool
  private var index = 0
  private var cursor: TableCursor?

  init(_ files: [TableFile], _ environment: TableEnvironment, readsAll: Bool = false) {
    self.files = files
    self.environment = environment
    self.readsAll = readsAll
  }

  override func seek(_ key: RawBytes) throws(StorageError) {
    index = files.firstIndex(notBefore: key)
    try open(at: key)
  }

  override func next() throws(StorageError) {
    guard let cursor else { return }
    try cursor.next()
    if cursor.isValid {
      entry = cursor.entry
    } else {
      index += 1
      try open(at: RawBytes(start: nil, count: 0))
    }
  }

  private func open(at key: RawBytes) throws(StorageError) {
    isValid = false
    cursor = nil
    guard index < files.count else { return }
    let opened = TableCursor(try files[index].table(environment), readsAll: readsAll)
    try opened.seek(key)
    guard opened.isValid else {
      throw StorageError(.malformed, "the table ends before its last key", path: files[index].path)
    }
    cursor = opened
    entry = opened.entry
    isValid = true
  }
}
