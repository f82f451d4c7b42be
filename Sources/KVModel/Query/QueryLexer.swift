public import KVBase

/// An expression of a query that means nothing: what is wrong and where.
public struct QueryFailure: Error, Hashable, Sendable {
  /// What is wrong.
  public var reason: String
  /// The offset of the first byte that cannot be, counted from 0.
  public var offset: Int

  /// The failure with both.
  public init(reason: String, offset: Int) {
    self.reason = reason
    self.offset = offset
  }

  /// One line for the client.
  public var text: String { "\(reason) at byte \(offset)" }
}

/// A constant that a client gives beside the expressions, named `:name` in them.
public struct QuerySubstitution: Hashable, Sendable {
  /// The name, without the colon.
  public var name: Bytes
  /// The constant: a text or an integer.
  public var value: QueryValue

  /// `value` under `name`.
  public init(name: Bytes, value: QueryValue) {
    self.name = name
    self.value = value
  }
}

/// What an expression is made of.
enum QueryToken: Hashable, Sendable {
  /// A function or an operator in letters.
  case word(String)
  /// `$name`.
  case attribute(Bytes)
  /// `$1`: a query of an aggregation.
  case tag(Int)
  /// A text or an integer.
  case constant(QueryValue)
  /// `(`, `)`, `,` or `|`.
  case mark(UInt8)
  /// `=`, `<>`, `<`, `<=`, `>` or `>=`.
  case comparison(QueryComparison)
  /// Behind everything.
  case end

  /// As failures name it.
  var text: String {
    switch self {
    case .word(let word): word
    case .attribute(let name): "$\(String(decoding: name, as: UTF8.self))"
    case .tag(let number): "$\(number)"
    case .constant(.integer(let number)): "\(number)"
    case .constant(.text(let text)): "\"\(String(decoding: text.prefix(32), as: UTF8.self))\""
    case .constant(.list): "a list"
    case .mark(let byte): "'\(Character(UnicodeScalar(byte)))'"
    case .comparison(let comparison): "'\(comparison.rawValue)'"
    case .end: "the end"
    }
  }
}

/// Comparisons of values.
enum QueryComparison: String, Hashable, Sendable {
  case equal = "="
  case different = "<>"
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="

  func holds(_ a: QueryValue, _ b: QueryValue) -> Bool {
    switch self {
    case .equal: a == b
    case .different: a != b
    case .less: a < b
    case .lessOrEqual: !(b < a)
    case .greater: b < a
    case .greaterOrEqual: !(a < b)
    }
  }
}

/// Takes an expression apart.
///
/// Texts stand in quotation marks and hold none; there are no escapes.
///
/// **Source**: the lexers of leveled, which the reference's Query API is built on (reference section
/// 2.8).
struct QueryLexer {
  /// The longest expression, in bytes.
  static let byteLimit = 8192
  /// The most tokens of an expression.
  static let tokenLimit = 2048

  /// The tokens, the last of them the end.
  private(set) var tokens: [(token: QueryToken, offset: Int)] = []
  private let text: Bytes
  private let substitutions: [QuerySubstitution]
  private var position = 0

  init(_ text: Bytes, _ substitutions: [QuerySubstitution]) throws(QueryFailure) {
    self.text = text
    self.substitutions = substitutions
    guard text.count <= Self.byteLimit else {
      throw QueryFailure(reason: "the expression is too long", offset: Self.byteLimit)
    }
    while let next = next {
      if [9, 10, 11, 12, 13, 32].contains(next) {
        position += 1
        continue
      }
      let offset = position
      guard tokens.count < Self.tokenLimit else {
        throw QueryFailure(reason: "the expression has too many parts", offset: offset)
      }
      tokens.append((try token(next), offset))
    }
    tokens.append((.end, text.count))
  }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func token(_ first: UInt8) throws(QueryFailure) -> QueryToken {
    switch Character(UnicodeScalar(first)) {
    case "(", ")", ",", "|":
      position += 1
      return .mark(first)
    case "=", "<", ">": return .comparison(comparison())
    case "\"": return .constant(.text(try quoted()))
    case "$": return try name(after: position)
    case ":": return .constant(try substitution())
    case "0"..."9", "-": return .constant(.integer(try integer()))
    case "a"..."z", "A"..."Z", "_": return .word(String(decoding: letters(), as: UTF8.self))
    default: throw QueryFailure(reason: "an illegal character", offset: position)
    }
  }

