package import KVBase
package import KVModel

/// An index query whose terms are parts of a path, and its answer as JSON.
///
/// **Source**: reference section 2.5.
package struct IndexRequest: Hashable, Sendable {
  /// The query.
  package let query: IndexQuery

  /// The query for the terms from `lower` through `upper`, or without it for `lower` alone.
  ///
  /// - Throws: which part of it means nothing.
  package init(
    bucket: BucketID, field: Bytes, lower: Bytes, upper: Bytes?, pattern: String?
  ) throws(ProtocolFailure) {
    let field = RequestDecoder.lowercased(field)
    guard field != RequestDecoder.bucketField else {
      query = IndexQuery(bucket: bucket, field: IndexQuery.keyField, lower: [], upper: nil)
      return
    }
    let first = try RequestDecoder.term(lower, field)
    let last = try upper.map { (text) throws(ProtocolFailure) in
      try RequestDecoder.term(text, field)
    }
    var query = IndexQuery(bucket: bucket, field: field, lower: first, upper: last ?? first)
    if let pattern, !pattern.isEmpty {
      query.pattern = try RequestDecoder.pattern(Bytes(pattern.utf8), field)
    }
    self.query = query
  }

  /// The hit after which a continuation says to go on.
  package func continued(_ text: String) throws(ProtocolFailure) -> IndexEntry {
    try IndexContinuation.entry(Bytes(text.utf8), field: query.field)
  }

  /// The answer with these hits; `isFull` when more may follow.
  package func json(_ hits: [IndexEntry], returnsTerms: Bool, isFull: Bool) -> JSONValue {
    var answer: [String: JSONValue] = [:]
    if returnsTerms, query.field != IndexQuery.keyField {
      answer["results"] = .array(
        hits.map { hit in
          let term = IndexTerm.text(hit.term, field: query.field)
          return .object([String(decoding: term, as: UTF8.self): JSONValue(bytes: hit.key)])
        })
    } else {
      answer["keys"] = .array(hits.map { JSONValue(bytes: $0.key) })
    }
    if isFull, let last = hits.last { answer["continuation"] = text(of: last) }
    return .object(answer)
  }

  /// Where the query goes on after a hit, as an object of its own.
  package func continuation(after hit: IndexEntry) -> JSONValue {
    .object(["continuation": text(of: hit)])
  }

  private func text(of hit: IndexEntry) -> JSONValue {
    JSONValue(bytes: IndexContinuation.text(hit, field: query.field))
  }
}
