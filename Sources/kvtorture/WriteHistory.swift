import KVBase
import KVModel
import Synchronization

/// What the clients of a torture wrote and saw, against which everything a cluster returns is held.
///
/// A write *has seen* another when the context it was sent with came with that other's value. That is
/// known from the values alone, never from version vectors.
///
/// **Concurrency**: every method may be called from any task.
final class WriteHistory: Sendable {
  /// What became of a write.
  enum Outcome: Sendable {
    /// Nobody knows.
    case unknown
    /// The cluster has vouched for it.
    case acknowledged
    /// The cluster said that it did not happen.
    case refused
  }

  fileprivate struct Write {
    var key: Int
    /// The writes whose values came with the context, and those that they had seen.
    var seen: Set<Int>
    var outcome = Outcome.unknown
  }

  fileprivate struct State {
    var writes: [Write] = []
    var numbers: [Int: [Int]] = [:]
    var violations: [String] = []
  }

  private let state = Mutex(State())

  /// A client is about to write a key, with a context that came with `values`.
  func begin(key: Int, having values: [Int]) -> Int {
    state.withLock { state in
      let number = state.writes.count
      var seen = Set(values)
      for value in values { seen.formUnion(state.writes[value].seen) }
      state.writes.append(Write(key: key, seen: seen))
      state.numbers[key, default: []].append(number)
      return number
    }
  }

  /// The outcome of a write is known.
  func end(_ number: Int, _ outcome: Outcome) {
    state.withLock { $0.writes[number].outcome = outcome }
  }

  /// The numbers of acknowledged writes and of all.
  var counts: (acknowledged: Int, all: Int) {
    state.withLock { state in
      (state.writes.count { $0.outcome == .acknowledged }, state.writes.count)
    }
  }

  /// What was found wrong so far, in words.
  var violations: [String] { state.withLock { $0.violations } }

  // MARK: Values

  /// The bytes that a write stores: its number and a pattern that follows from it.
  static func value(_ number: Int) -> Bytes {
    var writer = ByteWriter(capacity: 64)
    writer.write(fixed: UInt64(number))
    for part in 1...(1 + number % 20) {
      writer.write(fixed: StableHash.mix(UInt64(number) &+ UInt64(part)))
    }
    return writer.bytes
  }

  private static func number(_ value: Bytes) -> Int? {
    guard value.count >= 8 else { return nil }
    let number = value.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard number < 1 << 40, Self.value(Int(number)) == value else { return nil }
    return Int(number)
  }

  // MARK: Demands

  /// Takes in what a read of a key returned; gives the writes whose values are there.
  func look(at siblings: [Bytes], key: Int) -> [Int] {
    state.withLock { state in
      var found: [Int] = []
      for value in siblings {
        guard let number = Self.number(value), number < state.writes.count else {
          state.report("WRONG VALUE k\(key) holds \(value.count) bytes that nobody wrote")
          continue
        }
        let write = state.writes[number]
        if write.key != key {
          state.report("WRONG VALUE k\(key) holds w\(number), written to k\(write.key)")
        } else if write.outcome == .refused {
          state.report("WRONG VALUE k\(key) holds w\(number), which was refused")
        } else if found.contains(number) {
          state.report("WRONG SIBLING k\(key) holds w\(number) twice")
        } else {
          found.append(number)
        }
      }
      for later in found {
        for earlier in found where state.writes[later].seen.contains(earlier) {
          state.report("WRONG SIBLING k\(key): w\(later) had seen w\(earlier), both are there")
        }
      }
      return found
    }
  }

  /// Holds what all replicas of a key returned together against every write to it.
  func checkWhole(_ siblings: [Bytes], key: Int) {
    let found = look(at: siblings, key: key)
    state.withLock { state in
      var covered = Set(found)
      for number in found { covered.formUnion(state.writes[number].seen) }
      for number in state.numbers[key] ?? [] where state.writes[number].outcome == .acknowledged {
        if !covered.contains(number) {
          state.report("LOST w\(number) to k\(key) was acknowledged; there is \(found)")
        }
        for value in found where state.writes[number].seen.contains(value) {
          state.report(
            "RESURRECTED w\(value) of k\(key), which the acknowledged w\(number) had seen")
        }
      }
    }
  }
}

extension WriteHistory.State {
  fileprivate mutating func report(_ text: String) {
    if violations.count < 1_000 { violations.append(text) }
  }
}
