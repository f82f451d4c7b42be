import Foundation
import KVBase
import KVModel

/// Reads the parts of a ``BucketQuery``.
struct BucketQueryReader {
  private static let known: Set<String> = [
    "aggregation_expression", "accumulation_option", "accumulation_term", "substitutions",
    "timeout", "inactivity_timeout", "query_list", "max_results", "continuation",
  ]
  private static let knownOfQuery: Set<String> = [
    "aggregation_tag", "index_name", "start_term", "end_term", "regular_expression",
    "evaluation_expression", "filter_expression",
  ]
  private static let queued: Set<String> = ["queue_raw_keys", "queue_raw_terms"]
  private static let timeoutLimit = 86_400
  private static let defaultTimeout = 60

  private let body: JSONValue
  private let bucket: BucketID

  init(_ body: JSONValue, _ bucket: BucketID) {
    self.body = body
    self.bucket = bucket
  }

  // MARK: Names

  func checkKeys() throws(BucketQueryFailure) {
    try Self.check(body, .keys, required: ["query_list"], Self.known)
    guard let list = body["query_list"]?.array, !list.isEmpty else {
      throw BucketQueryFailure(.queryKeys, "No valid query provided")
    }
    guard list.count <= KeyQuery.partLimit else {
      throw BucketQueryFailure(.queryKeys, "More than \(KeyQuery.partLimit) queries provided")
    }
    for query in list {
      try Self.check(
        query, .queryKeys, required: ["index_name", "start_term", "end_term"], Self.knownOfQuery)
    }
  }

  private static func check(
    _ value: JSONValue, _ stage: BucketQueryFailure.Stage, required: [String], _ known: Set<String>
  ) throws(BucketQueryFailure) {
    guard case .object(let members) = value else {
      throw BucketQueryFailure(stage, "No valid query provided")
    }
    func list(_ names: [String]) -> String {
      "[\(names.map { ErlangText.binary(Bytes($0.utf8)) }.joined(separator: ","))]"
    }
    let missing = required.filter { members[$0] == nil }
    guard missing.isEmpty else {
      throw BucketQueryFailure(stage, "Missing required keys in request \(list(missing))")
    }
    let unknown = members.keys.filter { !known.contains($0) }.sorted()
    guard unknown.isEmpty else {
      throw BucketQueryFailure(stage, "Unexpected keys in request \(list(unknown))")
    }
  }

  private static func printed(_ value: JSONValue?) -> String {
    value?.string.map { ErlangText.binary(Bytes($0.utf8)) } ?? value?.text ?? "undefined"
  }

  // MARK: The whole request

  func timeout() throws(BucketQueryFailure) -> Duration {
    for (name, words) in [
      ("timeout", "Bad timeout"), ("inactivity_timeout", "Bad inactivity timeout"),
    ] {
      guard let value = body[name] else { continue }
      guard case .integer(let seconds) = value, seconds > 0 else {
        throw BucketQueryFailure(.initial, words)
      }
    }
    guard case .integer(let seconds)? = body["timeout"] else {
      return .seconds(Self.defaultTimeout)
    }
    return .seconds(min(seconds, Self.timeoutLimit))
  }

  func option() throws(BucketQueryFailure) -> BucketQuery.Option {
    guard let value = body["accumulation_option"] else { return .keys }
    guard let name = value.string, let option = BucketQuery.Option(rawValue: name) else {
      if let name = value.string, Self.queued.contains(name) {
        throw BucketQueryFailure(
          .accumulation, "Option \(name) is not offered: results are not queued")
      }
      throw BucketQueryFailure(.accumulation, "Unrecognised option \(Self.printed(value))")
    }
    guard option.canCombine || isSingle else {
      throw BucketQueryFailure(.accumulation, "Unsupported option in combination query")
    }
    return option
  }

  private var isSingle: Bool { body["query_list"]?.array?.count == 1 }

  func limit(_ option: BucketQuery.Option) throws(BucketQueryFailure) -> Int? {
    guard let value = body["max_results"] else { return nil }
    guard case .integer(let limit) = value, limit > 0 else {
      throw BucketQueryFailure(.limit, "Invalid max_results \(Self.printed(value))")
    }
    guard option.answer == nil else {
      throw BucketQueryFailure(
        .limit,
        "Invalid combination max_results \(limit) query_type "
          + "\(isSingle ? "single_query" : "combo_query") accumulation_option \(option.rawValue)")
    }
    return limit
  }

  /// The attribute that is told as the term; nil for the term itself.
  func reportedTerm(_ option: BucketQuery.Option) throws(BucketQueryFailure) -> Bytes? {
    guard let value = body["accumulation_term"] else { return nil }
    guard let text = value.string, option.hasTerms else {
      throw BucketQueryFailure(
        .term, "Bad term \(Self.printed(value)) with option \(option.rawValue)")
    }
    let name = Bytes((text.hasPrefix("$") ? text.dropFirst() : text[...]).utf8)
    if name == Bytes("term".utf8) { return nil }
    guard body["query_list"]?.array?.first?["evaluation_expression"] != nil else {
      throw BucketQueryFailure(
        .term,
        "Bad term \(Self.printed(value)) with option \(option.rawValue): nothing is evaluated")
    }
    return name
  }

