import KVBase

/// An operation of a sequential object whose state is a number.
protocol LinearizableStep {
  /// When it was called.
  var start: UInt64 { get }
  /// When it returned; nil when it may take effect at any later time, or never.
  var end: UInt64? { get }
  /// True when it changes no state, whatever that is.
  var isPure: Bool { get }
  /// The state after it; nil when it cannot have returned what it did.
  func state(after state: Int) -> Int?
}

/// Searches for an order of operations that explains what each returned.
///
/// The search goes from configuration to configuration: which operations have taken effect, and the
/// state after them. None is looked at twice. An operation that changes nothing takes effect as
/// soon as it can: that never rules anything out.
///
/// **Source**: Wing and Gong, *Testing and Verifying Concurrent Objects* (1993); Lowe, *Testing for
/// Linearizability* (2017), for the memory of configurations.
struct LinearizabilitySearch<Step: LinearizableStep> {
  private struct Configuration: Hashable {
    var taken: [UInt64]
    var state: Int

    func contains(_ index: Int) -> Bool { taken[index >> 6] & 1 << UInt64(index & 63) != 0 }

    mutating func take(_ index: Int, _ next: Int) {
      taken[index >> 6] |= 1 << UInt64(index & 63)
      state = next
    }
  }

  private static var configurationLimit: Int { 200_000 }

  private let steps: [Step]

  /// A search over the steps, in any order.
  init(_ steps: [Step]) { self.steps = steps.sorted { $0.start < $1.start } }

  /// True when there is such an order, nil when the search was given up.
  func run() -> Bool? {
    let words = Array(repeating: UInt64(0), count: (steps.count + 63) / 64)
    var open = [Configuration(taken: words, state: 0)]
    var seen: Set<Configuration> = []
    while var configuration = open.popLast() {
      settle(&configuration)
      guard seen.insert(configuration).inserted else { continue }
      guard seen.count <= Self.configurationLimit else { return nil }
      let candidates = candidates(in: configuration)
      if isComplete(configuration) { return true }
      for index in candidates.reversed() {
        guard let next = steps[index].state(after: configuration.state),
          next != configuration.state || steps[index].end != nil
        else { continue }
        var successor = configuration
        successor.take(index, next)
        open.append(successor)
      }
    }
    return false
  }

  private func isComplete(_ configuration: Configuration) -> Bool {
    steps.indices.allSatisfy { steps[$0].end == nil || configuration.contains($0) }
  }

  /// Lets everything take effect that changes nothing.
  private func settle(_ configuration: inout Configuration) {
    var hasMoved = true
    while hasMoved {
      hasMoved = false
      for index in candidates(in: configuration) where steps[index].isPure {
        guard steps[index].state(after: configuration.state) == configuration.state else {
          continue
        }
        configuration.take(index, configuration.state)
        hasMoved = true
      }
    }
  }

  /// The operations that can be next: called before the first return that is still to come.
  private func candidates(in configuration: Configuration) -> [Int] {
    var firstReturn = UInt64.max
    for index in steps.indices where !configuration.contains(index) {
      if steps[index].start > firstReturn { break }
      firstReturn = min(firstReturn, steps[index].end ?? .max)
    }
    var found: [Int] = []
    for index in steps.indices {
      if steps[index].start > firstReturn { break }
      if !configuration.contains(index) { found.append(index) }
    }
    return found
  }
}
