public import KVBase

/// How the keys that several queries find become the keys of one answer.
///
/// `SUBTRACT` binds closest and from the right, then `INTERSECT`, then `UNION`.
///
/// **Source**: reference section 2.8, `aggregation_expression`.
public indirect enum KeySetExpression: Hashable, Sendable {
  /// The keys that the query with the tag finds.
  case query(Int)
  /// Keys of either.
  case union(KeySetExpression, KeySetExpression)
  /// Keys of both.
  case intersection(KeySetExpression, KeySetExpression)
  /// Keys of the first that are not of the second.
  case difference(KeySetExpression, KeySetExpression)

  private static let depthLimit = 50

  /// Reads an expression.
  public init(_ text: Bytes) throws(QueryFailure) {
    var tokens = try QueryTokens(text, [])
    self = try Self.union(&tokens, depth: 0)
    try tokens.expectEnd()
  }

  /// The tags of the queries it needs.
  public var tags: Set<Int> {
    switch self {
    case .query(let tag): [tag]
    case .union(let a, let b), .intersection(let a, let b), .difference(let a, let b):
      a.tags.union(b.tags)
    }
  }

  /// The keys of the answer, given those of each query.
  public func keys(_ found: [Int: Set<Bytes>]) -> Set<Bytes> {
    switch self {
    case .query(let tag): found[tag] ?? []
    case .union(let a, let b): a.keys(found).union(b.keys(found))
    case .intersection(let a, let b): a.keys(found).intersection(b.keys(found))
    case .difference(let a, let b): a.keys(found).subtracting(b.keys(found))
    }
  }

  /// The expression as ``init(_:)`` reads it.
  public var text: String {
    switch self {
    case .query(let tag): "$\(tag)"
    case .union(let a, let b): "(\(a.text) UNION \(b.text))"
    case .intersection(let a, let b): "(\(a.text) INTERSECT \(b.text))"
    case .difference(let a, let b): "(\(a.text) SUBTRACT \(b.text))"
    }
  }

  // MARK: Reading

  /// What one of the readers below reads.
  private typealias Reader = (inout QueryTokens, Int) throws(QueryFailure) -> KeySetExpression

  private static func union(
    _ tokens: inout QueryTokens, depth: Int
  ) throws(QueryFailure) -> KeySetExpression {
    try chain(&tokens, depth, by: "UNION", of: intersection, KeySetExpression.union)
  }

  private static func intersection(
    _ tokens: inout QueryTokens, depth: Int
  ) throws(QueryFailure) -> KeySetExpression {
    try chain(&tokens, depth, by: "INTERSECT", of: difference, KeySetExpression.intersection)
  }

  /// Operands with the same word between them, joined from the left.
  private static func chain(
    _ tokens: inout QueryTokens, _ depth: Int, by word: String, of operand: Reader,
    _ join: (KeySetExpression, KeySetExpression) -> KeySetExpression
  ) throws(QueryFailure) -> KeySetExpression {
    var result = try operand(&tokens, depth)
    var length = 1
    while tokens.take(.word(word)) {
      length += 1
      guard length <= depthLimit else { throw tokens.failure("the expression is too long") }
      result = join(result, try operand(&tokens, depth))
    }
    return result
  }

  private static func difference(
    _ tokens: inout QueryTokens, depth: Int
  ) throws(QueryFailure) -> KeySetExpression {
    guard depth < depthLimit else { throw tokens.failure("the expression is too deep") }
    let first = try single(&tokens, depth: depth + 1)
    guard tokens.take(.word("SUBTRACT")) else { return first }
    return .difference(first, try difference(&tokens, depth: depth + 1))
  }

  private static func single(
    _ tokens: inout QueryTokens, depth: Int
  ) throws(QueryFailure) -> KeySetExpression {
    if tokens.take("(") {
      let result = try union(&tokens, depth: depth)
      try tokens.expect(")")
      return result
    }
    guard case .tag(let tag) = tokens.next else { throw tokens.expected("a query such as $1") }
    _ = tokens.take()
    return .query(tag)
  }
}
