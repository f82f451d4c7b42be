import KVBase
import KVCluster
import KVModel

/// Peer messages in words, for the readers of a trace.
extension Describe {
  func text(ofMessage bytes: Bytes) -> String {
    guard let message = try? PeerMessage(decoding: bytes) else { return "\(bytes.count) bad bytes" }
    switch message {
    case .membership(let content): return "membership (\(content.count) bytes)"
    case .view(let view, let number): return "view \(number) of ring \(view.version)"
    case .viewRequest(let number): return "view request after \(number)"
    case .read(let request):
      return
        "read \(Self.name(request.key)) in \(request.partition.index) #\(request.operation.rawValue)"
    case .readReply(let reply):
      return "read reply of \(reply.partition.index) #\(reply.operation.rawValue): "
        + Self.text(of: reply.reading)
    case .write(let request):
      return "write \(Self.name(request.key)) in \(request.partition.index) "
        + "#\(request.operation.rawValue): \(Self.text(ofObject: request.encoded))"
    case .writeReply(let reply):
      return
        "write reply of \(reply.partition.index) #\(reply.operation.rawValue): \(reply.outcome)"
    case .forward(let put):
      return "forward \(Self.name(put.key)) to \(put.partition.index) #\(put.operation.rawValue)"
    case .forwardReply(let reply): return "forward reply #\(reply.operation.rawValue)"
    case .list(let request): return "list in \(request.partition.index)"
    case .listReply(let reply): return "list reply of \(reply.partition.index)"
    case .handoff(let batch): return Self.text(of: batch)
    case .handoffReceipt(let receipt): return "\(receipt)"
    case .handoffMessage(let message): return Self.text(of: message)
    case .setProperties(let change): return "set properties of \(change.bucket)"
    case .entropy(let message): return Self.text(of: message)
    case .consensus(let message, _): return "\(message)"
    default: return "\(message)"
    }
  }

  private static func text(of reading: ReplicaReading) -> String {
    switch reading {
    case .notFound: "not found"
    case .whole(let bytes): text(ofObject: bytes)
    case .head(let bytes):
      "head \((try? KVObject(encodedHead: bytes)).map { text(of: $0.clock) } ?? "bad bytes")"
    case .failure(let failure): "\(failure)"
    }
  }

  private static func text(of message: HandoffMessage) -> String {
    switch message {
    case .compare(let comparison):
      return "compare \(comparison.digest.count) objects of \(comparison.partition.index) "
        + "#\(comparison.operation.rawValue).\(comparison.number)"
    case .offer(let offer):
      let items = offer.items.map { "\(name($0.key)) \(text(of: $0.clock))" }
      return "offer of \(offer.partition.index) #\(offer.operation.rawValue).\(offer.number): "
        + items.joined(separator: ", ")
    case .compared, .wanted, .limits: return "\(message)"
    }
  }

  private static func text(of batch: HandoffBatch) -> String {
    let entries = batch.entries.map { "\(name($0.key)) \(text(ofObject: $0.encoded))" }
    return "handoff of \(batch.partition.index): \(entries.joined(separator: ", "))"
  }

  private static func text(of message: EntropyMessage) -> String {
    switch message {
    case .fold, .foldReply: return "\(message)"
    case .request(let request):
      let question =
        switch request.question {
        case .root: "root"
        case .leaves(let branches): "leaves of \(branches)"
        case .entries(let leaves, let after, _):
          "entries in \(leaves.count) leaves after \(after.map(name) ?? "nothing")"
        case .fetch(let wanted): "fetch \(wanted.map { name($0.key) })"
        case .push(let entries):
          "push \(entries.map { "\(name($0.key)) \(text(ofObject: $0.encoded))" })"
        }
      return "anti-entropy of \(request.group.first.index)/\(request.group.nVal) in "
        + "\(request.partition.index) #\(request.operation.rawValue): \(question)"
    case .reply(let reply):
      let answer =
        switch reply.answer {
        case .root(let hashes): "\(hashes.count { $0 != 0 }) branches"
        case .leaves(let branches): "leaves of \(branches.count) branches"
        case .entries(let page): "entries \(page.entries.map { name($0.key) })"
        case .found(let found): "found \(found.map { name($0.key) })"
        case .refused, .stored: "\(reply.answer)"
        }
      return "anti-entropy reply #\(reply.operation.rawValue): \(answer)"
    }
  }

  /// An encoded object, in words.
  static func text(ofObject encoded: Bytes) -> String {
    (try? KVObject(encoded: encoded)).map(text(of:)) ?? "\(encoded.count) bad bytes"
  }
}
