import KVBase
import KVModel

/// What clients wrote and saw in a run: explicit event histories, against which every object that a
/// replica returns is held.
///
/// A write *has seen* another when the context it was sent with covers it. The history derives that
/// from the values that came with the context, never from version vectors, so that it does not share
/// the mistakes of the code it checks.
struct History {
  /// What became of a write.
  enum Outcome: Equatable {
    /// Nobody knows yet.
    case underway
    /// The cluster has vouched for it.
    case acknowledged
    /// It may or may not have happened.
    case unknown
    /// The cluster said that it did not happen.
    case refused
  }

  /// One write.
  struct Write {
    /// The key, by position.
    var key: Int
    /// True when it is a delete, whose tombstone bears no number.
    var isDelete: Bool
    /// The writes that its context covers.
    var seen: WriteSet
    /// True for a delete without a context: it may have seen all that began before its end.
    var readsBefore: Bool
    /// The bytes of its value.
    var byteCount: Int
    /// Replicas that have it durably for sure once it is acknowledged, at primaries (PW).
    var primaryCount: Int
    /// When it was sent.
    var start: UInt64
    /// When its outcome was known.
    var end: UInt64?
    /// What became of it.
    var outcome = Outcome.underway
  }

  /// How concurrent writes of a key are to be kept.
  enum Mode: Equatable {
    /// All of them, as siblings.
    case siblings
    /// The newest, unless one had seen the other.
    case newest
    /// The newest, whatever it had seen.
    case lastWrite
  }

  /// One key.
  struct Key {
    /// Its name.
    var name: ObjectKey
    /// How its concurrent writes are kept.
    var mode: Mode
    /// Its writes, in the order they were sent.
    var writes: [Int] = []
    /// The write that each dot seen so far stands for; nil for tombstones.
    var dots: [Dot: Int?] = [:]
  }

  /// All keys.
  private(set) var keys: [Key]
  /// All writes, by number.
  private(set) var writes: [Write] = []
  /// How many nodes may have forgotten what they had made durable.
  var lostDiskCount = 0

  init(keys: [Key]) { self.keys = keys }

  /// A client sends a put or a delete.
  mutating func begin(_ write: Write) -> Int {
    let number = writes.count
    writes.append(write)
    keys[write.key].writes.append(number)
    return number
  }

  /// A write's outcome is known.
  mutating func end(_ number: Int, _ outcome: Outcome, at time: UInt64) {
    writes[number].outcome = outcome
    writes[number].end = time
  }

  /// The numbers with this outcome.
  func count(_ outcome: Outcome) -> Int { writes.count { $0.outcome == outcome } }

  /// True when the write must be there: it was acknowledged, and no lost disk excuses its loss.
  private func isVouchedFor(_ number: Int) -> Bool {
    writes[number].outcome == .acknowledged
      && (lostDiskCount == 0 || writes[number].primaryCount > lostDiskCount)
  }

  // MARK: What an object shows

  /// The live values of an object, by write.
  struct Sight {
    /// The writes whose values are there.
    var values: [Int] = []
    /// Those and all that they had seen: what a context taken from the object covers.
    var covered = WriteSet()
  }

  /// Holds an object that the cluster returned for a key against the history.
  mutating func look(
    at object: KVObject, key: Int
  ) throws(SimulationFailure) -> Sight {
    object.checkInvariants()
    var sight = Sight()
    for sibling in object.siblings {
      let number = try identify(sibling, key: key)
      if let known = keys[key].dots[sibling.dot], known != number {
        throw failure(
          .integrity, key,
          "the dot \(sibling.dot) stands for \(label(known)) and for \(label(number))", object)
      }
      keys[key].dots[sibling.dot] = .some(number)
      guard let number else { continue }
      if sight.values.contains(number) {
        throw failure(.concurrency, key, "the write w\(number) is its own sibling", object)
      }
      sight.values.append(number)
      sight.covered.insert(number)
      sight.covered.formUnion(writes[number].seen)
    }
    try checkConcurrency(sight, key, object)
    return sight
  }

