import KVBase
import Synchronization

/// The range deletes of a memtable: few, so that reads may go through all of them.
///
/// **Concurrency**: any thread; a reader that ignores sequence numbers after its own sees a state that
/// never changes.
final class RangeList: Sendable {
  private let list = Mutex<[RangeMark]>([])
  private let size = Atomic<Int>(0)

  @inline(__always)
  var count: Int { size.load(ordering: .acquiring) }

  var marks: [RangeMark] { list.withLock { $0 } }

  func insert(_ mark: RangeMark) {
    list.withLock { $0.append(mark) }
    size.wrappingAdd(1, ordering: .releasing)
  }

  /// The newest operation, not after `sequence`, that deleted a range with the key; 0 for none.
  @inline(__always)
  func deletedSequence(_ key: RawBytes, at sequence: UInt64) -> UInt64 {
    count == 0 ? 0 : search(key, at: sequence)
  }

  private func search(_ key: RawBytes, at sequence: UInt64) -> UInt64 {
    list.withLock { marks in
      marks.lazy.filter { $0.sequence <= sequence && $0.contains(key) }.map(\.sequence).max() ?? 0
    }
  }
}
