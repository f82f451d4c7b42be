import KVBase
import KVStorage
import Synchronization
import Testing

/// Keys whose values say which key and version they are, and a record of the versions written, so that
/// a reader notices every wrong, stale or invented value although writers go on meanwhile.
///
/// A version is `begun` before its write and `done` after it. What a read finds must be a version
/// between the one done before the read and the one begun after it.
final class WitnessedKeys: Sendable {
  struct Progress {
    var begun = 0
    var done = 0
  }

  let count: Int
  private let progress: Mutex<[Progress]>

  init(count: Int) {
    self.count = count
    progress = Mutex(Array(repeating: Progress(), count: count))
  }

  static func key(_ index: Int) -> Bytes { bytes("key \(10_000 + index)") }

  var now: [Progress] { progress.withLock { $0 } }

  /// Every seventh version of a key says that it has no value; so does none at all.
  static func isDelete(_ version: Int) -> Bool { version % 7 == 0 }

  private static func value(_ index: Int, _ version: Int) -> Bytes {
    var random = SeededRandom(seed: UInt64(index) << 32 ^ UInt64(version))
    let size = random.chance(0.1) ? random.below(20_000) : random.below(1500)
    var writer = ByteWriter(capacity: size + 40)
    writer.write(fixed: UInt32(index))
    writer.write(fixed: UInt64(version))
    writer.write(raw: Bytes(repeating: UInt8(version & 255), count: size))
    writer.write(fixed: CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  // MARK: Writing

  /// Writes the next version of some keys, all in one batch; each key has one writer.
  func write(_ indexes: [Int], to store: Store) throws(StorageError) {
    let versions = begin(indexes) { $0 + 1 }
    var batch = WriteBatch()
    for (index, version) in zip(indexes, versions) {
      let key = WitnessedKeys.key(index)
      if WitnessedKeys.isDelete(version) {
        batch.delete(key)
      } else {
        batch.put(key, WitnessedKeys.value(index, version), headByteCount: 12)
      }
    }
    _ = try store.append(batch)
    finish(indexes)
  }

  /// Deletes a range of keys at once.
  func deleteRange(_ indexes: Range<Int>, in store: Store) throws(StorageError) {
    _ = begin(Array(indexes)) { $0 + 7 - $0 % 7 }
    var batch = WriteBatch()
    batch.deleteRange(
      WitnessedKeys.key(indexes.lowerBound), WitnessedKeys.key(indexes.upperBound))
    _ = try store.append(batch)
    finish(Array(indexes))
  }

  private func begin(_ indexes: [Int], _ next: (Int) -> Int) -> [Int] {
    progress.withLock { progress in
      for index in indexes { progress[index].begun = next(progress[index].begun) }
      return indexes.map { progress[$0].begun }
    }
  }

  private func finish(_ indexes: [Int]) {
    progress.withLock { progress in
      for index in indexes { progress[index].done = progress[index].begun }
    }
  }

  // MARK: Checking

  /// What is wrong with the value or head found under a key; nil when it may be so.
  func problem(
    _ index: Int, _ found: Bytes?, isHead: Bool = false, since before: Progress,
    until after: Progress
  ) -> String? {
    guard let found else {
      // All versions from the one done on are possible, those that were never written too.
      let isPossible = (before.done...after.begun).contains(where: WitnessedKeys.isDelete)
      return isPossible ? nil : "key \(index) is missing, \(before) to \(after)"
    }
    var reader = ByteReader(found)
    guard let foundIndex = try? reader.readFixed(UInt32.self), foundIndex == index,
      let number = try? reader.readFixed(UInt64.self)
    else { return "key \(index) has a foreign value" }
    let version = Int(clamping: number)
    guard (before.done...after.begun).contains(version), !WitnessedKeys.isDelete(version) else {
      return "key \(index) has version \(version), \(before) to \(after)"
    }
    let whole = WitnessedKeys.value(index, version)
    let expected = isHead ? Bytes(whole.prefix(12)) : whole
    return found == expected ? nil : "key \(index) has a torn value of version \(version)"
  }
}
