import KVBase

/// A statement about all keys of a range, up to an operation.
///
/// Marks are few: one for each range delete or damaged piece whose traces the tables still carry.
///
/// **On disk**: Docs/Formats.md, "Manifest".
struct RangeMark: Hashable {
  /// What the mark says.
  ///
  /// The raw values are persisted.
  enum Kind: UInt8 {
    /// Entries up to the sequence count as deleted.
    case deleted = 1
    /// Entries up to the sequence may be lost: reads that would need them fail.
    case damaged = 2
  }

  /// Tells marks apart: the sequence and the kind, and for damage a number of its own.
  struct ID: RawRepresentable, Hashable {
    var rawValue: UInt64
  }

  var id: ID
  var kind: Kind
  var lower: Bytes
  var upper: Bytes
  var sequence: UInt64

  init(id: ID, kind: Kind, lower: Bytes, upper: Bytes, sequence: UInt64) {
    self.id = id
    self.kind = kind
    self.lower = lower
    self.upper = upper
    self.sequence = sequence
  }

  /// The mark of a range delete.
  init(deleting lower: Bytes, _ upper: Bytes, sequence: UInt64) {
    self.init(
      id: ID(rawValue: sequence &<< 1), kind: .deleted, lower: lower, upper: upper,
      sequence: sequence)
  }

  /// The mark of a damaged range; `number` is a file number that nothing else uses.
  init(damaged lower: Bytes, _ upper: Bytes, sequence: UInt64, number: FileNumber) {
    self.init(
      id: ID(rawValue: number.rawValue &<< 1 | 1), kind: .damaged, lower: lower, upper: upper,
      sequence: sequence)
  }

  func encode(into writer: inout ByteWriter) {
    writer.write(varint: id.rawValue)
    writer.write(kind.rawValue)
    writer.write(lower)
    writer.write(upper)
    writer.write(varint: sequence)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    id = ID(rawValue: try reader.readVarint())
    guard let kind = Kind(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a kind of mark")
    }
    self.kind = kind
    lower = try reader.readBytes()
    upper = try reader.readBytes()
    sequence = try reader.readVarint()
  }

  /// True when the table may hold entries that the mark speaks of.
  func mayConcern(_ table: TableFormat.Properties) -> Bool {
    table.smallestSequence <= sequence && overlaps(table.smallestKey, table.largestKey)
  }

  func contains(_ key: RawBytes) -> Bool {
    lower.withRaw { compareKeys($0, key) } <= 0 && upper.withRaw { compareKeys(key, $0) } < 0
  }

  /// True when the mark's range shares a key with the closed range.
  func overlaps(_ smallest: Bytes, _ largest: Bytes) -> Bool {
    smallest.lexicographicallyPrecedes(upper) && !largest.lexicographicallyPrecedes(lower)
  }

  /// True when every key of the closed range is in the mark's.
  func covers(_ smallest: Bytes, _ largest: Bytes) -> Bool {
    !smallest.lexicographicallyPrecedes(lower) && largest.lexicographicallyPrecedes(upper)
  }
}

/// The marks of a version, cut into pieces that do not overlap so that a key is found in O(log n).
struct RangeMarks: Sendable {
  private struct Piece: Sendable {
    var lower: Bytes
    var upper: Bytes
    var deleted: UInt64
    var damaged: UInt64
  }

  let marks: [RangeMark]
  /// True when one of them says that entries may be lost.
  let hasDamage: Bool
  private let pieces: [Piece]

  init(_ marks: [RangeMark] = []) {
    self.marks = marks
    hasDamage = marks.contains { $0.kind == .damaged }
    pieces = RangeMarks.pieces(marks)
  }

  @inline(__always)
  var isEmpty: Bool { pieces.isEmpty }

  /// The operations up to which the key counts as deleted, and up to which it may be lost.
  func sequences(_ key: RawBytes) -> (deleted: UInt64, damaged: UInt64) {
    var low = 0
    var high = pieces.count
    while low < high {
      let middle = (low &+ high) / 2
      if pieces[middle].upper.withRaw({ compareKeys($0, key) }) <= 0 {
        low = middle &+ 1
      } else {
        high = middle
      }
    }
    guard low < pieces.count, pieces[low].lower.withRaw({ compareKeys($0, key) }) <= 0 else {
      return (0, 0)
    }
    return (pieces[low].deleted, pieces[low].damaged)
  }

  /// The first damaged mark that shares a key with `lower <= key < upper`, or with all keys from
  /// `lower` on when there is no upper end.
  func firstDamage(from lower: Bytes, to upper: Bytes?) -> RangeMark? {
    marks.filter { mark in
      mark.kind == .damaged && lower.lexicographicallyPrecedes(mark.upper)
        && (upper.map { mark.lower.lexicographicallyPrecedes($0) } ?? true)
    }
    .min { $0.lower.lexicographicallyPrecedes($1.lower) }
  }

  private static func pieces(_ marks: [RangeMark]) -> [Piece] {
    guard !marks.isEmpty else { return [] }
    let bounds = Set(marks.flatMap { [$0.lower, $0.upper] })
      .sorted { $0.lexicographicallyPrecedes($1) }
    var pieces: [Piece] = []
    for (lower, upper) in zip(bounds, bounds.dropFirst()) {
      let covering = marks.filter { $0.covers(lower, lower) }
      guard !covering.isEmpty else { continue }
      func newest(_ kind: RangeMark.Kind) -> UInt64 {
        covering.filter { $0.kind == kind }.map(\.sequence).max() ?? 0
      }
      pieces.append(
        Piece(lower: lower, upper: upper, deleted: newest(.deleted), damaged: newest(.damaged)))
    }
    return pieces
  }
}
