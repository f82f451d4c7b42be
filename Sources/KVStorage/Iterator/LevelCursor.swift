/// Walks through tables that ascend without overlap, opening one at a time.
final class LevelCursor: TableCursor {
  private let files: [TableFile]
  private let environment: TableEnvironment
  @exclusivity(unchecked) private var number = -1

  init(_ files: [TableFile], _ environment: TableEnvironment, readsAll: Bool = false) {
    self.files = files
    self.environment = environment
    super.init(nil, readsAll: readsAll)
  }

  override func seek(_ key: RawBytes) throws(StorageError) {
    isValid = false
    let found = files.firstIndex(notBefore: key)
    guard found < files.count else { return }
    try open(found)
    try super.seek(key)
    guard isValid else {
      throw StorageError(.malformed, "the table ends before its last key", path: files[found].path)
    }
  }

  override func seekToLast() throws(StorageError) {
    isValid = false
    guard !files.isEmpty else { return }
    try open(files.count - 1)
    try super.seekToLast()
  }

  override func openNextTable() throws(StorageError) -> Bool {
    guard number + 1 < files.count else { return false }
    try open(number + 1)
    return true
  }

  override func openPreviousTable() throws(StorageError) -> Bool {
    guard number > 0 else { return false }
    try open(number - 1)
    return true
  }

  private func open(_ next: Int) throws(StorageError) {
    guard next != number else { return }
    open(try files[next].table(environment))
    number = next
  }
}
