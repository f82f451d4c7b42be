import KVBase

/// What a pattern says.
indirect enum TermPatternNode {
  case empty
  case byte(ByteClass)
  case start
  case end
  case wordBoundary(Bool)
  case sequence([TermPatternNode])
  case either(TermPatternNode, TermPatternNode)
  /// From `least` to `most` times, nil for any number; as often as it can be when it is greedy.
  case repeated(TermPatternNode, least: Int, most: Int?, isGreedy: Bool)
  /// A group with a name.
  case group(Int, TermPatternNode)
}

/// Reads the syntax of patterns.
struct TermPatternParser {
  private static let depthLimit = 50
  private static let countLimit = 1000
  private static let groupLimit = 16

  /// The names of the groups that have one.
  private(set) var groupNames: [Bytes] = []
  private let text: Bytes
  private var position = 0
  private var depth = 0

  init(_ text: Bytes) { self.text = text }

  mutating func parse() throws(TermPattern.Failure) -> TermPatternNode {
    let node = try alternatives()
    guard position == text.count else { throw failure("unmatched parentheses") }
    return node
  }

  private func failure(_ reason: String) -> TermPattern.Failure {
    TermPattern.Failure(reason: reason, offset: position)
  }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func take(_ character: Character) -> Bool {
    guard let next, next == character.asciiValue else { return false }
    position += 1
    return true
  }

