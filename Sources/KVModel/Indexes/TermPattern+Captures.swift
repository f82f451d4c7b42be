public import KVBase

/// What the named groups of a pattern match.
extension TermPattern {
  /// A way through the pattern that has not failed yet.
  private struct Way {
    var step: Int
    /// Where groups began and ended; -1 for not yet.
    var marks: [Int]
  }

  /// Ways through the pattern, the preferred first; of those at the same step just one.
  private struct WayList {
    private(set) var ways: [Way] = []
    private var isPresent: [Bool]

    init(count: Int) { isPresent = Array(repeating: false, count: count) }

    /// False when a preferred way was at the step already.
    mutating func visit(_ step: Int) -> Bool {
      guard !isPresent[step] else { return false }
      isPresent[step] = true
      return true
    }

    mutating func append(_ way: Way) { ways.append(way) }

    mutating func removeAll() {
      ways.removeAll(keepingCapacity: true)
      for index in isPresent.indices { isPresent[index] = false }
    }
  }

  /// What each of ``groupNames`` matched in the first match of the pattern, nil where it took no part;
  /// nil when nothing matches.
  ///
  /// Takes time proportional to the pattern times the term. What is preferred among the matches that
  /// begin first is what PCRE prefers.
  ///
  /// **Source**: Pike's addition to Thompson's algorithm, after Cox, *Regular Expression Matching: the
  /// Virtual Machine Approach* (2009).
  public func captures(in term: Bytes) -> [Range<Int>?]? {
    var current = WayList(count: steps.count)
    var next = WayList(count: steps.count)
    let unmarked = Array(repeating: -1, count: 2 * groupNames.count)
    var best: [Int]?
    for position in 0...term.count {
      if best == nil {
        follow(Way(step: 0, marks: unmarked), term, position, into: &current)
      }
      if current.ways.isEmpty, best != nil { break }
      search: for way in current.ways {
        switch steps[way.step] {
        case .byte(let bytes):
          guard position < term.count, bytes.contains(term[position]) else { continue }
          follow(
            Way(step: way.step + 1, marks: way.marks), term, position + 1, into: &next)
        case .match:
          best = way.marks
          // What follows in the list is less preferred.
          break search
        case .split, .jump, .mark, .start, .end, .wordBoundary: continue
        }
      }
      swap(&current, &next)
      next.removeAll()
    }
    return best.map { marks in
      groupNames.indices.map { group in
        let (start, end) = (marks[2 * group], marks[2 * group + 1])
        return start >= 0 && end >= start ? start..<end : nil
      }
    }
  }

  /// Adds where the way leads without a byte, the preferred first.
  private func follow(
    _ way: Way, _ term: Bytes, _ position: Int, into list: inout WayList
  ) {
    var waiting = [way]
    while var way = waiting.popLast() {
      guard list.visit(way.step) else { continue }
      switch steps[way.step] {
      case .byte, .match: list.append(way)
      case .jump(let target): waiting.append(Way(step: target, marks: way.marks))
      case .split(let preferred, let other):
        waiting.append(Way(step: other, marks: way.marks))
        waiting.append(Way(step: preferred, marks: way.marks))
      case .mark(let number):
        way.marks[number] = position
        way.step += 1
        waiting.append(way)
      case .start, .end, .wordBoundary:
        guard Self.holds(steps[way.step], term, position) else { continue }
        way.step += 1
        waiting.append(way)
      }
    }
  }
}
