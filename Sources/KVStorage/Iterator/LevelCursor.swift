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
