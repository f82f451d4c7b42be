import KVBase

/// The payloads of a connection that wait for their turn, first in, first out.
struct RequestQueue {
  private var payloads: [Bytes] = []
  private var first = 0
  /// The bytes of the payloads that wait.
  private(set) var byteCount = 0

  var count: Int { payloads.count - first }
  var isEmpty: Bool { count == 0 }

  mutating func append(_ payload: Bytes) {
    payloads.append(payload)
    byteCount += payload.count
  }

  mutating func popFirst() -> Bytes? {
    guard first < payloads.count else { return nil }
    let payload = payloads[first]
    payloads[first] = []
    first += 1
    byteCount -= payload.count
    if first == payloads.count {
      payloads.removeAll(keepingCapacity: payloads.count <= 64)
      first = 0
    }
    return payload
  }
}

/// Names gathered from several batches, each once.
struct NameCollector {
  private var names: Set<Bytes> = []

  var count: Int { names.count }
  var sorted: [Bytes] { names.sorted { $0.lexicographicallyPrecedes($1) } }

  mutating func insert(_ batch: [Bytes]) { names.formUnion(batch) }
}