  private mutating func comparison() -> QueryComparison {
    let two = String(decoding: text[position...].prefix(2), as: UTF8.self)
    if let known = QueryComparison(rawValue: two) {
      position += two.utf8.count
      return known
    }
    position += 1
    return QueryComparison(rawValue: String(two.prefix(1))) ?? .equal
  }

  private mutating func quoted() throws(QueryFailure) -> Bytes {
    let start = position + 1
    guard let end = text[start...].firstIndex(of: UInt8(ascii: "\"")) else {
      throw QueryFailure(reason: "the text has no end", offset: position)
    }
    position = end + 1
    return Bytes(text[start..<end])
  }

  private mutating func name(after start: Int) throws(QueryFailure) -> QueryToken {
    position += 1
    if let next, (49...57).contains(next) {
      let number = try integer()
      return .tag(number)
    }
    let name = letters()
    guard !name.isEmpty else { throw QueryFailure(reason: "a name is missing", offset: start) }
    return .attribute(name)
  }

  private mutating func substitution() throws(QueryFailure) -> QueryValue {
    let start = position
    position += 1
    let name = letters()
    guard let found = substitutions.first(where: { $0.name == name }) else {
      throw QueryFailure(
        reason: "substitution \(String(decoding: name, as: UTF8.self)) not found", offset: start)
    }
    return found.value
  }

  private mutating func integer() throws(QueryFailure) -> Int {
    let start = position
    if next == UInt8(ascii: "-") { position += 1 }
    while let next, (48...57).contains(next) { position += 1 }
    guard let number = Int(String(decoding: text[start..<position], as: UTF8.self)) else {
      throw QueryFailure(reason: "no integer of 64 bits", offset: start)
    }
    return number
  }

  /// A name from here on; empty when none begins here.
  private mutating func letters() -> Bytes {
    let start = position
    while let next, ByteClass.word.contains(next) {
      if position == start, (48...57).contains(next) { break }
      position += 1
    }
    return Bytes(text[start..<position])
  }
}

/// Walks through the tokens of an expression.
struct QueryTokens {
  private let tokens: [(token: QueryToken, offset: Int)]
  private var position = 0

  init(_ text: Bytes, _ substitutions: [QuerySubstitution]) throws(QueryFailure) {
    tokens = try QueryLexer(text, substitutions).tokens
  }

  var next: QueryToken { tokens[position].token }

  /// Takes the next token; the end is never taken.
  mutating func take() -> QueryToken {
    let token = tokens[position].token
    if position < tokens.count - 1 { position += 1 }
    return token
  }

  /// Takes the token if it is next.
  mutating func take(_ token: QueryToken) -> Bool {
    guard next == token else { return false }
    _ = take()
    return true
  }

  mutating func take(_ mark: Character) -> Bool { take(.mark(mark.asciiValue ?? 0)) }

  mutating func expect(_ mark: Character) throws(QueryFailure) {
    guard take(mark) else { throw expected("'\(mark)'") }
  }

  mutating func expectWord(_ word: String) throws(QueryFailure) {
    guard take(.word(word)) else { throw expected(word) }
  }

  mutating func expectEnd() throws(QueryFailure) {
    guard next == .end else { throw expected("the end") }
  }

  mutating func attribute() throws(QueryFailure) -> Bytes {
    guard case .attribute(let name) = next else { throw expected("an attribute") }
    _ = take()
    return name
  }

  mutating func text() throws(QueryFailure) -> Bytes {
    guard case .constant(.text(let text)) = next else { throw expected("a text") }
    _ = take()
    return text
  }

  /// An integer of at least `least`.
  mutating func integer(atLeast least: Int) throws(QueryFailure) -> Int {
    guard case .constant(.integer(let number)) = next, number >= least else {
      throw expected("an integer of at least \(least)")
    }
    _ = take()
    return number
  }

  mutating func constant() throws(QueryFailure) -> QueryValue {
    guard case .constant(let value) = next else { throw expected("a text or an integer") }
    _ = take()
    return value
  }

  func expected(_ what: String) -> QueryFailure {
    failure("expected \(what), not \(next.text),")
  }

  func failure(_ reason: String) -> QueryFailure {
    QueryFailure(reason: reason, offset: tokens[position].offset)
  }
}
