import Foundation
import KVBase
import KVStorage
import Synchronization
import Testing

@Suite struct ConcurrencyTests {
  private static func key(_ writer: Int, _ index: Int) -> Bytes { bytes("w\(writer)/\(index)") }

  /// Writers put the same number under two keys at once; readers must always see the two agree and
  /// never go back, while flushes, compactions, syncs and snapshots go on.
  private func run(_ store: Store, isManual: Bool) throws {
    let writers = 3
    let rounds = 1500
    let failures = Mutex<[String]>([])
    let isDone = Atomic<Bool>(false)
    @Sendable func fail(_ text: String) { failures.withLock { $0.append(text) } }
    DispatchQueue.concurrentPerform(iterations: writers + 3) { thread in
      do {
        if thread < writers {
          for number in 1...rounds {
            var batch = WriteBatch()
            let value = bytes("\(number)") + Bytes(repeating: 1, count: number % 50)
            batch.put(ConcurrencyTests.key(thread, 0), value, headByteCount: 1)
            batch.put(ConcurrencyTests.key(thread, 1), value)
            batch.put(bytes("fill/\(thread)/\(number)"), value)
            if number > 3 { batch.delete(bytes("fill/\(thread)/\(number - 3)")) }
            let sequence = try store.append(batch)
            if number % 7 == 0 { try store.sync(through: sequence) }
          }
          if thread == 0 { isDone.store(true, ordering: .relaxed) }
        } else if thread == writers, isManual {
          while !isDone.load(ordering: .relaxed) { _ = try store.performBackgroundWork() }
        } else {
          try read(store, until: isDone, writers, fail)
        }
      } catch { fail("\(error)") }
    }
    #expect(failures.withLock { $0 } == [])
    for writer in 0..<writers {
      #expect(
        try store.get(ConcurrencyTests.key(writer, 0))?.starts(with: bytes("\(rounds)")) == true)
    }
    #expect(try store.scan(from: bytes("fill/"), to: bytes("fill0")).count == writers * 3)
  }

  private func read(
    _ store: Store, until isDone: borrowing Atomic<Bool>, _ writers: Int, _ fail: (String) -> Void
  ) throws {
    var last = [Int](repeating: 0, count: writers)
    while !isDone.load(ordering: .relaxed) {
      let snapshot = try store.snapshot()
      for writer in 0..<writers {
        let a = try snapshot.get(ConcurrencyTests.key(writer, 0))
        let b = try snapshot.get(ConcurrencyTests.key(writer, 1))
        if a != b { fail("a snapshot sees half a batch of writer \(writer)") }
        let number = a.flatMap { Int(String(decoding: $0.filter { $0 > 1 }, as: UTF8.self)) } ?? 0
        if number < last[writer] { fail("writer \(writer) went back to \(number)") }
        last[writer] = number
        let filled = try snapshot.scan(
          from: bytes("fill/\(writer)/"), to: bytes("fill/\(writer)0"), .keys)
        if filled.count != min(number, 3) { fail("\(filled.count) of writer \(writer)'s keys") }
      }
    }
  }

  @Test func `readers, writers, syncs and a maintenance thread work side by side`() throws {
    var options = StoreOptions.tiny
    options.background = .thread
    options.memtableByteLimit = 16 << 10
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: options)
    try run(store, isManual: false)
    #expect(store.statistics().compactionCount > 0)
    try store.close()
  }

  @Test func `background work may run on a thread of the caller`() throws {
    var options = StoreOptions.tiny
    options.memtableByteLimit = 16 << 10
    let store = try Store.open(at: "/s", fileSystem: CrashableFileSystem(), options: options)
    try run(store, isManual: true)
    try store.close()
  }

  @Test func `waiting writers share one sync`() throws {
    let root = NSTemporaryDirectory() + "spinekv-group-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let store = try Store.open(at: root, fileSystem: PosixFileSystem())
    let failures = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      for index in 0..<50 {
        var batch = WriteBatch()
        batch.put(bytes("\(thread)/\(index)"), Bytes(repeating: 1, count: 100))
        do { try store.write(batch) } catch { failures.wrappingAdd(1, ordering: .relaxed) }
      }
    }
    #expect(failures.load(ordering: .relaxed) == 0)
    #expect(store.syncedSequence == SequenceNumber(400))
    #expect(store.statistics().journalSyncCount <= 400)
    try store.close()
  }
}
