import KVBase

/// Makes a copy of a store from a plan: links or copies the files, then writes a manifest for them.
///
/// CURRENT comes last, when everything else is durable: without it the directory is no store.
struct BackupWriter {
  private let directory: String
  private let fileSystem: any FileSystem
  private let previous: PreviousBackup?
  private static let copyByteCount = 1 << 20

  init(
    directory: String, previous: String?, fileSystem: any FileSystem
  ) throws(StorageError) {
    self.directory = directory
    self.fileSystem = fileSystem
    if let previous {
      self.previous = try PreviousBackup(at: previous, fileSystem: fileSystem)
    } else {
      self.previous = nil
    }
    try BackupWriter.requireEmpty(directory, fileSystem)
  }

  /// Throws unless the directory does not exist or holds nothing.
  static func requireEmpty(
    _ directory: String, _ fileSystem: any FileSystem
  ) throws(StorageError) {
    guard try fileSystem.exists(directory) else { return }
    guard let name = try fileSystem.list(directory).first else { return }
    throw StorageError(
      .directoryNotEmpty, "the directory already holds '\(name)'", path: directory)
  }

  /// Makes the copy; `prepare` is called when the target is known to be usable.
  func write(
    _ prepare: () throws(StorageError) -> BackupPlan
  ) throws(StorageError) -> BackupReport {
    let ledger = StorePaths.ledgerDirectory(directory)
    let journal = StorePaths.journalDirectory(directory)
    try fileSystem.createDirectory(directory)
    try fileSystem.createDirectory(journal)
    try fileSystem.createDirectory(ledger)
    let plan = try prepare()
    var report = BackupReport()
    var listing = BackupListing()
    for table in plan.tables {
      let isHeld = try previous?.holds(table) ?? false
      let name = "ledger/" + StorePaths.name(table.path)
      try place(table.path, name, isHeld, &listing, &report)
    }
    for segment in plan.segments {
      let isHeld = try previous?.holds(segment) ?? false
      let name = "journal/" + StorePaths.name(segment.path)
      try place(segment.path, name, isHeld, &listing, &report)
    }
    try fileSystem.syncDirectory(journal)
    try fileSystem.syncDirectory(ledger)
    try finish(plan, &listing, &report)
    return report
  }

  /// Writes manifest, list and CURRENT.
  private func finish(
    _ plan: BackupPlan, _ listing: inout BackupListing, _ report: inout BackupReport
  ) throws(StorageError) {
    let ledger = StorePaths.ledgerDirectory(directory)
    let manifest = try ManifestWriter(
      ledger: ledger, number: plan.manifest, snapshot: plan.edit, fileSystem: fileSystem)
    let name = StorePaths.manifestName(plan.manifest)
    let current = ManifestFormat.current(name)
    listing.files.append(.init(name: "ledger/\(name)", byteCount: manifest.byteCount))
    listing.files.append(.init(name: "ledger/CURRENT", byteCount: current.count))
    try fileSystem.replaceFile(
      StorePaths.backupListing(directory), contents: listing.encode())
    try fileSystem.replaceFile(StorePaths.current(ledger), contents: current)
    report.copiedByteCount += manifest.byteCount + current.count
    report.fileCount = listing.files.count
    report.lastSequence = plan.last.rawValue
  }

  // MARK: Files

  private func place(
    _ source: String, _ name: String, _ isHeld: Bool, _ listing: inout BackupListing,
    _ report: inout BackupReport
  ) throws(StorageError) {
    let target = directory + "/" + name
    let byteCount = try fileSystem.size(source)
    listing.files.append(.init(name: name, byteCount: byteCount))
    if isHeld, let previous, try link(previous.directory + "/" + name, target) {
      report.linkedByteCount += byteCount
      report.reusedByteCount += byteCount
    } else if try link(source, target) {
      report.linkedByteCount += byteCount
    } else {
      try copy(source, target)
      report.copiedByteCount += byteCount
    }
  }

  /// False when the file cannot have a name there.
  private func link(_ source: String, _ target: String) throws(StorageError) -> Bool {
    do throws(StorageError) {
      try fileSystem.link(source, to: target)
      return true
    } catch {
      guard error.code == .cannotLink else { throw error }
      return false
    }
  }

  private func copy(_ source: String, _ target: String) throws(StorageError) {
    let input = try fileSystem.open(source)
    let output = try fileSystem.create(target)
    var offset = 0
    while offset < input.size {
      let bytes = try input.bytes(
        at: offset, count: min(BackupWriter.copyByteCount, input.size - offset), source)
      try bytes.withRaw { (raw) throws(StorageError) in try output.write(raw, at: offset) }
      offset += bytes.count
    }
    try output.sync()
  }
}

extension ReadableFile {
  /// So many bytes from an offset; throws when the file ends before.
  func bytes(at offset: Int, count: Int, _ path: String) throws(StorageError) -> Bytes {
    var bytes = Bytes(repeating: 0, count: count)
    let read = try bytes.withUnsafeMutableBufferPointer { (buffer) throws(StorageError) in
      try self.read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
    }
    guard read == count else {
      throw StorageError(.missingFile, "the file ends early", path: path, offset: offset + read)
    }
    return bytes
  }
}
