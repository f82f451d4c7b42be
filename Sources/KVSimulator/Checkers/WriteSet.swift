/// A set of writes, by their numbers.
struct WriteSet: Hashable {
  private var words: [UInt64] = []

  /// Adds a write.
  mutating func insert(_ number: Int) {
    let word = number >> 6
    if word >= words.count {
      words.append(contentsOf: repeatElement(0, count: word + 1 - words.count))
    }
    words[word] |= 1 << UInt64(number & 63)
  }

  /// Adds every write of another set.
  mutating func formUnion(_ other: WriteSet) {
    if other.words.count > words.count {
      words.append(contentsOf: repeatElement(0, count: other.words.count - words.count))
    }
    for index in other.words.indices { words[index] |= other.words[index] }
  }

  /// True when the write is in the set.
  func contains(_ number: Int) -> Bool {
    let word = number >> 6
    return word < words.count && words[word] & (1 << UInt64(number & 63)) != 0
  }
}
