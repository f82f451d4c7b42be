import KVBase
import KVModel
import Testing

@testable import KVSimulator

/// The checker of data types must find what it is there for: each test breaks one promise by hand.
@Suite struct TypeHistoryTests {
  private let counter = TypeHistory.Kind.counter.rawValue
  private let set = TypeHistory.Kind.set.rawValue
  private let map = TypeHistory.Kind.map.rawValue

  private func change(
    _ history: inout TypeHistory, _ key: Int, removing removed: Int? = nil,
    _ outcome: History.Outcome = .acknowledged
  ) -> Int {
    let number = history.begin(TypeHistory.Change(key: key, removed: removed))
    history.end(number, outcome)
    return number
  }

  private func elements(_ numbers: [Int]) -> [Bytes] { numbers.map { Bytes("u\($0)".utf8) } }

  private func mapValue(_ count: Int, _ numbers: [Int]) -> DataTypeValue {
    .map([
      MapValue(field: TypeHistory.elementField, value: .set(elements(numbers))),
      MapValue(field: TypeHistory.countField, value: .counter(Int128(count))),
    ])
  }

  private func isRefused(_ body: () throws(SimulationFailure) -> Void) -> Bool {
    do throws(SimulationFailure) {
      try body()
      return false
    } catch {
      return error.checker == .types
    }
  }

  @Test func `a counter counts what was acknowledged, and some of what nobody knows`() throws {
    var history = TypeHistory()
    for outcome in [History.Outcome.acknowledged, .acknowledged, .unknown, .refused] {
      _ = change(&history, counter, outcome)
    }
    try history.checkFinal(.counter(2), key: counter)
    try history.checkFinal(.counter(3), key: counter)
    #expect(
      isRefused { () throws(SimulationFailure) in
        try history.checkFinal(.counter(1), key: counter)
      })
    #expect(
      isRefused { () throws(SimulationFailure) in
        try history.checkFinal(nil, key: counter)
      })
    #expect(
      isRefused { () throws(SimulationFailure) in
        try history.checkFinal(.counter(4), key: counter)
      })
  }

  @Test func `a set keeps what was added and loses what was removed`() throws {
    var history = TypeHistory()
    let first = change(&history, set)
    let second = change(&history, set, removing: first)
    let third = change(&history, set, removing: second, .unknown)
    try history.checkFinal(.set(elements([second])), key: set)
    try history.checkFinal(.set(elements([third])), key: set)
    // The unknown change may have removed the second element and added none that was acknowledged.
    try history.checkFinal(.set([]), key: set)
    for numbers in [[third, first], [second, first], [second, 9]] {
      #expect(
        isRefused { () throws(SimulationFailure) in
          try history.checkFinal(.set(elements(numbers)), key: set)
        })
    }
  }

  @Test func `a map counts the changes that it shows`() throws {
    var history = TypeHistory()
    let numbers = [change(&history, map), change(&history, map)]
    try history.checkFinal(mapValue(2, numbers), key: map)
    #expect(
      isRefused { () throws(SimulationFailure) in
        try history.checkFinal(mapValue(3, numbers), key: map)
      })
    #expect(
      isRefused { () throws(SimulationFailure) in
        try history.checkFinal(mapValue(1, [numbers[0]]), key: map)
      })
    #expect(
      isRefused { () throws(SimulationFailure) in
        try history.checkFinal(.counter(2), key: map)
      })
  }
}
