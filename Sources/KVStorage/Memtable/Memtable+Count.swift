/// Estimating how many entries a range of keys has.
extension Memtable {
  private static let sampleCount = 64

  /// About how many entries lie in `lower <= key < upper`; exact when there are few.
  ///
  /// Counts the range's nodes in the highest level of the skip list that has enough of them: each
  /// level has about a quarter of the nodes of the one below.
  func approximateCount(from lower: RawBytes, to upper: RawBytes?) -> Int {
    for level in stride(from: topLevel, to: 0, by: -1) {
      let count = count(from: lower, to: upper, level: level, limit: Memtable.sampleCount)
      if count == Memtable.sampleCount {
        return self.count(from: lower, to: upper, level: level, limit: .max) << (2 * level)
      }
    }
    return count(from: lower, to: upper, level: 0, limit: .max)
  }

  private func count(from lower: RawBytes, to upper: RawBytes?, level: Int, limit: Int) -> Int {
    var count = 0
    var node = first(notBefore: lower, level: level)
    while let found = node, count < limit {
      if let upper, compareKeys(upper, Memtable.key(found)) <= 0 { break }
      count += 1
      node = Memtable.next(found, level: level)
    }
    return count
  }
}
