import KVBase

/// What a closed store holds, by level, segment and partition.
public struct StoreFigures: Hashable, Codable, Sendable {
  /// One level of tables.
  public struct Level: Hashable, Codable, Sendable {
    /// Its number.
    public var level: Int
    /// Its SSTables.
    public var files = 0
    /// Their bytes.
    public var bytes = 0
    /// Their entries, deletes among them.
    public var entries = 0
    /// Deletes.
    public var tombstones = 0
  }

  /// One segment that holds values.
  public struct Segment: Hashable, Codable, Sendable {
    /// Its number.
    public var number: UInt64
    /// `journal`, or `values` when garbage collection wrote it.
    public var kind: String
    /// Bytes of the file.
    public var bytes: Int
    /// Values in it.
    public var values = 0
    /// Values that a read can find.
    public var liveValues = 0
    /// Bytes of those values.
    public var liveBytes = 0
  }

  /// The keys that begin with the same two bytes.
  public struct Partition: Hashable, Codable, Sendable {
    /// The two bytes as a number; of a shorter key as if zeros followed.
    public var partition: UInt16
    /// Keys that have a value.
    public var keys = 0
    /// Bytes of those keys and their values.
    public var bytes = 0
  }

  /// The levels that hold tables.
  public internal(set) var levels: [Level] = []
  /// The segments that hold values.
  public internal(set) var segments: [Segment] = []
  /// Segments of the journal that an open replays, and their bytes.
  public internal(set) var replaySegments = 0
  /// Bytes of the segments that an open replays.
  public internal(set) var replayBytes = 0
  /// The partitions, ascending.
  public internal(set) var partitions: [Partition] = []
  /// Keys that have a value.
  public internal(set) var keys = 0
  /// Bytes of those keys and their values.
  public internal(set) var liveBytes = 0
  /// Bytes of all files.
  public internal(set) var fileBytes = 0
  /// Blocks that could not be read; when there are any, the other figures are too small.
  public internal(set) var unreadableBlocks = 0
  /// Files as a multiple of what they are for: `fileBytes / liveBytes`; 0 in an empty store.
  public internal(set) var spaceAmplification = 0.0
}

extension StoreInspector {
  /// Counts what the store holds; reads all tables, and of the segments nothing.
  public func figures() throws(StorageError) -> StoreFigures {
    let state = try state()
    let journal = try JournalScan.run(recovery, state, VerificationLog())
    var figures = StoreFigures()
    for (level, files) in state.version.levels.enumerated() where !files.isEmpty {
      figures.levels.append(StoreFigures.Level(level, files))
    }
    for segment in state.segments.segments {
      figures.segments.append(StoreFigures.Segment(segment.metadata))
    }
    figures.replaySegments = journal.segments.count
    figures.replayBytes = journal.segments.reduce(0) { $0 + $1.metadata.byteCount }
    figures.fileBytes =
      figures.replayBytes + figures.levels.reduce(0) { $0 + $1.bytes }
      + figures.segments.reduce(0) { $0 + $1.bytes }
    var unreadable = 0
    let merge = EntryMerge(state, journal, environment) { _ in unreadable += 1 }
    var places: [UInt64: Int] = [:]
    for (index, segment) in figures.segments.enumerated() { places[segment.number] = index }
    try merge.forEachKey { group in
      if group.isLive { figures.count(group, places) }
      return true
    }
    figures.unreadableBlocks = unreadable
    if figures.liveBytes > 0 {
      figures.spaceAmplification = Double(figures.fileBytes) / Double(figures.liveBytes)
    }
    return figures
  }
}

extension StoreFigures {
  /// Keys come in ascending order, so that the last partition is the one that grows.
  fileprivate mutating func count(_ group: EntryMerge.Group, _ places: [UInt64: Int]) {
    let entry = group.newest.entry
    let pointer = entry.pointer
    let byteCount = group.key.count + (pointer?.valueByteCount ?? entry.value.count)
    keys += 1
    liveBytes += byteCount
    let key = group.key
    let high = UInt16(key.first ?? 0) << 8
    let partition = high | UInt16(key.count > 1 ? key[1] : 0)
    if partitions.last?.partition != partition {
      partitions.append(Partition(partition: partition))
    }
    partitions[partitions.count - 1].keys += 1
    partitions[partitions.count - 1].bytes += byteCount
    if let pointer, let index = places[pointer.segment.rawValue] {
      segments[index].liveValues += 1
      segments[index].liveBytes += pointer.byteCount
    }
  }
}

extension StoreFigures.Level {
  fileprivate init(_ level: Int, _ files: [TableFile]) {
    self.init(level: level)
    self.files = files.count
    for metadata in files.map(\.metadata) {
      bytes += metadata.byteCount
      entries += metadata.properties.entryCount
      tombstones += metadata.properties.tombstoneCount
    }
  }
}

extension StoreFigures.Segment {
  fileprivate init(_ metadata: SegmentMetadata) {
    self.init(
      number: metadata.number.rawValue, kind: "\(metadata.kind)", bytes: metadata.byteCount)
    values = metadata.valueCount
  }
}
