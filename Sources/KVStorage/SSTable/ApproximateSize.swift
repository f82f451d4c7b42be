import KVBase

/// About how much a range of keys holds.
public struct ApproximateSize: Hashable, Sendable {
  /// Entries, older versions and deletes included.
  public var entryCount = 0
  /// Bytes of tables, as compressed, and of memtables; values that only the journal has are not in
  /// it.
  public var byteCount = 0

  /// Nothing.
  public init() {}

  mutating func add(_ entries: Int, _ bytes: Int) {
    entryCount &+= entries
    byteCount &+= bytes
  }
}

extension Table {
  /// About how much lies before `key`, counted in whole blocks.
  private func approximateSize(before key: RawBytes) throws(StorageError) -> ApproximateSize {
    let part = directory[directory.lastIndex(notAfter: key)]
    let owner = soleIndex == nil ? try block(part.index, .index) : nil
    defer { withExtendedLifetime(owner) {} }
    guard let index = soleIndex ?? owner?.index else {
      throw malformed("an index", at: part.index.offset)
    }
    let start = index.handle(0).offset
    let offset = index.handle(index.lastIndex(notAfter: key)).offset
    let share = Double(offset - start) / Double(max(1, index.endOffset - start))
    var size = ApproximateSize()
    size.add(part.firstEntry &+ Int(Double(part.entryCount) * share), offset)
    return size
  }

  /// About how much lies in `lower <= key < upper`; without `upper` the range has no end.
  func approximateSize(
    from lower: RawBytes, to upper: RawBytes?
  ) throws(StorageError) -> ApproximateSize {
    let first = directory[0]
    let dataEnd = first.filter.count > 0 ? first.filter.offset : first.index.offset
    var size = ApproximateSize()
    size.add(properties.entryCount, dataEnd)
    if let upper, properties.largestKey.withRaw({ compareKeys($0, upper) }) >= 0 {
      size = try approximateSize(before: upper)
    }
    if properties.smallestKey.withRaw({ compareKeys($0, lower) }) < 0 {
      let before = try approximateSize(before: lower)
      size.add(-before.entryCount, -before.byteCount)
    }
    // Index and filter take their share of the file.
    let scale = Double(file.size) / Double(max(1, dataEnd))
    size.byteCount = Int(Double(max(0, size.byteCount)) * scale)
    size.entryCount = max(0, size.entryCount)
    return size
  }
}

extension Version {
  /// About how much the tables hold in `lower <= key < upper`.
  func approximateSize(
    from lower: RawBytes, to upper: RawBytes?, _ environment: TableEnvironment
  ) throws(StorageError) -> ApproximateSize {
    var size = ApproximateSize()
    for file in levels.joined() {
      if file.isBefore(lower) { continue }
      if let upper, compareKeys(upper, file.smallest) <= 0 { continue }
      let found = try file.table(environment).approximateSize(from: lower, to: upper)
      size.add(found.entryCount, found.byteCount)
    }
    return size
  }
}

extension ReadState {
  /// About how much there is in `lower <= key < upper`.
  func approximateSize(
    from lower: RawBytes, to upper: RawBytes?, _ environment: TableEnvironment
  ) throws(StorageError) -> ApproximateSize {
    var size = try version.approximateSize(from: lower, to: upper, environment)
    for memtable in [active] + immutables.map(\.memtable) {
      let count = memtable.approximateCount(from: lower, to: upper)
      size.add(count, count * memtable.byteCount / max(1, memtable.entryCount))
    }
    return size
  }
}
