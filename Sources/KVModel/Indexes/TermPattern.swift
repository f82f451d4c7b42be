public import KVBase

/// A regular expression over the bytes of a term, matched anywhere in it.
///
/// Groups with names, `(?<name>…)`, tell what they matched.
///
/// Matching takes time proportional to the pattern times the term, whatever the pattern: it follows
/// all alternatives at once and never goes back. So there are no back-references and no looking
/// around; such patterns are refused.
///
/// **Source**: Thompson, *Regular Expression Search Algorithm* (1968); the syntax is PCRE's.
public struct TermPattern: Hashable, Sendable {
  /// A pattern that cannot be used: what is wrong and where.
  public struct Failure: Error, Hashable, Sendable {
    /// What is wrong, as PCRE words it where it has words for it.
    public var reason: String
    /// The offset in the pattern.
    public var offset: Int
  }

  /// The longest pattern.
  public static let byteLimit = 1024
  /// The most steps a pattern may compile to.
  static let stepLimit = 4096

  enum Step: Hashable, Sendable {
    case byte(ByteClass)
    case split(Int, Int)
    case jump(Int)
    case start
    case end
    case wordBoundary(Bool)
    /// Notes the position: 2n where the group n begins, 2n + 1 where it ends.
    case mark(Int)
    case match
  }

  /// The pattern as it was given.
  public let text: Bytes
  /// The names of its named groups, in the order in which they begin.
  public let groupNames: [Bytes]
  let steps: [Step]

  /// Compiles a pattern.
  public init(_ text: Bytes) throws(Failure) {
    guard text.count <= Self.byteLimit else {
      throw Failure(reason: "regular expression is too large", offset: Self.byteLimit)
    }
    var parser = TermPatternParser(text)
    let node = try parser.parse()
    var steps: [Step] = []
    try Self.compile(node, into: &steps)
    steps.append(.match)
    self.text = text
    self.steps = steps
    groupNames = parser.groupNames
  }

  /// How many steps the pattern has: a match looks at each byte so many times, at most.
  var stepCount: Int { steps.count }

  /// True when the pattern matches somewhere in the term.
  public func matches(_ term: Bytes) -> Bool {
    var current = StepSet(count: steps.count)
    var next = StepSet(count: steps.count)
    for position in 0...term.count {
      if add(0, term, position, to: &current) { return true }
      guard position < term.count else { return false }
      for index in current.members {
        guard case .byte(let bytes) = steps[index], bytes.contains(term[position]) else {
          continue
        }
        if add(index + 1, term, position + 1, to: &next) { return true }
      }
      swap(&current, &next)
      next.removeAll()
    }
    return false
  }

  /// Adds the step and what can be reached from it without a byte; true when the match is complete.
  private func add(
    _ first: Int, _ term: Bytes, _ position: Int, to set: inout StepSet
  ) -> Bool {
    var waiting = [first]
    while let index = waiting.popLast() {
      guard set.insert(index) else { continue }
      switch steps[index] {
      case .byte: break
      case .match: return true
      case .jump(let target): waiting.append(target)
      case .mark: waiting.append(index + 1)
      case .split(let a, let b):
        waiting.append(b)
        waiting.append(a)
      case .start, .end, .wordBoundary:
        if Self.holds(steps[index], term, position) { waiting.append(index + 1) }
      }
    }
    return false
  }

  /// True when a step that takes no byte can be taken at the position.
  static func holds(_ step: Step, _ term: Bytes, _ position: Int) -> Bool {
    switch step {
    case .start: return position == 0
    case .end: return position == term.count
    case .wordBoundary(let wanted):
      let before = position > 0 && ByteClass.word.contains(term[position - 1])
      let after = position < term.count && ByteClass.word.contains(term[position])
      return (before != after) == wanted
    case .byte, .split, .jump, .mark, .match: return true
    }
  }

  private static func compile(
    _ node: TermPatternNode, into steps: inout [Step]
  ) throws(Failure) {
    guard steps.count < stepLimit else {
      throw Failure(reason: "regular expression is too large", offset: 0)
    }
    switch node {
    case .empty: break
    case .byte(let bytes): steps.append(.byte(bytes))
    case .start: steps.append(.start)
    case .end: steps.append(.end)
    case .wordBoundary(let wanted): steps.append(.wordBoundary(wanted))
    case .sequence(let nodes): for node in nodes { try compile(node, into: &steps) }
    case .either(let a, let b):
      let split = steps.count
      steps.append(.jump(0))
      try compile(a, into: &steps)
      let jump = steps.count
      steps.append(.jump(0))
      steps[split] = .split(split + 1, steps.count)
      try compile(b, into: &steps)
      steps[jump] = .jump(steps.count)
    case .group(let number, let node):
      steps.append(.mark(2 * number))
      try compile(node, into: &steps)
      steps.append(.mark(2 * number + 1))
    case .repeated(let node, let least, let most, let isGreedy):
      for _ in 0..<least { try compile(node, into: &steps) }
      func split(_ index: Int) -> Step {
        isGreedy ? .split(index + 1, steps.count) : .split(steps.count, index + 1)
      }
      guard let most else {
        let start = steps.count
        steps.append(.jump(0))
        try compile(node, into: &steps)
        steps.append(.jump(start))
        steps[start] = split(start)
        return
      }
      var splits: [Int] = []
      for _ in least..<most {
        splits.append(steps.count)
        steps.append(.jump(0))
        try compile(node, into: &steps)
      }
      for index in splits { steps[index] = split(index) }
    }
  }
}

/// Steps, each once, in the order of their insertion.
private struct StepSet {
  private(set) var members: [Int] = []
  private var isMember: [Bool]

  init(count: Int) { isMember = Array(repeating: false, count: count) }

  mutating func insert(_ step: Int) -> Bool {
    guard !isMember[step] else { return false }
    isMember[step] = true
    members.append(step)
    return true
  }

  mutating func removeAll() {
    for member in members { isMember[member] = false }
    members.removeAll(keepingCapacity: true)
  }
}

/// A set of byte values.
struct ByteClass: Hashable, Sendable {
  private var low: UInt128 = 0
  private var high: UInt128 = 0

  init() {}
  init(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

  func contains(_ byte: UInt8) -> Bool {
    (byte < 128 ? low >> UInt128(byte) : high >> UInt128(byte - 128)) & 1 == 1
  }

  mutating func insert(_ byte: UInt8) {
    if byte < 128 { low |= 1 << UInt128(byte) } else { high |= 1 << UInt128(byte - 128) }
  }

  mutating func formUnion(_ other: ByteClass) {
    low |= other.low
    high |= other.high
  }

  var inverted: ByteClass {
    var result = ByteClass()
    result.low = ~low
    result.high = ~high
    return result
  }

  static let digit = ByteClass(48...57)
  static let space: ByteClass = {
    var result = ByteClass(9...13)
    result.insert(32)
    return result
  }()
  static let word: ByteClass = {
    var result = ByteClass(48...57)
    result.formUnion(ByteClass(65...90))
    result.formUnion(ByteClass(97...122))
    result.insert(95)
    return result
  }()
  /// Any byte but a line feed.
  static let any: ByteClass = {
    var result = ByteClass()
    result.insert(10)
    return result.inverted
  }()
}
