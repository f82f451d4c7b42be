import KVBase
import KVModel

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

/// Hits of an index query, gathered from several batches.
struct HitCollector {
  private(set) var entries: [IndexEntry] = []
  private(set) var count = 0
  private(set) var byteCount = 0
  private(set) var last: IndexEntry?

  /// Counts a batch, and keeps it when its hits are to be told together.
  mutating func insert(_ batch: [IndexEntry], keeping: Bool) {
    count += batch.count
    last = batch.last ?? last
    guard keeping else { return }
    entries += batch
    byteCount += batch.reduce(0) { $0 + $1.term.count + $1.key.count + 16 }
  }
}
