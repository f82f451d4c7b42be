import Foundation
import Hummingbird
import KVBase
import KVCluster
import KVModel

/// Anti-entropy over HTTP.
extension HTTPInterface {
  /// What the node's shards have compared and repaired.
  func entropyStatus() async -> Response {
    guard let shards = await node.entropy(), let cluster = await status() else {
      return Self.json(
        .serviceUnavailable,
        AdminDocument.Outcome(
          ok: false, message: "The node is overloaded or stopping. Try again in a few moments."))
    }
    return Self.json(.ok, AdminDocument.Entropy(shards, cluster))
  }

  // MARK: Folds

  /// Answers a question about many objects, or repairs or erases those it finds.
  func fold(_ body: Data) async -> Response {
    guard let document = try? AdminDocument.decoder.decode(AdminDocument.Fold.self, from: body),
      let query = document.query
    else {
      return Self.json(
        .badRequest,
        AdminDocument.Outcome(ok: false, message: "The body is not the fold expected."))
    }
    switch await node.reply(to: .fold(query)) {
    case .folded(let result):
      var answer = AdminDocument.FoldAnswer(result, query)
      if document.changes { answer.changed = await change(result, document) }
      return Self.json(.ok, answer)
    case .failure(let failure):
      return Self.json(
        .conflict, AdminDocument.Outcome(ok: false, message: "The fold failed: \(failure)"))
    default:
      return Self.json(
        .serviceUnavailable, AdminDocument.Outcome(ok: false, message: "The node did not answer."))
    }
  }

  /// Repairs each object by a read of all replicas, or erases it by an ordinary delete of what was
  /// seen; one after the other.
  private func change(_ result: FoldResult, _ document: AdminDocument.Fold) async -> Int {
    var changed = 0
    for found in result.found {
      let request: ClientRequest
      if document.kind == .erase {
        request = .delete(found.key, context: found.clock, DeleteOptions())
      } else {
        var options = GetOptions()
        options.r = .all
        options.headOnly = false
        request = .get(found.key, options)
      }
      if case .failure? = await node.reply(to: request) { continue }
      changed += 1
    }
    return changed
  }
}
