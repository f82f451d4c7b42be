import KVBase
import KVModel
import Testing

@testable import KVSimulator

/// The checkers must find what they are there for: each test breaks one promise by hand.
@Suite struct HistoryTests {
  private let actor = VnodeID(rawValue: 1)
  private let other = VnodeID(rawValue: 2)

  private func history(_ mode: History.Mode = .siblings) -> History {
    History(keys: [
      History.Key(name: ObjectKey(bucket: "b", key: "k"), mode: mode),
      History.Key(name: ObjectKey(bucket: "b", key: "l"), mode: mode),
    ])
  }

  private func put(
    _ history: inout History, seen: WriteSet = WriteSet(), at time: UInt64 = 0,
    _ outcome: History.Outcome = .acknowledged, primaries: Int = 0, key: Int = 0
  ) -> Int {
    let number = history.begin(
      History.Write(
        key: key, isDelete: false, seen: seen, readsBefore: false, byteCount: 16,
        primaryCount: primaries, start: time))
    history.end(number, outcome, at: time)
    return number
  }

  private func content(_ number: Int) -> Content {
    Content(value: WrittenValue.bytes(number, byteCount: 16))
  }

  private func expect(_ checker: Checker, _ body: () throws(SimulationFailure) -> Void) {
    do throws(SimulationFailure) {
      try body()
      Issue.record("\(checker) found nothing")
    } catch {
      #expect(error.checker == checker, "\(error)")
    }
  }

  @Test func `an object that holds every acknowledged write is right`() throws {
    var history = history()
    var object = KVObject()
    object.write(content(put(&history)), context: VersionVector(), by: actor)
    object.write(content(put(&history)), context: VersionVector(), by: other)
    try history.checkFinal(object, key: 0)
  }

  @Test func `a write that was seen by one that is there may be gone`() throws {
    var history = history()
    var object = KVObject()
    object.write(content(put(&history)), context: VersionVector(), by: actor)
    let sight = try history.look(at: object, key: 0)
    let later = put(&history, seen: sight.covered)
    object.write(content(later), context: object.clock, by: actor)
    try history.checkFinal(object, key: 0)
  }

  @Test func `an acknowledged write that is gone is found missing`() {
    var history = history()
    var object = KVObject()
    object.write(content(put(&history)), context: VersionVector(), by: actor)
    _ = put(&history)
    expect(.durability) { () throws(SimulationFailure) in
      try history.checkFinal(object, key: 0)
    }
  }

  @Test func `a write of unknown outcome may be gone`() throws {
    var history = history()
    _ = put(&history, .unknown)
    try history.checkFinal(KVObject(), key: 0)
  }

  @Test func `a delete takes away what it had seen and nothing else`() throws {
    var history = history()
    let first = put(&history)
    var seen = WriteSet()
    seen.insert(first)
    let delete = history.begin(
      History.Write(
        key: 0, isDelete: true, seen: seen, readsBefore: false, byteCount: 0, primaryCount: 0,
        start: 1))
    history.end(delete, .acknowledged, at: 2)
    try history.checkFinal(KVObject(), key: 0)
    _ = put(&history)
    expect(.durability) { () throws(SimulationFailure) in
      try history.checkFinal(KVObject(), key: 0)
    }
  }

  @Test func `a sibling that another had seen is found`() {
    var history = history()
    let first = put(&history)
    var seen = WriteSet()
    seen.insert(first)
    let second = put(&history, seen: seen)
    var object = KVObject()
    object.write(content(first), context: VersionVector(), by: actor)
    object.write(content(second), context: VersionVector(), by: other)
    expect(.concurrency) { () throws(SimulationFailure) in
      _ = try history.look(at: object, key: 0)
    }
  }

  @Test func `a value that comes back after it was replaced is found`() {
    var history = history(.newest)
    let first = put(&history)
    var seen = WriteSet()
    seen.insert(first)
    _ = put(&history, seen: seen)
    var object = KVObject()
    object.write(content(first), context: VersionVector(), by: actor)
    expect(.resurrection) { () throws(SimulationFailure) in
      try history.checkFinal(object, key: 0)
    }
  }

  @Test func `a value nobody wrote, a refused one and one of another key are found`() {
    var history = history()
    var bad = WrittenValue.bytes(put(&history), byteCount: 16)
    bad[12] ^= 1
    let refused = put(&history, .refused)
    let foreign = put(&history, key: 1)
    for value in [
      bad, WrittenValue.bytes(refused, byteCount: 16), WrittenValue.bytes(foreign, byteCount: 16),
    ] {
      var object = KVObject()
      object.write(Content(value: value), context: VersionVector(), by: actor)
      expect(.integrity) { () throws(SimulationFailure) in
        _ = try history.look(at: object, key: 0)
      }
    }
  }

  @Test func `a lost disk excuses what one primary had, not what two had`() throws {
    var history = history()
    history.lostDiskCount = 1
    _ = put(&history, primaries: 1)
    try history.checkFinal(KVObject(), key: 0)
    let vouched = put(&history, primaries: 2)
    expect(.durability) { () throws(SimulationFailure) in
      try history.checkFinal(KVObject(), key: 0)
    }
    var object = KVObject()
    object.write(content(vouched), context: VersionVector(), by: actor)
    try history.checkFinal(object, key: 0)
    let nothing = KVObject()
    let sight = try history.look(at: nothing, key: 1)
    _ = put(&history, at: 5, primaries: 2, key: 1)
    try history.checkQuorumRead(nothing, sight, key: 1, start: 9, primaryCount: 2, n: 3)
    expect(.quorum) { () throws(SimulationFailure) in
      try history.checkQuorumRead(nothing, sight, key: 1, start: 9, primaryCount: 3, n: 3)
    }
  }

  @Test func `a dot that stands for two writes is found`() throws {
    var history = history()
    var one = KVObject()
    one.write(content(put(&history)), context: VersionVector(), by: actor)
    _ = try history.look(at: one, key: 0)
    var two = KVObject()
    two.write(content(put(&history)), context: VersionVector(), by: actor)
    expect(.integrity) { () throws(SimulationFailure) in
      _ = try history.look(at: two, key: 0)
    }
  }

  @Test func `a read of enough primaries must see what enough primaries acknowledged`() throws {
    var history = history()
    _ = put(&history, at: 5, primaries: 2)
    let nothing = KVObject()
    let sight = try history.look(at: nothing, key: 0)
    try history.checkQuorumRead(nothing, sight, key: 0, start: 9, primaryCount: 1, n: 3)
    try history.checkQuorumRead(nothing, sight, key: 0, start: 4, primaryCount: 2, n: 3)
    expect(.quorum) { () throws(SimulationFailure) in
      try history.checkQuorumRead(nothing, sight, key: 0, start: 9, primaryCount: 2, n: 3)
    }
  }
}
