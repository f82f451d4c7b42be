import KVBase
import KVModel

/// What clients asked of the keys of consistent buckets, when, and what they were told.
struct RegisterHistory {
  /// What was asked.
  enum Kind: Hashable {
    /// Read.
    case read
    /// Write if there is nothing.
    case create
    /// Write if the latest write is the given operation's.
    case update(expected: Int)
    /// Delete, if the latest write is the given operation's when one is given.
    case delete(expected: Int?)
  }

  /// What the client was told.
  enum Outcome: Hashable {
    /// Nothing, and it may still happen.
    case unknown
    /// Done; for a read, the operation that wrote what was there.
    case done(observed: Int?)
    /// The condition did not hold.
    case refused(RequestFailure)
    /// Certainly not done, for reasons that say nothing about the key.
    case void
  }

  /// One request.
  struct Operation {
    /// The key, by position.
    var key: Int
    /// What was asked.
    var kind: Kind
    /// When it was sent.
    var start: UInt64
    /// When it was answered; nil when it was not.
    var end: UInt64?
    /// The answer.
    var outcome = Outcome.unknown
  }

  /// All operations; the number of one is its position plus 1.
  private(set) var operations: [Operation] = []
  private var versions: [Int: [UInt64: Int]] = [:]

  /// A client sends a request; returns its number.
  mutating func begin(_ kind: Kind, key: Int, at time: UInt64) -> Int {
    operations.append(Operation(key: key, kind: kind, start: time))
    return operations.count
  }

  /// A client is answered.
  mutating func end(_ number: Int, _ outcome: Outcome, at time: UInt64) {
    operations[number - 1].outcome = outcome
    operations[number - 1].end = outcome == .unknown ? nil : time
  }

  /// The operations on a key, in the order they were sent.
  func operations(of key: Int) -> [(number: Int, operation: Operation)] {
    operations.enumerated().filter { $1.key == key }.map { ($0 + 1, $1) }
  }

  /// The write that an object shows, held against everything seen before.
  mutating func look(at object: KVObject, key: Int) throws(SimulationFailure) -> Int? {
    guard object.siblings.count <= 1, object.clock.entries.count <= 1 else {
      throw SimulationFailure(
        checker: .singleWinner, explanation: "r\(key) has siblings: \(Describe.text(of: object))")
    }
    guard let sibling = object.siblings.first, !sibling.content.isTombstone else { return nil }
    guard let number = WrittenValue.number(of: sibling.content.value),
      number <= operations.count, number > 0, operations[number - 1].key == key
    else {
      throw SimulationFailure(
        checker: .integrity,
        explanation: "r\(key) holds what nobody wrote: \(Describe.text(of: object))")
    }
    let version = sibling.dot.counter
    if let known = versions[key]?[version], known != number {
      throw SimulationFailure(
        checker: .linearizability,
        explanation: "version \(version) of r\(key) is w\(known) and w\(number)")
    }
    versions[key, default: [:]][version] = number
    return number
  }

  /// No two clients may have been told that they made the same step.
  func checkWinners(of key: Int) throws(SimulationFailure) {
    let all = operations(of: key)
    let hasDeletes = all.contains { if case .delete = $1.kind { true } else { false } }
    var winners: [Int: Int] = [:]
    for (number, operation) in all {
      guard case .done = operation.outcome else { continue }
      let step: Int
      switch operation.kind {
      case .create where !hasDeletes: step = 0
      case .update(let expected): step = expected
      case .create, .read, .delete: continue
      }
      if let winner = winners[step] {
        throw SimulationFailure(
          checker: .singleWinner,
          explanation: "w\(winner) and w\(number) both won r\(key) over w\(step)")
      }
      winners[step] = number
    }
  }

  /// There must be an order of the operations on a key, within the times they took, in which each
  /// was answered as a single register would have; nil when the search was too long.
  func isLinearizable(_ key: Int) -> Bool? {
    let steps = operations(of: key).filter { $1.outcome != .void }.compactMap {
      number, operation in RegisterStep(number: number, operation)
    }
    return LinearizabilitySearch(steps).run()
  }
}

/// One operation as the search sees it.
struct RegisterStep: LinearizableStep {
  let start: UInt64
  let end: UInt64?
  let isPure: Bool
  private let number: Int
  private let kind: RegisterHistory.Kind
  private let outcome: RegisterHistory.Outcome

  /// Nil for an operation that can be left out: a read nobody has the answer to.
  init?(number: Int, _ operation: RegisterHistory.Operation) {
    if operation.outcome == .unknown, operation.kind == .read { return nil }
    self.number = number
    start = operation.start
    end = operation.outcome == .unknown ? nil : operation.end
    kind = operation.kind
    outcome = operation.outcome
    if case .refused = outcome { isPure = true } else { isPure = kind == .read }
  }

  /// The register after the operation; nil when it cannot have been answered like this.
  ///
  /// The state is the number of the latest write, negative after a delete, 0 at first.
  func state(after state: Int) -> Int? {
    let isLive = state > 0
    switch outcome {
    case .done(let observed):
      if kind == .read { return (isLive ? state : nil) == observed ? state : nil }
      return effect(on: state)
    case .unknown: return effect(on: state)
    case .refused(let failure):
      switch (kind, failure) {
      case (.create, .matchFound), (.create, .failed): return isLive ? state : nil
      case (.update(let expected), .modified):
        return isLive && state != expected ? state : nil
      case (.update, .notFound): return isLive ? nil : state
      case (.update(let expected), .failed): return state != expected ? state : nil
      case (.delete(let expected?), .failed): return isLive && state != expected ? state : nil
      default: return nil
      }
    case .void: return nil
    }
  }

  private func effect(on state: Int) -> Int? {
    switch kind {
    case .read: state
    case .create: state > 0 ? nil : number
    case .update(let expected): state == expected ? number : nil
    case .delete(let expected):
      state <= 0 ? state : (expected ?? state) == state ? -number : nil
    }
  }
}