  private mutating func alternatives() throws(TermPattern.Failure) -> TermPatternNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.depthLimit else { throw failure("parentheses are too deeply nested") }
    var node = try sequence()
    while take("|") { node = .either(node, try sequence()) }
    return node
  }

  private mutating func sequence() throws(TermPattern.Failure) -> TermPatternNode {
    var nodes: [TermPatternNode] = []
    while let next, next != UInt8(ascii: "|"), next != UInt8(ascii: ")") {
      nodes.append(try repeated(try atom()))
    }
    return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
  }

  private mutating func repeated(
    _ node: TermPatternNode
  ) throws(TermPattern.Failure) -> TermPatternNode {
    var least = 1
    var most: Int? = 1
    if take("*") {
      (least, most) = (0, nil)
    } else if take("+") {
      (least, most) = (1, nil)
    } else if take("?") {
      (least, most) = (0, 1)
    } else if let counts = try counts() {
      (least, most) = counts
    } else {
      return node
    }
    // Whether a repetition is greedy matters to what groups tell, not to what matches.
    let isLazy = take("?")
    if !isLazy { _ = take("+") }
    if let next, next == UInt8(ascii: "*") { throw failure("nothing to repeat") }
    return .repeated(node, least: least, most: most, isGreedy: !isLazy)
  }

  /// `{2}`, `{2,}` or `{2,5}`; a brace that begins none of these stands for itself.
  private mutating func counts() throws(TermPattern.Failure) -> (Int, Int?)? {
    let start = position
    guard take("{"), let least = number() else {
      position = start
      return nil
    }
    var most: Int? = least
    if take(",") { most = number() }
    guard take("}") else {
      position = start
      return nil
    }
    guard least <= Self.countLimit, (most ?? 0) <= Self.countLimit else {
      throw failure("number too big in {} quantifier")
    }
    guard most.map({ least <= $0 }) ?? true else {
      throw failure("numbers out of order in {} quantifier")
    }
    return (least, most)
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let next, (48...57).contains(next) {
      value = min((value ?? 0) * 10 + Int(next - 48), Self.countLimit + 1)
      position += 1
    }
    return value
  }

  private mutating func atom() throws(TermPattern.Failure) -> TermPatternNode {
    if take("(") { return try group() }
    if take("[") { return .byte(try characterClass()) }
    if take(".") { return .byte(.any) }
    if take("^") { return .start }
    if take("$") { return .end }
    if take("\\") { return try escape() }
    guard let next else { return .empty }
    if [UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?")].contains(next) {
      throw failure("nothing to repeat")
    }
    position += 1
    return .byte(ByteClass(next...next))
  }

  private mutating func group() throws(TermPattern.Failure) -> TermPatternNode {
    var number: Int?
    if take("?"), !take(":") { number = try name() }
    let node = try alternatives()
    guard take(")") else { throw failure("missing )") }
    return number.map { .group($0, node) } ?? node
  }

  /// The number of a group whose name follows: `<name>`, `P<name>` or `'name'`.
  private mutating func name() throws(TermPattern.Failure) -> Int {
    let end: Character
    if take("'") {
      end = "'"
    } else {
      let start = position
      _ = take("P")
      guard take("<"), let next, next != UInt8(ascii: "="), next != UInt8(ascii: "!") else {
        position = start
        throw failure("unsupported kind of group")
      }
      end = ">"
    }
    let name = text[position...].prefix { ByteClass.word.contains($0) }
    guard let first = name.first, !ByteClass.digit.contains(first) else {
      throw failure("group name must start with a non-digit")
    }
    position += name.count
    guard take(end) else { throw failure("syntax error in subpattern name (missing terminator?)") }
    guard !groupNames.contains(Bytes(name)) else {
      throw failure("two named subpatterns have the same name")
    }
    guard groupNames.count < Self.groupLimit else { throw failure("too many named subpatterns") }
    groupNames.append(Bytes(name))
    return groupNames.count - 1
  }

  private mutating func escape() throws(TermPattern.Failure) -> TermPatternNode {
    if take("b") { return .wordBoundary(true) }
    if take("B") { return .wordBoundary(false) }
    if take("A") { return .start }
    if take("z") || take("Z") { return .end }
    return .byte(try escapedClass())
  }

  /// What follows a backslash, in a class or outside.
  private mutating func escapedClass() throws(TermPattern.Failure) -> ByteClass {
    guard let next else { throw failure("\\ at end of pattern") }
    position += 1
    switch Character(UnicodeScalar(next)) {
    case "d": return .digit
    case "D": return ByteClass.digit.inverted
    case "s": return .space
    case "S": return ByteClass.space.inverted
    case "w": return .word
    case "W": return ByteClass.word.inverted
    case "n": return ByteClass(10...10)
    case "r": return ByteClass(13...13)
    case "t": return ByteClass(9...9)
    case "f": return ByteClass(12...12)
    case "e": return ByteClass(27...27)
    case "x": return try hexadecimal()
    case "0": return ByteClass(0...0)
    default:
      guard !ByteClass.word.contains(next) else {
        position -= 1
        throw failure("unsupported escape sequence")
      }
      return ByteClass(next...next)
    }
  }

  private mutating func hexadecimal() throws(TermPattern.Failure) -> ByteClass {
    let digits = text[position...].prefix(2)
    guard let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) else {
      throw failure("unsupported escape sequence")
    }
    position += digits.count
    return ByteClass(value...value)
  }

  private mutating func characterClass() throws(TermPattern.Failure) -> ByteClass {
    var result = ByteClass()
    let isInverted = take("^")
    var isFirst = true
    while let next {
      if next == UInt8(ascii: "]"), !isFirst {
        position += 1
        return isInverted ? result.inverted : result
      }
      isFirst = false
      let first = try member()
      guard position + 1 < text.count, text[position] == UInt8(ascii: "-"),
        text[position + 1] != UInt8(ascii: "]"), let lower = first.single
      else {
        result.formUnion(first.bytes)
        continue
      }
      position += 1
      guard let upper = try member().single, lower <= upper else {
        throw failure("range out of order in character class")
      }
      result.formUnion(ByteClass(lower...upper))
    }
    throw failure("missing terminating ] for character class")
  }

  private mutating func member() throws(TermPattern.Failure) -> (bytes: ByteClass, single: UInt8?) {
    if take("\\") {
      if take("b") { return (ByteClass(8...8), 8) }
      let bytes = try escapedClass()
      let members = (UInt8.min...UInt8.max).filter { bytes.contains($0) }
      return (bytes, members.count == 1 ? members[0] : nil)
    }
    guard let next else { throw failure("missing terminating ] for character class") }
    position += 1
    return (ByteClass(next...next), next)
  }
}
