import KVBase

/// What a change of the node key did.
public struct KeyRotationReport: Hashable, Sendable {
  /// Files whose keys were wrapped anew.
  public internal(set) var rewrappedCount = 0
  /// Encrypted files found; they all have the new key now.
  public internal(set) var encryptedCount = 0
  /// Files that are not encrypted, such as locks.
  public internal(set) var foreignCount = 0
}

extension EncryptedFileSystem {
  /// Changes the node key, for new files at once and for all files below a directory before this
  /// returns; stores in it may be open.
  ///
  /// The contents are not encrypted again: only the wrapped keys in each file's header are replaced,
  /// one slot after the other, so a crash leaves every file readable by the old key or the new. After
  /// a return without error the old key is not needed for the files of this directory. After an error
  /// both are, and the call can be repeated.
  @discardableResult
  public func rotate(
    to key: NodeKey, in directory: String
  ) throws(StorageError) -> KeyRotationReport {
    // The lock waits for files being created with the old key, which are then there to be found.
    core.headers.withLock { core.changeKeys { $0.setCurrent(key) } }
    return try rewrapKeys(in: directory)
  }

  /// Wraps the keys of all files below a directory by the ring's current key.
  @discardableResult
  public func rewrapKeys(in directory: String) throws(StorageError) -> KeyRotationReport {
    var total = KeyRotationReport()
    // A file renamed during a pass may escape it, but not a pass without changes.
    for _ in 0..<16 {
      var pass = KeyRotationReport()
      let sawAll = try core.rewrapTree(directory, &pass)
      total.rewrappedCount += pass.rewrappedCount
      total.encryptedCount = pass.encryptedCount
      total.foreignCount = pass.foreignCount
      if sawAll, pass.rewrappedCount == 0 { return total }
    }
    throw StorageError(
      .inputOutput, "files come and go too fast for a change of keys", path: directory)
  }
}

extension EncryptionCore {
  /// False when a file vanished between being listed and being opened.
  fileprivate func rewrapTree(
    _ path: String, _ report: inout KeyRotationReport
  ) throws(StorageError) -> Bool {
    let names: [String]
    do throws(StorageError) { names = try base.list(path) } catch {
      // Not a directory, or not there any more.
      guard error.code == .notFound else { throw error }
      return try rewrapFile(path, &report)
    }
    var sawAll = true
    for name in names where try !rewrapTree("\(path)/\(name)", &report) { sawAll = false }
    return sawAll
  }

  private func rewrapFile(
    _ path: String, _ report: inout KeyRotationReport
  ) throws(StorageError) -> Bool {
    headers.lock()
    defer { headers.unlock() }
    do throws(StorageError) {
      let file = try base.open(path)
      let header: EncryptedHeader?
      do throws(StorageError) { header = try readHeader(file, path) } catch {
        guard error.code == .malformed else { throw error }
        header = nil
      }
      guard let header else {
        report.foreignCount += 1
        return true
      }
      try rewrap(header, path, &report)
      return true
    } catch {
      guard error.code == .notFound else { throw error }
      return false
    }
  }

  private func rewrap(
    _ header: EncryptedHeader, _ path: String, _ report: inout KeyRotationReport
  ) throws(StorageError) {
    report.encryptedCount += 1
    let nodeKey = keys.current
    let (index, current) = header.current
    let isDone = header.slots.count == 2 && header.slots.allSatisfy { $0.slot == current }
    if current.keyID == nodeKey.id, isDone { return }
    let slot = KeySlot(
      sequence: current.sequence + 1, keyID: nodeKey.id, fileID: current.fileID,
      wrappedKeys: try unwrap(header, path).wrapped(by: nodeKey))
    let file = try base.openForUpdate(path)
    // The slot that counts comes last: one of the two is whole at any time. It is replaced too, since
    // the old key would still open it.
    for target in [1 - index, index] {
      try slot.encode().withRaw { (raw) throws(StorageError) in
        try file.write(raw, at: EncryptedFormat.keySlotOffsets[target])
      }
      try file.sync()
    }
    report.rewrappedCount += 1
  }
}
