public import KVBase

/// A question to indexes of one bucket whose answer is a set of keys, or numbers about it.
///
/// Each query of it finds the keys with an entry in its range; the expression makes one set of them.
///
/// **Source**: reference section 2.8.
public struct KeyQuery: Hashable, Sendable {
  /// What is told; the numbers are those on the wire.
  public enum Answer: UInt8, Hashable, Sendable {
    /// The keys.
    case keys = 0
    /// How many entries match; with several queries the number of keys.
    case matchCount = 1
    /// How many keys there are.
    case keyCount = 2
    /// How many entries match under each reported term.
    case matchesByTerm = 3
    /// How many keys have each reported term.
    case keysByTerm = 4
  }

  /// One of the queries.
  public struct Part: Hashable, Sendable {
    /// Its number in the expression.
    public var tag: Int
    /// What it asks of one index; never of the keys themselves.
    public var query: IndexQuery

    /// The query with a number.
    public init(tag: Int, query: IndexQuery) {
      self.tag = tag
      self.query = query
    }
  }

  /// The most queries.
  public static let partLimit = 32

  /// The bucket of all queries.
  public var bucket: BucketID
  /// The queries, each with a number of its own.
  public var parts: [Part]
  /// How what they find is put together.
  public var expression: KeySetExpression
  /// What is told.
  public var answer: Answer

  /// A question made of queries.
  public init(
    bucket: BucketID, parts: [Part], expression: KeySetExpression, answer: Answer
  ) {
    self.bucket = bucket
    self.parts = parts
    self.expression = expression
    self.answer = answer
  }

  /// A question made of one query.
  public init(_ query: IndexQuery, answer: Answer) {
    self.init(
      bucket: query.bucket, parts: [Part(tag: 1, query: query)], expression: .query(1),
      answer: answer)
  }
}

/// A part of the answer to a ``KeyQuery``: what different parts tell is added up.
public struct KeyQueryPage: Hashable, Sendable {
  /// A term and how much there is under it.
  public struct TermCount: Hashable, Sendable {
    /// The reported term.
    public var term: Bytes
    /// Matches or keys.
    public var count: Int

    /// `count` under `term`.
    public init(term: Bytes, count: Int) {
      self.term = term
      self.count = count
    }
  }

  /// Keys that no other part tells.
  public var keys: [Bytes]
  /// Numbers by term.
  public var terms: [TermCount]
  /// A number.
  public var count: Int

  /// A part of an answer.
  public init(keys: [Bytes] = [], terms: [TermCount] = [], count: Int = 0) {
    self.keys = keys
    self.terms = terms
    self.count = count
  }
}
