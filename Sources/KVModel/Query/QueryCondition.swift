import KVBase

/// What a filter asks of the attributes.
indirect enum QueryCondition: Hashable, Sendable {
  /// What is compared.
  enum Operand: Hashable, Sendable {
    case attribute(Int)
    case constant(QueryValue)
  }

  /// How two texts are compared.
  enum Part: String, Hashable, Sendable {
    case contains
    case begins = "begins_with"
    case ends = "ends_with"
  }

  case compare(Operand, QueryComparison, Operand)
  case between(Operand, QueryValue, QueryValue)
  case oneOf(Operand, [Operand])
  case element(Operand, of: Int)
  case text(Part, Int, Bytes)
  case exists(Int)
  case isEmpty(Int)
  case not(QueryCondition)
  case and(QueryCondition, QueryCondition)
  case or(QueryCondition, QueryCondition)

  /// True when the attributes meet the condition; comparisons of values of different kinds, and of
  /// what is not there, never hold.
  ///
  /// **Source**: reference section 2.8.
  func holds(_ values: [QueryValue?]) -> Bool {
    func value(_ operand: Operand) -> QueryValue? {
      switch operand {
      case .attribute(let attribute): values[attribute]
      case .constant(let value): value
      }
    }
    switch self {
    case .compare(let a, let comparison, let b):
      guard let x = value(a), let y = value(b), x.isKind(of: y) else { return false }
      return comparison.holds(x, y)
    case .between(let operand, let a, let b):
      guard let x = value(operand), x.isKind(of: a) else { return false }
      return b < a ? b <= x && x <= a : a <= x && x <= b
    case .oneOf(let operand, let list):
      guard let x = value(operand) else { return false }
      return list.contains { value($0) == x }
    case .element(let operand, let list):
      guard case .text(let x)? = value(operand), case .list(let texts)? = values[list] else {
        return false
      }
      return texts.contains(x)
    case .text(let how, let attribute, let part):
      guard case .text(let text)? = values[attribute] else { return false }
      switch how {
      case .contains: return QueryText.contains(text, part)
      case .begins: return text.starts(with: part)
      case .ends: return text.count >= part.count && text.suffix(part.count) == part[...]
      }
    case .exists(let attribute): return values[attribute] != nil
    case .isEmpty(let attribute): return values[attribute] == .text([])
    case .not(let condition): return !condition.holds(values)
    case .and(let a, let b): return a.holds(values) && b.holds(values)
    case .or(let a, let b): return a.holds(values) || b.holds(values)
    }
  }
}

extension QueryValue {
  fileprivate func isKind(of other: QueryValue) -> Bool {
    switch (self, other) {
    case (.text, .text), (.integer, .integer), (.list, .list): true
    default: false
    }
  }
}

/// Reads filters: `NOT` binds closest, then `AND`, then `OR`.
struct QueryConditionParser {
  /// How deep conditions may be nested.
  static let depthLimit = 50

  private var tokens: QueryTokens
  private var attributes: QueryAttributes
  private var depth = 0

  /// The condition of the expression; attributes that are new get numbers.
  static func parse(
    _ text: Bytes, _ substitutions: [QuerySubstitution], _ attributes: inout QueryAttributes
  ) throws(QueryFailure) -> QueryCondition {
    var parser = QueryConditionParser(
      tokens: try QueryTokens(text, substitutions), attributes: attributes)
    let condition = try parser.alternatives()
    try parser.tokens.expectEnd()
    attributes = parser.attributes
    return condition
  }

  private init(tokens: QueryTokens, attributes: QueryAttributes) {
    self.tokens = tokens
    self.attributes = attributes
  }

  /// One level deeper for `body`.
  private mutating func nested(
    _ body: (inout QueryConditionParser) throws(QueryFailure) -> QueryCondition
  ) throws(QueryFailure) -> QueryCondition {
    guard depth < Self.depthLimit else { throw tokens.failure("conditions are nested too deeply") }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }

  /// Conditions with the word between them, as a tree that is as flat as it can be.
  private mutating func chain(
    _ word: String, _ join: (QueryCondition, QueryCondition) -> QueryCondition,
    _ part: (inout QueryConditionParser) throws(QueryFailure) -> QueryCondition
  ) throws(QueryFailure) -> QueryCondition {
    var parts = [try part(&self)]
    while tokens.take(.word(word)) { parts.append(try part(&self)) }
    while parts.count > 1 {
      parts = stride(from: 0, to: parts.count, by: 2).map { index in
        index + 1 < parts.count ? join(parts[index], parts[index + 1]) : parts[index]
      }
    }
    return parts[0]
  }

  private mutating func alternatives() throws(QueryFailure) -> QueryCondition {
    try nested { (parser) throws(QueryFailure) in
      try parser.chain("OR", QueryCondition.or) { (parser) throws(QueryFailure) in
        try parser.chain("AND", QueryCondition.and) { (parser) throws(QueryFailure) in
          try parser.single()
        }
      }
    }
  }

  private mutating func single() throws(QueryFailure) -> QueryCondition {
    if tokens.take(.word("NOT")) {
      return .not(try nested { (parser) throws(QueryFailure) in try parser.single() })
    }
    if tokens.take("(") {
      let condition = try alternatives()
      try tokens.expect(")")
      return condition
    }
    guard case .word(let name) = tokens.next else { return try comparison() }
    if let part = QueryCondition.Part(rawValue: name) {
      _ = tokens.take()
      try tokens.expect("(")
      let attribute = try attribute()
      try tokens.expect(",")
      let text = try tokens.text()
      try tokens.expect(")")
      return .text(part, attribute, text)
    }
    guard ["attribute_exists", "attribute_not_exists", "attribute_empty"].contains(name) else {
      throw tokens.expected("a condition")
    }
    _ = tokens.take()
    try tokens.expect("(")
    let attribute = try attribute()
    try tokens.expect(")")
    switch name {
    case "attribute_exists": return .exists(attribute)
    case "attribute_not_exists": return .not(.exists(attribute))
    default: return .isEmpty(attribute)
    }
  }

  private mutating func comparison() throws(QueryFailure) -> QueryCondition {
    let operand = try operand()
    if case .comparison(let comparison) = tokens.next {
      _ = tokens.take()
      return .compare(operand, comparison, try self.operand())
    }
    if tokens.take(.word("BETWEEN")) { return try between(operand) }
    guard tokens.take(.word("IN")) else {
      throw tokens.expected("a comparison, BETWEEN or IN")
    }
    guard tokens.take("(") else { return .element(operand, of: try attribute()) }
    var list = [try self.operand()]
    while tokens.take(",") { list.append(try self.operand()) }
    try tokens.expect(")")
    return .oneOf(operand, list)
  }

  private mutating func between(
    _ operand: QueryCondition.Operand
  ) throws(QueryFailure) -> QueryCondition {
    let first = try tokens.constant()
    try tokens.expectWord("AND")
    let expected = tokens.expected("a bound of the same kind as the first")
    let second = try tokens.constant()
    guard first.isKind(of: second) else { throw expected }
    return .between(operand, first, second)
  }

  private mutating func operand() throws(QueryFailure) -> QueryCondition.Operand {
    switch tokens.next {
    case .attribute: return .attribute(try attribute())
    case .constant(let value):
      _ = tokens.take()
      return .constant(value)
    default: throw tokens.expected("an attribute, a text or an integer")
    }
  }

  private mutating func attribute() throws(QueryFailure) -> Int {
    let failure = tokens.failure("more than \(QueryAttributes.limit) attributes")
    guard let number = attributes.number(of: try tokens.attribute()) else { throw failure }
    return number
  }
}