  private func identify(
    _ sibling: Sibling, key: Int
  ) throws(SimulationFailure) -> Int? {
    guard !sibling.content.isTombstone else { return nil }
    let value = sibling.content.value
    guard let number = WrittenValue.number(of: value), number < writes.count,
      !writes[number].isDelete, writes[number].byteCount == value.count
    else {
      throw SimulationFailure(
        checker: .integrity,
        explanation: "\(Describe.name(keys[key].name)) holds \(value.count) bytes nobody wrote")
    }
    guard writes[number].key == key else {
      throw SimulationFailure(
        checker: .integrity,
        explanation: "\(Describe.name(keys[key].name)) holds w\(number), written to "
          + Describe.name(keys[writes[number].key].name))
    }
    guard writes[number].outcome != .refused else {
      throw SimulationFailure(
        checker: .integrity,
        explanation: "\(Describe.name(keys[key].name)) holds w\(number), which was refused")
    }
    return number
  }

  private func checkConcurrency(
    _ sight: Sight, _ key: Int, _ object: KVObject
  ) throws(SimulationFailure) {
    for later in sight.values {
      for earlier in sight.values where writes[later].seen.contains(earlier) {
        throw failure(
          .concurrency, key, "w\(later) had seen w\(earlier), yet both are siblings", object)
      }
    }
  }

  // MARK: Demands

  /// What a read that began at `start` and heard `primaryCount` of `n` primaries must show.
  func checkQuorumRead(
    _ object: KVObject, _ sight: Sight, key: Int, start: UInt64, primaryCount: Int, n: Int
  ) throws(SimulationFailure) {
    for number in keys[key].writes {
      let write = writes[number]
      guard !write.isDelete, write.outcome == .acknowledged, let end = write.end, end < start,
        write.primaryCount - lostDiskCount + primaryCount > n, !sight.covered.contains(number),
        !mayBeDeleted(number)
      else { continue }
      throw failure(
        .quorum, key,
        "w\(number), acknowledged by \(write.primaryCount) primaries, is not in what "
          + "\(primaryCount) of \(n) primaries returned later", object)
    }
  }

  /// What the object must be that all replicas of a key hold in the end.
  mutating func checkFinal(_ object: KVObject, key: Int) throws(SimulationFailure) {
    let sight = try look(at: object, key: key)
    try checkDurability(object, sight, key)
    guard keys[key].mode != .lastWrite else { return }
    for number in keys[key].writes where isVouchedFor(number) {
      for value in sight.values where writes[number].seen.contains(value) {
        throw failure(
          .resurrection, key, "\(label(number)) was acknowledged and had seen w\(value)", object)
      }
    }
  }

  private func checkDurability(
    _ object: KVObject, _ sight: Sight, _ key: Int
  ) throws(SimulationFailure) {
    let acknowledged = keys[key].writes.filter {
      isVouchedFor($0) && !writes[$0].isDelete && !mayBeDeleted($0)
    }
    guard keys[key].mode == .siblings else {
      guard let last = acknowledged.last, sight.values.isEmpty,
        !keys[key].writes.contains(where: { writes[$0].isDelete })
      else { return }
      throw failure(.durability, key, "w\(last) was acknowledged and nothing is there", object)
    }
    for number in acknowledged where !sight.covered.contains(number) {
      throw failure(
        .durability, key,
        "w\(number) was acknowledged and is gone, and no write there had seen it", object)
    }
  }

  /// True when some delete may have taken the write away.
  private func mayBeDeleted(_ number: Int) -> Bool {
    keys[writes[number].key].writes.contains { candidate in
      let delete = writes[candidate]
      guard delete.isDelete, delete.outcome != .refused else { return false }
      if delete.seen.contains(number) { return true }
      // One that was given up may go on after its end.
      let end = delete.outcome == .acknowledged ? delete.end : nil
      return delete.readsBefore && writes[number].start <= end ?? .max
    }
  }

  private func label(_ number: Int?) -> String {
    guard let number else { return "a tombstone" }
    return writes[number].isDelete ? "the delete w\(number)" : "w\(number)"
  }

  private func failure(
    _ checker: Checker, _ key: Int, _ explanation: String, _ object: KVObject
  ) -> SimulationFailure {
    SimulationFailure(
      checker: checker,
      explanation: "\(Describe.name(keys[key].name)): \(explanation): "
        + Describe.text(of: object))
  }
}
