import KVBase
import KVModel

/// What clients changed in data types, and what every value that the cluster returns must be then.
///
/// Every change leaves a mark that nothing else leaves: an element that is added once in a run. So what a
/// value has seen is known from the value itself.
struct TypeHistory {
  /// What a key holds.
  enum Kind: Int, CaseIterable {
    /// A count.
    case counter
    /// Elements, which are removed too.
    case set
    /// A count and as many elements, changed together.
    case map

    /// The data type of such keys.
    var type: DataTypeKind {
      switch self {
      case .counter: .counter
      case .set: .set
      case .map: .map
      }
    }
  }

  /// One change: it counts by one, or adds its own element and removes one of another change.
  struct Change {
    /// The key, by position.
    var key: Int
    /// The change whose element is removed.
    var removed: Int?
    /// What became of it.
    var outcome = History.Outcome.underway
  }

  /// The field of a map that counts.
  static let countField = MapField(name: Bytes("n".utf8), kind: .counter)
  /// The field of a map that holds an element for each change.
  static let elementField = MapField(name: Bytes("changes".utf8), kind: .set)

  /// All changes, by number.
  private(set) var changes: [Change] = []

  /// What a key holds.
  static func kind(of key: Int) -> Kind { Kind.allCases[key % Kind.allCases.count] }

  /// A client sends a change.
  mutating func begin(_ change: Change) -> Int {
    changes.append(change)
    return changes.count - 1
  }

  /// The outcome of a change is known.
  mutating func end(_ number: Int, _ outcome: History.Outcome) {
    changes[number].outcome = outcome
  }

  /// The operation that makes a change.
  func operation(_ number: Int) -> DataTypeOperation {
    let change = changes[number]
    switch Self.kind(of: change.key) {
    case .counter: return .counter(1)
    case .set:
      return .set(
        adds: [Self.element(number)], removes: change.removed.map { [Self.element($0)] } ?? [])
    case .map:
      return .map(
        MapOperation(updates: [
          MapOperation.Update(field: Self.countField, change: .counter(1)),
          MapOperation.Update(
            field: Self.elementField, change: .set(adds: [Self.element(number)], removes: [])),
        ]))
    }
  }

  private static func element(_ number: Int) -> Bytes { Bytes("u\(number)".utf8) }

  private func number(of element: Bytes) -> Int? {
    guard element.first == UInt8(ascii: "u") else { return nil }
    return Int(String(decoding: element.dropFirst(), as: UTF8.self))
  }

  // MARK: Demands

  /// Holds a value that a read returned against the changes sent so far; gives those it shows.
  func look(at value: DataTypeValue?, key: Int) throws(SimulationFailure) -> Set<Int> {
    switch value {
    case nil: return []
    case .counter(let count):
      let possible = changes.count { $0.key == key && $0.outcome != .refused }
      guard (0...Int128(possible)).contains(count) else {
        throw failure(key, "counts \(count), and \(possible) changes were sent")
      }
      return []
    case .set(let elements): return try genuine(elements, key)
    case .map(let fields):
      var count = Int128(0)
      var elements: [Bytes] = []
      for field in fields {
        switch (field.field, field.value) {
        case (Self.countField, .counter(let value)): count = value
        case (Self.elementField, .set(let value)): elements = value
        default: throw failure(key, "has the field \(field.field)")
        }
      }
      guard count == Int128(elements.count) else {
        throw failure(key, "counts \(count) changes and shows \(elements.count)")
      }
      return try genuine(elements, key)
    default: throw failure(key, "is of another type: \(value.map { "\($0)" } ?? "nothing")")
    }
  }

  private func genuine(_ elements: [Bytes], _ key: Int) throws(SimulationFailure) -> Set<Int> {
    var found: Set<Int> = []
    for element in elements {
      guard let number = number(of: element), changes.indices.contains(number),
        changes[number].key == key, changes[number].outcome != .refused
      else {
        throw failure(
          key, "has the element \(String(decoding: element, as: UTF8.self)), which nobody added")
      }
      found.insert(number)
    }
    return found
  }

  /// What all primaries hold together in the end must be what was acknowledged, and of what nobody
  /// knows some.
  func checkFinal(_ value: DataTypeValue?, key: Int) throws(SimulationFailure) {
    let found = try look(at: value, key: key)
    let numbers = changes.indices.filter { changes[$0].key == key }
    let acknowledged = numbers.filter { changes[$0].outcome == .acknowledged }
    if Self.kind(of: key) == .counter {
      var count = Int128(0)
      if case .counter(let value) = value { count = value }
      guard count >= Int128(acknowledged.count) else {
        throw failure(key, "counts \(count) of \(acknowledged.count) acknowledged changes")
      }
      return
    }
    for number in acknowledged {
      let isRemovable = numbers.contains {
        changes[$0].removed == number && changes[$0].outcome != .refused
      }
      guard found.contains(number) || isRemovable else {
        throw failure(key, "lacks the element of the acknowledged change u\(number)")
      }
      guard let removed = changes[number].removed, found.contains(removed) else { continue }
      throw failure(key, "still has u\(removed), which the acknowledged change u\(number) removed")
    }
  }

  private func failure(_ key: Int, _ text: String) -> SimulationFailure {
    SimulationFailure(checker: .types, explanation: "the \(Self.kind(of: key)) d\(key) \(text)")
  }
}
