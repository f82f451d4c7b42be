import KVModel
import Synchronization

/// The memory that the requests of the client interface may hold together: bodies, objects and what
/// is gathered for an answer.
///
/// **Concurrency**: from any thread.
final class ClientMemory: Sendable {
  private let limit: Int
  private let used = Atomic<Int>(0)

  init(limit: Int) { self.limit = limit }

  /// The part of one request, given back when nobody refers to it any more.
  final class Share: Sendable {
    private let memory: ClientMemory
    private let count = Atomic<Int>(0)

    init(of memory: ClientMemory) { self.memory = memory }

    /// Takes some more.
    ///
    /// - Throws: that the node is overloaded, when there is not as much left.
    func take(_ byteCount: Int) throws(ClientFailure) {
      let after = memory.used.add(byteCount, ordering: .relaxed).newValue
      count.add(byteCount, ordering: .relaxed)
      if after > memory.limit { throw .failed(.overload) }
    }

    deinit { memory.used.subtract(count.load(ordering: .relaxed), ordering: .relaxed) }
  }
}
