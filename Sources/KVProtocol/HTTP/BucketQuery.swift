import Foundation
package import KVBase
package import KVModel

/// Why a body of the Query API means nothing: at which stage of looking at it, and why.
package struct BucketQueryFailure: Error, Hashable, Sendable {
  /// The stages of the reference.
  package enum Stage: String, Hashable, Sendable {
    case initial = "init"
    case keys = "key_check"
    case queryKeys = "query_key_check"
    case aggregation = "aggregation_expression"
    case accumulation = "accumulation_option"
    case term = "accumulation_term"
    case limit = "max_results"
    case evaluation = "query_evaluation"
    case continuation = "apply_continuation"
  }

  package var stage: Stage
  package var reason: String

  init(_ stage: Stage, _ reason: String) {
    self.stage = stage
    self.reason = reason
  }

  /// The answer's body.
  package var json: JSONValue {
    .object([
      "error": .string("Validation failure at stage \(stage.rawValue) due to \(reason)")
    ])
  }
}

/// A request of the Query API: what is asked of the node, and how its answer is told.
///
/// **Source**: reference section 2.8.
package struct BucketQuery: Hashable, Sendable {
  /// What is asked of the node.
  package enum Work: Hashable, Sendable {
    /// Entries in order, at most so many after one.
    case entries(IndexQuery, after: IndexEntry?, limit: Int?)
    /// Keys or numbers.
    case keys(KeyQuery)
  }

  /// How the answer is told: the names of the reference, and those that 3.4.1 has for the same.
  enum Option: String, CaseIterable, Hashable, Sendable {
    case keys
    case rawKeys = "raw_keys"
    case terms
    case termWithKeys = "term_with_keys"
    case rawTerms = "raw_terms"
    case matchCount = "match_count"
    case rawCount = "raw_count"
    case keyCount = "key_count"
    case count
    case termWithMatchCount = "term_with_matchcount"
    case termWithRawCount = "term_with_rawcount"
    case termWithKeyCount = "term_with_keycount"
    case termWithCount = "term_with_count"

    /// What must be found out; nil for entries in order.
    var answer: KeyQuery.Answer? {
      switch self {
      case .keys: .keys
      case .rawKeys, .terms, .termWithKeys, .rawTerms: nil
      case .matchCount, .rawCount: .matchCount
      case .keyCount, .count: .keyCount
      case .termWithMatchCount, .termWithRawCount: .matchesByTerm
      case .termWithKeyCount, .termWithCount: .keysByTerm
      }
    }

    /// True when terms are told.
    var hasTerms: Bool {
      switch self {
      case .keys, .rawKeys, .matchCount, .rawCount, .keyCount, .count: false
      case .terms, .termWithKeys, .rawTerms, .termWithMatchCount, .termWithRawCount,
        .termWithKeyCount, .termWithCount:
        true
      }
    }

    /// True for what can be told of several queries together.
    var canCombine: Bool {
      [.keys, .matchCount, .rawCount, .keyCount, .count].contains(self)
    }
  }

  /// The longest body, in bytes.
  package static let byteLimit = 256 << 10

  /// What is asked of the node.
  package let work: Work
  /// How long it may take.
  package let timeout: Duration
  let option: Option

  /// Reads the body of a request to `bucket`.
  package init(_ body: Bytes, bucket: BucketID) throws(BucketQueryFailure) {
    guard body.count <= Self.byteLimit, let value = JSONValue(body), case .object = value else {
      throw BucketQueryFailure(.initial, "Malformed json request")
    }
    let reader = BucketQueryReader(value, bucket)
    try reader.checkKeys()
    timeout = try reader.timeout()
    let option = try reader.option()
    self.option = option
    let limit = try reader.limit(option)
    let reported = try reader.reportedTerm(option)
    let queries = try reader.queries(reported: reported)
    let expression = try reader.expression(of: queries)
    guard let answer = option.answer else {
      let query = queries[0].query
      work = .entries(query, after: try reader.continuation(query), limit: limit)
      return
    }
    guard try reader.continuation(queries[0].query) == nil else {
      throw BucketQueryFailure(.continuation, "Invalid continuation")
    }
    work = .keys(
      KeyQuery(bucket: bucket, parts: queries, expression: expression, answer: answer))
  }

  // MARK: Answers

  /// The answer that tells entries, and where it can go on when it is full.
  package func answer(_ entries: [IndexEntry]) -> (json: JSONValue, continuation: String?) {
    guard case .entries(let query, _, let limit) = work else { return (.object([:]), nil) }
    let told: [JSONValue] = entries.compactMap { entry in
      guard option.hasTerms else { return JSONValue(bytes: entry.key) }
      // The node has told the entry, so it has a term to be told as.
      let term = query.finding(entry).term ?? entry.term
      return .object([String(decoding: term, as: UTF8.self): JSONValue(bytes: entry.key)])
    }
    var next: String?
    if let last = entries.last, entries.count == limit {
      next = String(decoding: IndexContinuation.text(last, field: query.field), as: UTF8.self)
    }
    return (.object([option.rawValue: .array(told)]), next)
  }

  /// The answer that tells keys or numbers.
  package func answer(_ pages: [KeyQueryPage]) -> JSONValue {
    let value: JSONValue
    switch option.answer {
    case .keys?:
      let keys = pages.flatMap(\.keys).sorted { $0.lexicographicallyPrecedes($1) }
      value = .array(keys.map(JSONValue.init(bytes:)))
    case .matchesByTerm?, .keysByTerm?:
      var counts: [String: Int] = [:]
      for term in pages.lazy.flatMap(\.terms) {
        counts[String(decoding: term.term, as: UTF8.self), default: 0] += term.count
      }
      value = .object(counts.mapValues(JSONValue.integer))
    case .matchCount?, .keyCount?, nil: value = .integer(pages.reduce(0) { $0 + $1.count })
    }
    return .object([option.rawValue: value])
  }
}
