public import KVBase

extension StoreInspector {
  /// Calls `body` with a line for each deleted or damaged range, then for each entry with
  /// `lower <= key < upper`, ascending, and of one key in the order in which reads look, until it
  /// returns false.
  ///
  /// Older entries of a key, deletes and expired entries are lines too; `live` says whether an entry
  /// is what a read finds. Blocks that cannot be read are passed over, with a line each.
  public func dumpEntries(
    from lower: Bytes = [], to upper: Bytes? = nil,
    _ body: (InspectionRecord) throws(StorageError) -> Bool
  ) throws(StorageError) {
    let state = try state()
    let journal = try JournalScan.run(recovery, state, VerificationLog())
    for mark in state.version.ranges.marks + journal.ranges where mark.touches(lower, upper) {
      guard try body(InspectionRecord.range(mark, "range")) else { return }
    }
    var damaged: [BlockDamage] = []
    let merge = EntryMerge(state, journal, environment) { damaged.append($0) }
    try merge.forEachKey(from: lower, to: upper) { (group) throws(StorageError) in
      while !damaged.isEmpty {
        guard try body(InspectionRecord.damage(damaged.removeFirst())) else { return false }
      }
      for (index, place) in group.places.enumerated() {
        let record = InspectionRecord.entry(place.entry)
          .with("in", place.level.map { "L\($0)" } ?? "journal")
          .with("live", index == 0 && group.isLive)
        guard try body(record) else { return false }
      }
      return true
    }
    for damage in damaged {
      guard try body(InspectionRecord.damage(damage)) else { return }
    }
  }

  /// Calls `body` with lines for the contents of one file of a store, told apart by its name: an
  /// SSTable, a segment, a manifest, or CURRENT.
  ///
  /// A part that cannot be read becomes a line of type `damage`.
  public static func dumpFile(
    _ path: String, fileSystem: any FileSystem, _ body: @escaping (InspectionRecord) -> Void
  ) throws(StorageError) {
    let name = StorePaths.name(path)
    if let number = StorePaths.number(name, suffix: StorePaths.tableSuffix) {
      try FileDump(path: path, fileSystem: fileSystem, body: body).table(number)
    } else if name.hasSuffix(StorePaths.journalSuffix) || name.hasSuffix(StorePaths.valuesSuffix) {
      try FileDump(path: path, fileSystem: fileSystem, body: body).segment()
    } else if name.hasPrefix(StorePaths.manifestPrefix) {
      try FileDump(path: path, fileSystem: fileSystem, body: body).manifest()
    } else if name == "CURRENT" {
      let manifest = try ManifestFormat.manifestName(
        current: try fileSystem.readAll(path), path: path)
      body(InspectionRecord("current").with("manifest", manifest))
    } else {
      throw StorageError(
        .notFound, "the name is not one of an SSTable, segment, manifest or CURRENT", path: path)
    }
  }
}

extension InspectionRecord {
  /// A line for an entry or operation.
  static func entry(_ entry: EntryView, _ kind: String = "entry") -> InspectionRecord {
    var record = InspectionRecord(kind)
      .with("key", bytes: Bytes(entry.key))
      .with("sequence", entry.sequence)
    switch entry.kind {
    case .delete: return record.with("kind", "delete")
    case .deleteRange:
      return record.with("kind", "deleteRange").with("upper", bytes: Bytes(entry.value))
    case .put: record = record.with("kind", "put").with("bytes", entry.valueByteCount)
    case .reference:
      record = record.with("kind", "reference").with("bytes", entry.pointer?.valueByteCount ?? 0)
      if let pointer = entry.pointer {
        record = record.with("segment", pointer.segment.rawValue).with("offset", pointer.offset)
      }
    }
    record = record.with("head", entry.headByteCount)
    return entry.expiry == 0 ? record : record.with("expiry", entry.expiry)
  }

  static func range(_ mark: RangeMark, _ kind: String) -> InspectionRecord {
    InspectionRecord(kind).with("id", mark.id.rawValue).with("kind", "\(mark.kind)")
      .with("lower", bytes: mark.lower).with("upper", bytes: mark.upper)
      .with("sequence", mark.sequence)
  }

  static func damage(_ error: StorageError) -> InspectionRecord {
    InspectionRecord("damage").with("message", bytes: Bytes(error.description.utf8))
  }

  fileprivate static func damage(_ damage: BlockDamage) -> InspectionRecord {
    InspectionRecord.damage(damage.error)
      .with("lower", bytes: damage.lower).with("upper", bytes: damage.upper)
  }
}

extension RangeMark {
  /// True when the mark speaks of a key with `lower <= key < upper`.
  fileprivate func touches(_ lower: Bytes, _ upper: Bytes?) -> Bool {
    lower.lexicographicallyPrecedes(self.upper)
      && (upper.map { self.lower.lexicographicallyPrecedes($0) } ?? true)
  }
}
