import KVBase

/// The segments to replay, in order, and what one of them says about another.
///
/// The replay and the offline scan judge the end of a journal by the same rules: these.
struct JournalOrder {
  let directory: String
  let fileSystem: any FileSystem
  let numbers: [FileNumber]

  func path(_ index: Int) -> String { StorePaths.segment(directory, numbers[index], .journal) }

  /// The header that a segment must have if the operations before it end with `last`.
  func expectedHeader(_ index: Int, after last: SequenceNumber) -> JournalFormat.Header {
    JournalFormat.Header(number: numbers[index], firstSequence: last.advanced(by: 1))
  }

  /// True when the next segment goes on after `last`, with which this one ends: then only its index is
  /// damaged, which says nothing that the records do not.
  func isFollowed(_ index: Int, after last: SequenceNumber) throws(StorageError) -> Bool {
    guard index + 1 < numbers.count else { return false }
    let path = path(index + 1)
    let bytes = try fileSystem.readAll(path)
    return (try? JournalReader(path: path).header(bytes)) == expectedHeader(index + 1, after: last)
  }

  /// True when a record from an offset of a segment on, whose bytes are given, or of a later segment says
  /// that the operation after `last` was durable: then damage before it cannot be a torn write.
  func isVouched(
    _ index: Int, _ bytes: Bytes, seed: UInt32, from offset: Int, after last: SequenceNumber
  ) throws(StorageError) -> Bool {
    let next = last.rawValue + 1
    var durable = JournalReader(path: path(index)).durableSequence(
      bytes, seed: seed, from: offset)
    for later in (index + 1)..<max(index + 1, numbers.count) where durable < next {
      let bytes = try fileSystem.readAll(path(later))
      durable = JournalReader(path: path(later)).durableSequence(
        bytes, seed: JournalFormat.seed(bytes[...]), from: 0)
    }
    return durable >= next
  }
}
