import Hummingbird
import KVBase
import KVModel
import KVProtocol

/// AAE folds over HTTP.
///
/// **Source**: reference section 2.9.
extension ClientInterface {
  /// Performs a fold and tells what it found or did.
  func fold(_ call: Call, _ resource: FoldResource) async throws(ClientFailure) -> Response {
    var job = try job(call, resource)
    var next = FoldJob.Next.request(job.start())
    while case .request(let request) = next {
      next = .wait
      for await reply in replies(request) {
        try call.memory.take(Self.byteCount(reply))
        next = job.receive(reply)
      }
      // No answer, or half of one: the node stops.
      if next == .wait { throw .failed(.overload) }
    }
    if let failure = job.failure { throw .failed(failure) }
    return ClientResponse.json(.ok, job.json)
  }

  private func job(_ call: Call, _ resource: FoldResource) throws(ClientFailure) -> FoldJob {
    let filter: FoldFilter
    // Of the list of buckets the filter is the N of Riak's trees.
    let text = resource.kind == .buckets ? nil : call.query["filter"]
    do throws(FoldFilter.Failure) {
      filter = try FoldFilter(text, bucket: resource.bucket)
    } catch {
      throw .malformed("Invalid filter: \(error.text)\n")
    }
    func isCount() throws(ClientFailure) -> Bool {
      guard let isCount = filter.isCount else {
        throw .malformed("Invalid filter: change_method is missing\n")
      }
      return isCount
    }
    let kind: FoldJob.Kind
    switch resource.kind {
    case .siblings(let limit): kind = .siblings(moreThan: limit)
    case .sizes(let limit): kind = .sizes(moreThan: limit)
    case .statistics: kind = .statistics
    case .tombstones: kind = .tombstones
    case .repair: kind = .repair
    case .reap: kind = .reap(isCount: try isCount())
    case .erase: kind = .erase(isCount: try isCount())
    case .buckets: kind = .buckets
    }
    return FoldJob(kind, over: filter.query)
  }

  /// What a reply holds, as it is here and as the text that it becomes.
  private static func byteCount(_ reply: ClientReply) -> Int {
    switch reply {
    case .folded(let result):
      result.found.reduce(0) { $0 + 2 * ($1.key.key.count + $1.key.bucket.name.count) + 256 }
    case .buckets(let names, _): names.reduce(0) { $0 + 3 * $1.count + 64 }
    default: 0
    }
  }
}
