/// Reading the tables of a version.
extension Version {
  /// The newest entry of the key in any table.
  func find(
    _ key: RawBytes, _ environment: TableEnvironment
  ) throws(StorageError) -> Lookup {
    let hash = BloomFilter.hash(key)
    for file in levels[0] where file.contains(key) {
      let result = try file.withTable(environment) { (table) throws(StorageError) in
        try table.find(key, hash: hash)
      }
      guard case .absent = result else { return result }
    }
    for level in levels.dropFirst() where !level.isEmpty {
      let index = level.firstIndex(notBefore: key)
      guard index < level.count, level[index].contains(key) else { continue }
      let result = try level[index].withTable(environment) { (table) throws(StorageError) in
        try table.find(key, hash: hash)
      }
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
