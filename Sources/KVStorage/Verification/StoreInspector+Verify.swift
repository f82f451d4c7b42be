import KVBase

extension StoreInspector {
  /// Reads every file of the store and compares everything that must agree.
  ///
  /// It goes on after a problem with whatever can still be read, and reports all of them. It takes
  /// about as long as reading the tables twice and the segments twice.
  public func verify() -> VerificationReport {
    let log = VerificationLog()
    do throws(StorageError) { try verify(log) } catch { log.add(error, path: directory) }
    return log.report
  }

  private func verify(_ log: VerificationLog) throws(StorageError) {
    let listing = StorePaths.backupListing(directory)
    if try fileSystem.exists(listing) {
      do throws(StorageError) {
        let files = try BackupListing(decoding: try fileSystem.readAll(listing), path: listing)
        for problem in try files.problems(directory, fileSystem) { log.add(problem) }
      } catch { log.add(error) }
    }
    let state = try state()
    if state.tornByteCount > 0 {
      log.add(
        StorageError(.malformed, "the last \(state.tornByteCount) bytes are torn"), .torn,
        path: try recovery.readManifestAlone()?.path)
    }
    for mark in state.version.ranges.marks where mark.kind == .damaged {
      log.add(
        StorageError(.damagedRange, "entries up to #\(mark.sequence) are lost"),
        path: directory, lower: mark.lower, upper: mark.upper)
    }
    for file in state.version.levels.joined() {
      TableVerifier(file, environment, flushed: state.flushedSequence, log: log).run()
    }
    for segment in state.segments.segments { verify(segment, log) }
    let journal = try JournalScan.run(recovery, state, log)
    try verifyEntries(state, journal, log)
  }

  private func verify(_ segment: Segment, _ log: VerificationLog) {
    let byteCount = segment.metadata.byteCount
    do throws(StorageError) {
      guard try fileSystem.exists(segment.path) else {
        throw StorageError(
          .missingFile, "a segment that the manifest names is missing", path: segment.path)
      }
      let bytes = try fileSystem.open(segment.path).bytes(at: 0, count: byteCount, segment.path)
      SegmentVerifier(
        path: segment.path, number: segment.number, kind: segment.kind, log: log
      ).run(bytes)
    } catch { log.add(error, path: segment.path) }
  }

  /// What concerns several files: the order of the entries of a key, and the values they refer to.
  private func verifyEntries(
    _ state: RecoveredManifest, _ journal: JournalScan, _ log: VerificationLog
  ) throws(StorageError) {
    var segments = state.segments
    for segment in journal.segments { segments.insert(segment) }
    let references = ReferenceVerifier(segments, log: log)
    // The tables were gone through one by one, so the damage is known.
    let merge = EntryMerge(state, journal, environment) { _ in }
    try merge.forEachKey { group in
      for (newer, older) in zip(group.places, group.places.dropFirst())
      where newer.entry.sequence <= older.entry.sequence {
        log.add(
          StorageError(
            .malformed,
            "#\(newer.entry.sequence) in \(newer.name) hides #\(older.entry.sequence) in "
              + older.name), path: newer.path ?? directory, lower: group.key, upper: group.key)
      }
      if group.isLive { references.add(group.newest, group.key) }
      return true
    }
    references.flush()
  }
}

extension EntryMerge.Place {
  /// The level's name.
  var name: String { level.map { "level \($0)" } ?? "the journal" }
}
