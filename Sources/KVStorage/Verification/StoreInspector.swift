import KVBase

/// Looks into the directory of a store that is not open.
///
/// It changes nothing. The directory is locked while the inspector lives.
///
/// **Concurrency**: immutable; any thread may use it.
public final class StoreInspector: Sendable {
  /// The root of the store.
  public let directory: String
  let fileSystem: any FileSystem
  private let lock: (any FileLock)?

  /// Locks the directory of a store or backup.
  ///
  /// - Throws: `locked` when the store is open, `notFound` when there is none.
  public init(at directory: String, fileSystem: any FileSystem) throws(StorageError) {
    self.directory = directory
    self.fileSystem = fileSystem
    guard try StoreInspector.isStore(directory, fileSystem) else {
      throw StorageError(.notFound, "there is no store", path: directory)
    }
    do throws(StorageError) {
      lock = try fileSystem.lock(StorePaths.lock(directory))
    } catch {
      // Nobody can have a store open, and write to it, on a medium that cannot be written to.
      guard error.code == .accessDenied else { throw error }
      lock = nil
    }
  }

  /// True when the directory looks like a store's or a backup's, damaged or not.
  public static func isStore(
    _ directory: String, _ fileSystem: any FileSystem
  ) throws(StorageError) -> Bool {
    guard try fileSystem.exists(StorePaths.ledgerDirectory(directory)) else { return false }
    return try fileSystem.exists(StorePaths.journalDirectory(directory))
  }

  var recovery: Recovery { Recovery(root: directory, fileSystem: fileSystem) }

  /// For single passes over everything.
  var environment: TableEnvironment {
    TableEnvironment(fileSystem: fileSystem, cache: BlockCache(byteLimit: 0))
  }

  /// The state that the manifest describes.
  func state() throws(StorageError) -> RecoveredManifest {
    guard let found = try recovery.readManifestAlone() else {
      throw StorageError(
        .missingFile, "CURRENT is missing",
        path: StorePaths.current(StorePaths.ledgerDirectory(directory)))
    }
    return found.state
  }

  // MARK: Copying

  /// Makes a copy of the store in a new directory; see ``Store/backup(to:after:)``.
  public func backup(
    to target: String, after previous: String? = nil
  ) throws(StorageError) -> BackupReport {
    try BackupWriter(directory: target, previous: previous, fileSystem: fileSystem).write {
      () throws(StorageError) in try plan()
    }
  }

  private func plan() throws(StorageError) -> BackupPlan {
    let state = try state()
    let log = VerificationLog()
    let journal = try JournalScan.run(recovery, state, log)
    if let problem = log.report.problems.first(where: { $0.severity == .damage }) {
      throw StorageError(
        problem.code, problem.message, path: problem.path, offset: problem.offset)
    }
    let number = try recovery.nextFileNumber(state)
    var edit = state.version.snapshotEdit()
    edit.flushedSequence = state.flushedSequence
    edit.journalNumber = state.journalNumber
    edit.nextFileNumber = number + 1
    return BackupPlan(
      edit, version: state.version, segments: state.segments, unflushed: journal.segments,
      manifest: FileNumber(number), last: journal.last)
  }
}
