import HTTPTypes
import Hummingbird
import KVBase
import KVModel
import KVProtocol

/// The Query API.
///
/// **Source**: reference section 2.8.
extension ClientInterface {
  /// Answers a query of one or several indexes.
  func query(_ call: Call, _ bucket: BucketID) async throws(ClientFailure) -> Response {
    try check(.secondaryIndex)
    let query: BucketQuery
    do throws(BucketQueryFailure) {
      query = try BucketQuery(call.body, bucket: bucket)
    } catch {
      return ClientResponse.json(.badRequest, error.json)
    }
    switch query.work {
    case .entries(let index, let after, let limit):
      let hits = try await pages(
        of: .index(index, after: after, limit: limit, timeout: query.timeout), call,
        { if case .entries(let page, _) = $0 { page } else { [] } },
        { $0.key.count + $0.term.count })
      let (answer, continuation) = query.answer(hits)
      var response = ClientResponse.json(.ok, answer)
      if let continuation, let name = HTTPField.Name("X-Riak-Continuation") {
        response.headers[name] = continuation
      }
      return response
    case .keys(let keys):
      let found = try await pages(
        of: .keyQuery(keys, timeout: query.timeout), call,
        { if case .found(let page, _) = $0 { [page] } else { [] } },
        { page in
          page.keys.reduce(0) { $0 + $1.count + 64 }
            + page.terms.reduce(0) { $0 + $1.term.count + 64 }
        })
      return ClientResponse.json(.ok, query.answer(found))
    }
  }
}
