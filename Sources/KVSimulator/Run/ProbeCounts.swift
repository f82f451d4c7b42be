/// How often rare paths were taken, by their names.
public struct ProbeCounts: Hashable, Sendable {
  /// Names and counts, sorted by name.
  public private(set) var rows: [Row] = []

  /// One rare path.
  public struct Row: Hashable, Sendable {
    /// Its name.
    public var name: String
    /// How often it was taken.
    public var count: Int
  }

  /// No counts.
  public init() {}

  /// Counts a path `count` times more.
  public mutating func count(_ name: String, _ count: Int = 1) {
    var low = 0
    var high = rows.count
    while low < high {
      let middle = (low + high) / 2
      if rows[middle].name < name { low = middle + 1 } else { high = middle }
    }
    if low < rows.count, rows[low].name == name {
      rows[low].count += count
    } else {
      rows.insert(Row(name: name, count: count), at: low)
    }
  }

  /// Adds the counts of another run.
  public mutating func add(_ other: ProbeCounts) {
    for row in other.rows { count(row.name, row.count) }
  }
}
