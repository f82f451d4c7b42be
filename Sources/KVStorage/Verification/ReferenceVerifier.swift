import KVBase

/// Compares the entries that refer to values with the segments that hold them.
///
/// References are collected and gone through in the order of their places, so that segments are read
/// from front to back.
final class ReferenceVerifier {
  private struct Reference {
    var key: Bytes
    var pointer: ValuePointer
    var path: String?
    /// False for a value that an open would keep in memory: whether the index has it is no matter yet.
    var isIndexed: Bool
  }

  private let segments: SegmentSet
  private let log: VerificationLog
  private var waiting: [Reference] = []
  private var buffer = Bytes()
  private static let limit = 1 << 18

  init(_ segments: SegmentSet, log: VerificationLog) {
    self.segments = segments
    self.log = log
  }

  /// Adds the newest entry of a key that has a value.
  func add(_ place: EntryMerge.Place, _ key: Bytes) {
    guard let pointer = place.entry.pointer else { return }
    let isIndexed = place.level != nil || segments[pointer.segment]?.kind == .values
    waiting.append(
      Reference(key: key, pointer: pointer, path: place.path, isIndexed: isIndexed))
    if waiting.count >= ReferenceVerifier.limit { flush() }
  }

  /// Verifies what was added.
  func flush() {
    waiting.sort {
      ($0.pointer.segment.rawValue, $0.pointer.offset)
        < ($1.pointer.segment.rawValue, $1.pointer.offset)
    }
    var start = 0
    while start < waiting.count {
      let number = waiting[start].pointer.segment
      let end = waiting[start...].firstIndex { $0.pointer.segment != number } ?? waiting.count
      if let segment = segments[number] {
        verify(waiting[start..<end], in: segment)
      } else {
        for reference in waiting[start..<end] { reportUnknown(reference) }
      }
      start = end
    }
    waiting.removeAll(keepingCapacity: true)
  }

  private func reportUnknown(_ reference: Reference) {
    // The entry may be an old one whose value was rightly given up.
    guard !log.mayHideEntries(of: reference.key) else { return }
    let number = reference.pointer.segment.padded
    log.add(
      StorageError(
        .missingFile, "the newest entry of a key refers to segment \(number), which is unknown"),
      path: reference.path, lower: reference.key, upper: reference.key)
  }

  private func verify(_ references: ArraySlice<Reference>, in segment: Segment) {
    var index: [Int: SegmentIndex.Value]?
    if let stored = try? SegmentReader(segment).storedIndex() {
      index = Dictionary(stored.values.map { ($0.offset, $0) }) { $1 }
    }
    for reference in references {
      log.report.referenceCount += 1
      let pointer = reference.pointer
      do throws(StorageError) {
        buffer.removeAll(keepingCapacity: true)
        try segment.read(pointer, into: &buffer)
        try pointer.verify(buffer, segment.path)
        guard reference.isIndexed, let index else { continue }
        let value = index[pointer.offset]
        guard value?.key == reference.key, value?.byteCount == pointer.byteCount else {
          throw StorageError(
            .malformed, "an entry refers to a value that the index does not have",
            path: segment.path, offset: pointer.offset)
        }
      } catch {
        log.add(error, path: segment.path, lower: reference.key, upper: reference.key)
      }
    }
  }
}
