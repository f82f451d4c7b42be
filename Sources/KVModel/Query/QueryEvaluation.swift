import KVBase

/// The names of the attributes of one query, each with a number.
struct QueryAttributes: Hashable, Sendable {
  /// The most attributes that the expressions of one query may name.
  static let limit = 128
  /// The numbers of the attributes that are there from the start.
  static let term = 0
  static let key = 1

  private(set) var names: [Bytes] = [Bytes("term".utf8), Bytes("key".utf8)]

  /// The number of an attribute, which is new when nobody has named it; nil when there are too many.
  mutating func number(of name: Bytes) -> Int? {
    if let known = names.firstIndex(of: name) { return known }
    guard names.count < Self.limit else { return nil }
    names.append(name)
    return names.count - 1
  }
}

/// One function of an evaluation.
enum QueryFunction: Hashable, Sendable {
  /// What a sum is made of.
  enum Summand: Hashable, Sendable {
    case constant(Int)
    case attribute(Int)
  }

  /// One line of a table that `map` looks things up in.
  struct Mapping: Hashable, Sendable {
    var compared: QueryValue
    var result: QueryValue
  }

  /// A named group of a pattern, and the attribute it goes to.
  struct Capture: Hashable, Sendable {
    var group: Int
    var attribute: Int
  }

  case delim(Int, Bytes, [Int])
  case join([Int], Bytes, Int)
  case split(Int, Bytes, Int)
  case slice(Int, Int, Int)
  case index(Int, start: Int, count: Int, Int)
  case kvsplit(Int, pairs: Bytes, value: Bytes)
  case regex(Int, TermPattern, [Capture])
  case map(Int, QueryComparison, [Mapping], default: QueryValue, Int)
  case toInteger(Int, Int)
  case toString(Int, Int)
  case sum(Summand, Summand, isDifference: Bool, Int)
}

/// The attributes of one index entry while its query looks at it.
struct QueryScope {
  /// The longest value that a function makes; a function that would make a longer one is skipped.
  static let valueLimit = 16_384

  let attributes: QueryAttributes
  private(set) var values: [QueryValue?]
  /// About how many bytes have been looked at.
  private(set) var cost = 0

  init(_ attributes: QueryAttributes, term: Bytes, key: Bytes) {
    self.attributes = attributes
    values = Array(repeating: nil, count: attributes.names.count)
    values[QueryAttributes.term] = .text(term)
    values[QueryAttributes.key] = .text(key)
  }

  /// The text of an attribute: empty for none, nil for what is no text.
  private mutating func text(_ attribute: Int) -> Bytes? {
    switch values[attribute] {
    case nil: return []
    case .text(let text)?:
      cost += text.count
      return text
    default: return nil
    }
  }

  /// Performs a function; one whose input is of a wrong kind changes nothing.
  ///
  /// **Source**: reference section 2.8.
  mutating func perform(_ function: QueryFunction) {
    cost += 8
    switch function {
    case .delim(let input, let separator, let outputs):
      guard let text = text(input) else { return }
      for (output, piece) in zip(outputs, QueryText.split(text, separator)) {
        values[output] = .text(piece)
      }
    case .join(let inputs, let separator, let output): join(inputs, separator, output)
    case .split(let input, let separator, let output):
      guard let text = text(input) else { return }
      values[output] = .list(QueryText.split(text, separator))
    case .slice(let input, let width, let output):
      guard let text = text(input) else { return }
      let characters = QueryText.characters(text)
      values[output] = .list(
        (0..<characters.count / width).map { number in
          Bytes(characters[number * width..<(number + 1) * width].joined())
        })
    case .index(let input, let start, let count, let output):
      guard let text = text(input) else { return }
      let characters = QueryText.characters(text)
      guard start <= characters.count, count <= characters.count - start else { return }
      values[output] = .text(Bytes(characters[start..<start + count].joined()))
    case .kvsplit(let input, let pairs, let value): split(input, pairs, value)
    case .regex(let input, let pattern, let captures): match(input, pattern, captures)
    case .map(let input, let comparison, let mappings, let fallback, let output):
      let value = values[input] ?? .text([])
      cost += 8 * mappings.count
      let found = mappings.first { comparison.holds(value, $0.compared) }
      values[output] = found?.result ?? fallback
    case .toInteger(let input, let output):
      guard let text = text(input), let number = QueryText.leadingInteger(text) else { return }
      values[output] = .integer(number)
    case .toString(let input, let output):
      guard case .integer(let number)? = values[input] else { return }
      values[output] = .text(Bytes("\(number)".utf8))
    case .sum(let a, let b, let isDifference, let output):
      guard let x = number(a), let y = number(b) else { return }
      let (sum, isTooLarge) =
        isDifference ? x.subtractingReportingOverflow(y) : x.addingReportingOverflow(y)
      if !isTooLarge { values[output] = .integer(sum) }
    }
  }

