import Hummingbird
import KVBase
import KVModel
import KVProtocol
import Synchronization

/// Secondary indexes over HTTP.
///
/// **Source**: reference section 2.5.
extension ClientInterface {
  /// The hits of a query, or one page of them.
  func index(
    _ call: Call, _ bucket: BucketID, _ field: Bytes, _ lower: Bytes, _ upper: Bytes?
  ) async throws(ClientFailure) -> Response {
    let isStreamed = try call.query.flag("stream") ?? false
    try check(isStreamed ? .streamSecondaryIndex : .secondaryIndex)
    let request: IndexRequest
    var after: IndexEntry?
    do throws(ProtocolFailure) {
      request = try IndexRequest(
        bucket: bucket, field: field, lower: lower, upper: upper, pattern: call.query["term_regex"])
      if let text = call.query["continuation"] { after = try request.continued(text) }
    } catch {
      throw .malformed("Invalid query: \(error.text)\n")
    }
    let limit = try limit(call.query["max_results"])
    let returnsTerms = try returnsTerms(call.query["return_terms"]) && upper != nil
    let timeout = try call.query.timeout()
    let query = ClientRequest.index(request.query, after: after, limit: limit, timeout: timeout)
    if isStreamed {
      return try await stream(request, replies(query), limit, returnsTerms)
    }
    let hits = try await pages(
      of: query, call, { if case .entries(let page, _) = $0 { page } else { [] } },
      { $0.key.count + $0.term.count })
    let isFull = limit.map { hits.count >= $0 } ?? false
    return ClientResponse.json(
      .ok, request.json(hits, returnsTerms: returnsTerms, isFull: isFull))
  }

  /// A part for each page, and one with the continuation when more may follow.
  private func stream(
    _ request: IndexRequest, _ replies: ReplyStream, _ limit: Int?, _ returnsTerms: Bool
  ) async throws(ClientFailure) -> Response {
    // How many there were, and the last.
    let told = Mutex<(count: Int, last: IndexEntry?)>((0, nil))
    return try await ClientStream.response(replies, as: .parts) { reply in
      guard case .entries(let page, let done) = reply else { return [] }
      let (count, last) = told.withLock { told in
        told = (told.count + page.count, page.last ?? told.last)
        return told
      }
      var pieces: [JSONValue] = []
      if !page.isEmpty {
        pieces.append(request.json(page, returnsTerms: returnsTerms, isFull: false))
      }
      if done, count == limit, let last {
        pieces.append(request.continuation(after: last))
      }
      return pieces
    }
  }

  private func limit(_ text: String?) throws(ClientFailure) -> Int? {
    guard let text else { return nil }
    guard let count = Int(text), count > 0 else {
      throw .malformed("Invalid max_results. \(text) is not a positive integer\n")
    }
    return count
  }

  private func returnsTerms(_ text: String?) throws(ClientFailure) -> Bool {
    switch text {
    case nil, "false"?: false
    case "true"?: true
    case let text?: throw .malformed("Invalid return_terms. \(text) is not a boolean\n")
    }
  }
}
