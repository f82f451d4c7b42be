/// Walks through tables that ascend without overlap, opening one at a time.
final class LevelCursor: TableCursor {
  let files: [TableFile]
  private let environment: TableEnvironment
  @exclusivity(unchecked) private(set) var number = -1

  init(_ files: [TableFile], _ environment: TableEnvironment, readsAll: Bool = false) {
    self.files = files
    self.environment = environment
    super.init(nil, readsAll: readsAll)
  }

  override func seek(_ key: RawBytes) throws(StorageError) {
    isValid = false
    let found = files.firstIndex(notBefore: key)
    guard found < files.count else { return }
    if number != found {
      number = found - 1
      guard try openNextTable() else { return }
    }
    try super.seek(key)
    guard isValid || onDamage != nil else {
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
    while number + 1 < files.count {
      do throws(StorageError) {
        try open(number + 1)
        return true
      } catch { try pass(files[number + 1], error) }
    }
    return false
  }

  /// Reports that a table cannot be opened, and passes it over.
  private func pass(_ file: TableFile, _ error: StorageError) throws(StorageError) {
    guard let onDamage, error.isCorruption else { throw error }
    number += 1
    onDamage(
      BlockDamage(
        error: error, lower: file.smallestKey, upper: file.largestKey.successor,
        sequence: file.metadata.properties.largestSequence))
  }

  override func openPreviousTable() throws(StorageError) -> Bool {
    guard number > 0 else { return false }
    try open(number - 1)
    return true
  }

  private func open(_ next: Int) throws(StorageError) {
    open(try files[next].table(environment))
    number = next
  }
}