  private mutating func join(_ inputs: [Int], _ separator: Bytes, _ output: Int) {
    var texts: [Bytes] = []
    for input in inputs {
      guard let text = text(input) else { return }
      texts.append(text)
    }
    let count = texts.reduce(0) { $0 + $1.count } + separator.count * (texts.count - 1)
    guard count <= Self.valueLimit else { return }
    values[output] = .text(Bytes(texts.joined(separator: separator)))
  }

  /// Pairs whose names nobody asks for are passed over.
  private mutating func split(_ input: Int, _ pairs: Bytes, _ value: Bytes) {
    guard let text = text(input) else { return }
    for pair in QueryText.split(text, pairs) {
      let sides = QueryText.split(pair, value)
      guard sides.count == 2, let output = attributes.names.firstIndex(of: sides[0]) else {
        continue
      }
      if output > QueryAttributes.key { values[output] = .text(sides[1]) }
    }
  }

  private mutating func match(
    _ input: Int, _ pattern: TermPattern, _ captures: [QueryFunction.Capture]
  ) {
    guard let text = text(input), text.count <= Self.valueLimit else { return }
    cost += text.count * pattern.stepCount / 8
    guard let found = pattern.captures(in: text) else { return }
    for capture in captures {
      values[capture.attribute] = .text(found[capture.group].map { Bytes(text[$0]) } ?? [])
    }
  }

  private func number(_ summand: QueryFunction.Summand) -> Int? {
    switch summand {
    case .constant(let number): number
    case .attribute(let attribute):
      switch values[attribute] {
      case nil: 0
      case .integer(let number)?: number
      default: nil
      }
    }
  }
}

/// Reads evaluations: functions with `|` between them.
struct QueryEvaluationParser {
  /// The most functions of an evaluation.
  static let functionLimit = 64

  private var tokens: QueryTokens
  private var attributes: QueryAttributes

  /// The functions of the expression; attributes that are new get numbers.
  static func parse(
    _ text: Bytes, _ substitutions: [QuerySubstitution], _ attributes: inout QueryAttributes
  ) throws(QueryFailure) -> [QueryFunction] {
    var parser = QueryEvaluationParser(
      tokens: try QueryTokens(text, substitutions), attributes: attributes)
    var functions = [try parser.function()]
    while parser.tokens.take("|") {
      guard functions.count < functionLimit else {
        throw parser.tokens.failure("more than \(functionLimit) functions")
      }
      functions.append(try parser.function())
    }
    try parser.tokens.expectEnd()
    attributes = parser.attributes
    return functions
  }

  private mutating func function() throws(QueryFailure) -> QueryFunction {
    guard case .word(let name) = tokens.next else { throw tokens.expected("a function") }
    let known: Set = [
      "delim", "join", "split", "slice", "index", "kvsplit", "regex", "map", "to_integer",
      "to_string", "subtract", "add",
    ]
    guard known.contains(name) else { throw tokens.expected("a function") }
    _ = tokens.take()
    try tokens.expect("(")
    let result = try arguments(of: name)
    try tokens.expect(")")
    return result
  }