  func expression(of queries: [KeyQuery.Part]) throws(BucketQueryFailure) -> KeySetExpression {
    let value = body["aggregation_expression"]
    guard !isSingle else {
      guard value == nil else {
        throw BucketQueryFailure(.aggregation, "Attempt to aggregate single query")
      }
      return .query(queries[0].tag)
    }
    guard let value else {
      throw BucketQueryFailure(
        .aggregation, "Multiple queries passed without aggregation expression")
    }
    guard let text = value.string else {
      throw BucketQueryFailure(.aggregation, "Invalid function")
    }
    let expression: KeySetExpression
    do throws(QueryFailure) {
      expression = try KeySetExpression(Bytes(text.utf8))
    } catch {
      throw BucketQueryFailure(.aggregation, "Invalid function: \(error.text)")
    }
    let unknown = expression.tags.subtracting(queries.map(\.tag)).sorted()
    if let tag = unknown.first {
      throw BucketQueryFailure(.aggregation, "Invalid function: no query has the tag \(tag)")
    }
    return expression
  }

  /// The hit after which the query goes on.
  func continuation(_ query: IndexQuery) throws(BucketQueryFailure) -> IndexEntry? {
    guard let value = body["continuation"] else { return nil }
    guard isSingle, let text = value.string,
      let entry = try? IndexContinuation.entry(Bytes(text.utf8), field: query.field)
    else { throw BucketQueryFailure(.continuation, "Invalid continuation") }
    return entry
  }

  // MARK: Queries

  func queries(reported: Bytes?) throws(BucketQueryFailure) -> [KeyQuery.Part] {
    let substitutions = try substitutions()
    var parts: [KeyQuery.Part] = []
    for value in body["query_list"]?.array ?? [] {
      var tag = 1
      if case .integer(let given)? = value["aggregation_tag"], given >= 0 {
        tag = given
      } else if !isSingle {
        throw BucketQueryFailure(.evaluation, "Untagged query in combination request")
      }
      guard !parts.contains(where: { $0.tag == tag }) else {
        throw BucketQueryFailure(.evaluation, "Incorrect tagging of queries")
      }
      parts.append(.init(tag: tag, query: try query(value, substitutions, reported)))
    }
    return parts
  }

  private func substitutions() throws(BucketQueryFailure) -> [QuerySubstitution] {
    guard let value = body["substitutions"] else { return [] }
    guard case .object(let members) = value, members.count <= TermFilter.substitutionLimit else {
      throw BucketQueryFailure(.evaluation, "Invalid type in substitution")
    }
    var result: [QuerySubstitution] = []
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      switch value {
      case .string(let text):
        result.append(
          QuerySubstitution(name: Bytes(name.utf8), value: .text(Bytes(text.utf8))))
      case .integer(let number):
        result.append(QuerySubstitution(name: Bytes(name.utf8), value: .integer(number)))
      default: throw BucketQueryFailure(.evaluation, "Invalid type in substitution")
      }
    }
    return result
  }

  private func query(
    _ value: JSONValue, _ substitutions: [QuerySubstitution], _ reported: Bytes?
  ) throws(BucketQueryFailure) -> IndexQuery {
    guard let name = value["index_name"]?.string, name.lowercased().hasSuffix("_bin") else {
      throw BucketQueryFailure(.evaluation, "Invalid index name")
    }
    guard let lower = value["start_term"]?.string.map({ Bytes($0.utf8) }),
      let upper = value["end_term"]?.string.map({ Bytes($0.utf8) }),
      !upper.lexicographicallyPrecedes(lower)
    else { throw BucketQueryFailure(.evaluation, "Invalid query range") }
    var query = IndexQuery(
      bucket: bucket, field: RequestDecoder.lowercased(Bytes(name.utf8)), lower: lower,
      upper: upper)
    let names = ["regular_expression", "evaluation_expression", "filter_expression"]
    let texts = names.map { value[$0] }
    switch (texts[0], texts[1], texts[2]) {
    case (nil, nil, nil): break
    case (.string(let pattern)?, nil, nil): query.pattern = try Self.pattern(pattern)
    case (nil, .string(let evaluation)?, .string(let condition)?):
      query.filter = try Self.filter(
        TermFilter.Source(
          evaluation: Bytes(evaluation.utf8), condition: Bytes(condition.utf8),
          substitutions: substitutions, reported: reported))
    default:
      throw BucketQueryFailure(.evaluation, "Invalid combination of regex/eval/filter")
    }
    return query
  }

  private static func pattern(_ text: String) throws(BucketQueryFailure) -> TermPattern {
    do throws(TermPattern.Failure) {
      return try TermPattern(Bytes(text.utf8))
    } catch {
      throw BucketQueryFailure(
        .evaluation, "Invalid regex: \(error.reason) at byte \(error.offset)")
    }
  }

  private static func filter(_ source: TermFilter.Source) throws(BucketQueryFailure) -> TermFilter {
    do throws(TermFilter.Failure) {
      return try TermFilter(source)
    } catch {
      switch error {
      case .evaluation(let failure):
        throw BucketQueryFailure(.evaluation, "Invalid eval function: \(failure.text)")
      case .condition(let failure):
        throw BucketQueryFailure(.evaluation, "Invalid filter function: \(failure.text)")
      case .reported(let failure): throw BucketQueryFailure(.term, failure.reason)
      }
    }
  }
}
