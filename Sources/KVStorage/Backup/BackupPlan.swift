import KVBase

/// What a copy of a store consists of.
///
/// It refers to the tables and segments, so that a store that is open does not remove their files.
struct BackupPlan {
  /// The whole state, as the first record of the copy's manifest.
  let edit: VersionEdit
  let tables: [TableFile]
  /// The segments that the manifest names, and those of the journal that are still to be replayed.
  let segments: [Segment]
  /// The number of the copy's manifest, which no other file has.
  let manifest: FileNumber
  let last: SequenceNumber

  /// - Parameter unflushed: the journal's segments from the edit's journal number on; those that are
  ///   not among `segments` are left to the replay.
  init(
    _ edit: VersionEdit, version: Version, segments: SegmentSet, unflushed: [Segment],
    manifest: FileNumber, last: SequenceNumber
  ) {
    var edit = edit
    edit.addedSegments = segments.segments.map(\.metadata)
    self.edit = edit
    tables = Array(version.levels.joined())
    self.segments = segments.segments + unflushed.filter { segments[$0.number] == nil }
    self.manifest = manifest
    self.last = last
  }
}
