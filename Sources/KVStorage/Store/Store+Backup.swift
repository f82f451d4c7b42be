/// Copies of a store that are stores themselves.
extension Store {
  /// Makes a copy of the store, as it is now, in a new directory, while others read and write.
  ///
  /// The copy holds every write appended before the call, durably, and opens as a store. Its files are
  /// hard links where the file system allows it, which takes neither time nor space; elsewhere they
  /// are copied. Of two names of one file neither can change what the other shows.
  ///
  /// With `previous`, the directory of an earlier backup of this store, files that it holds are linked
  /// from there: on another file system only what is new is copied.
  ///
  /// A failed or interrupted backup leaves a directory that is no store and can be removed. Writers
  /// wait for no longer than a segment takes to be sealed; the call waits for a flush, compaction or
  /// collection under way.
  /// - Throws: `directoryNotEmpty` when the directory holds something.
  public func backup(
    to directory: String, after previous: String? = nil
  ) throws(StorageError) -> BackupReport {
    try BackupWriter(
      directory: directory, previous: previous, fileSystem: engine.fileSystem
    ).write { () throws(StorageError) in try engine.prepareBackup() }
  }

  /// Makes a new store, in a new directory, from a backup that is read through and verified first.
  ///
  /// The store goes on with the sequence and file numbers of the backup, which the store that was
  /// lost may have used for other writes. Its owner must not go on with counters or identities read
  /// from it: ``OpenReport/wasRestored`` says so at every open until ``acknowledgeRestore()``.
  /// - Throws: `directoryNotEmpty` when the directory holds something, `notFound` when there is no
  ///   backup, and the first problem found when it is damaged.
  @discardableResult
  public static func restore(
    from backup: String, to directory: String, fileSystem: any FileSystem
  ) throws(StorageError) -> BackupReport {
    guard try fileSystem.exists(StorePaths.backupListing(backup)) else {
      throw StorageError(
        .notFound, "there is no backup, or it has been opened as a store since", path: backup)
    }
    try BackupWriter.requireEmpty(directory, fileSystem)
    let inspector = try StoreInspector(at: backup, fileSystem: fileSystem)
    let found = inspector.verify().problems.filter { $0.severity == .damage }
    if let first = found.first {
      throw StorageError(
        first.code, "the backup has \(found.count) problems; the first: \(first.message)",
        path: first.path, offset: first.offset)
    }
    return try inspector.backup(to: directory)
  }

  /// Forgets, durably, that the store comes from a backup.
  ///
  /// To be called when everything that must not go on as before the backup has been renewed durably.
  public func acknowledgeRestore() throws(StorageError) {
    try engine.requireOpen()
    try RestoreMark(root: engine.root, fileSystem: engine.fileSystem).remove()
  }
}