  private mutating func arguments(of name: String) throws(QueryFailure) -> QueryFunction {
    switch name {
    case "join":
      let inputs = try inputs()
      let separator = try nextText()
      return .join(inputs, separator, try nextOutput())
    case "add", "subtract":
      let first = try summand()
      try tokens.expect(",")
      let second = try summand()
      return .sum(first, second, isDifference: name == "subtract", try nextOutput())
    default: break
    }
    let input = try input()
    switch name {
    case "delim":
      let separator = try nextText()
      try tokens.expect(",")
      return .delim(input, separator, try outputs())
    case "split":
      let separator = try nextText()
      return .split(input, separator, try nextOutput())
    case "slice":
      let width = try nextInteger(atLeast: 1)
      return .slice(input, width, try nextOutput())
    case "index":
      let start = try nextInteger(atLeast: 0)
      let count = try nextInteger(atLeast: 0)
      return .index(input, start: start, count: count, try nextOutput())
    case "kvsplit":
      let pairs = try nextText()
      return .kvsplit(input, pairs: pairs, value: try nextText())
    case "regex": return try regex(input)
    case "map": return try map(input)
    case "to_integer": return .toInteger(input, try nextOutput())
    default: return .toString(input, try nextOutput())
    }
  }

  // MARK: Arguments

  private mutating func input() throws(QueryFailure) -> Int {
    let failure = tokens.failure("more than \(QueryAttributes.limit) attributes")
    guard let number = attributes.number(of: try tokens.attribute()) else { throw failure }
    return number
  }

  /// An attribute to be set, which cannot be the term or the key.
  private mutating func output() throws(QueryFailure) -> Int {
    let failure = tokens.failure("$term and $key cannot be set")
    let number = try input()
    guard number > QueryAttributes.key else { throw failure }
    return number
  }

  private mutating func nextOutput() throws(QueryFailure) -> Int {
    try tokens.expect(",")
    return try output()
  }

  private mutating func nextText() throws(QueryFailure) -> Bytes {
    try tokens.expect(",")
    return try tokens.text()
  }

  private mutating func nextInteger(atLeast least: Int) throws(QueryFailure) -> Int {
    try tokens.expect(",")
    return try tokens.integer(atLeast: least)
  }

  private mutating func inputs() throws(QueryFailure) -> [Int] {
    try tokens.expect("(")
    var list = [try input()]
    while tokens.take(",") { list.append(try input()) }
    try tokens.expect(")")
    return list
  }

  private mutating func outputs() throws(QueryFailure) -> [Int] {
    try tokens.expect("(")
    var list = [try output()]
    while tokens.take(",") { list.append(try output()) }
    try tokens.expect(")")
    return list
  }

  private mutating func summand() throws(QueryFailure) -> QueryFunction.Summand {
    if case .constant(.integer(let number)) = tokens.next {
      _ = tokens.take()
      return .constant(number)
    }
    return .attribute(try input())
  }

  /// `regex($in, "pattern", ($name, …))`; `pcre` may stand before the names.
  private mutating func regex(_ input: Int) throws(QueryFailure) -> QueryFunction {
    try tokens.expect(",")
    let place = tokens.failure("")
    let text = try tokens.text()
    let pattern: TermPattern
    do throws(TermPattern.Failure) {
      pattern = try TermPattern(text)
    } catch {
      throw QueryFailure(
        reason: "\(error.reason) in the regular expression", offset: place.offset + 1 + error.offset
      )
    }
    try tokens.expect(",")
    if tokens.take(.word("pcre")) { try tokens.expect(",") }
    let names = tokens
    var captures: [QueryFunction.Capture] = []
    for attribute in try outputs() {
      guard let group = pattern.groupNames.firstIndex(of: attributes.names[attribute]) else {
        throw names.failure(
          "the regular expression has no group "
            + String(decoding: attributes.names[attribute], as: UTF8.self))
      }
      captures.append(.init(group: group, attribute: attribute))
    }
    return .regex(input, pattern, captures)
  }

  /// `map($in, <=, (("a", 1), …), default, $out)`.
  private mutating func map(_ input: Int) throws(QueryFailure) -> QueryFunction {
    try tokens.expect(",")
    guard case .comparison(let comparison) = tokens.next else {
      throw tokens.expected("a comparison")
    }
    _ = tokens.take()
    try tokens.expect(",")
    try tokens.expect("(")
    var mappings: [QueryFunction.Mapping] = []
    repeat {
      try tokens.expect("(")
      let compared = try tokens.constant()
      try tokens.expect(",")
      mappings.append(.init(compared: compared, result: try tokens.constant()))
      try tokens.expect(")")
    } while tokens.take(",")
    try tokens.expect(")")
    try tokens.expect(",")
    let fallback = try tokens.constant()
    return .map(input, comparison, mappings, default: fallback, try nextOutput())
  }
}
