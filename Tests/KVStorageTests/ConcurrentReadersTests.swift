import Foundation
import KVBase
import KVStorage
import Synchronization
import Testing

/// Readers of every kind beside writers, flushes, compactions and collections, on real files.
@Suite struct ConcurrentReadersTests {
  private static let writers = 2
  private static let keysPerWriter = 60

  /// What the threads of a test share.
  private final class Shared: Sendable {
    let store: Store
    let keys = WitnessedKeys(
      count: ConcurrentReadersTests.writers * ConcurrentReadersTests.keysPerWriter)
    let failures = Mutex<[String]>([])
    private let end = ContinuousClock.now + .seconds(2 * Effort.factor)

    init(_ store: Store) { self.store = store }

    func fail(_ text: String?) {
      guard let text else { return }
      failures.withLock { $0.append(text) }
    }

    var isOver: Bool { ContinuousClock.now > end || failures.withLock { !$0.isEmpty } }
  }

  @Test(arguments: Effort.seeds(1))
  func `no reader ever sees a wrong value while everything goes on`(seed: UInt64) throws {
    let root = NSTemporaryDirectory() + "spinekv-readers-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let store = try Store.open(at: root, fileSystem: PosixFileSystem(), options: options)
    let shared = Shared(store)
    let work: [@Sendable (Shared, inout SeededRandom) throws -> Void] = [
      { try write(0, $0, &$1) }, { try write(1, $0, &$1) }, { try get($0, &$1) },
      { try head($0, &$1) }, { try snapshot($0, &$1) }, { try iterate($0, &$1) },
    ]
    DispatchQueue.concurrentPerform(iterations: work.count) { thread in
      var random = SeededRandom(seed: seed << 8 | UInt64(thread))
      do { while !shared.isOver { try work[thread](shared, &random) } } catch {
        shared.fail("thread \(thread): \(error)")
      }
    }
    #expect(shared.failures.withLock { $0 } == [], "seed \(seed)")
    let statistics = store.statistics()
    #expect(statistics.flushCount > 0 && statistics.compactionCount > 0)
    #expect(statistics.collectionCount > 0)
    try store.close()
    let again = try Store.open(at: root, fileSystem: PosixFileSystem(), options: options)
    let now = shared.keys.now
    for (index, progress) in now.enumerated() {
      let found = try again.get(WitnessedKeys.key(index))
      #expect(shared.keys.problem(index, found, since: progress, until: progress) == nil)
    }
  }

  private var options: StoreOptions {
    var options = StoreOptions.tiny
    options.background = .thread
    options.memtableByteLimit = 32 << 10
    options.segmentByteLimit = 64 << 10
    options.replayByteLimit = 256 << 10
    options.separationByteCount = 512
    return options
  }

  private func write(
    _ writer: Int, _ shared: Shared, _ random: inout SeededRandom
  ) throws {
    let first = writer * ConcurrentReadersTests.keysPerWriter
    if random.chance(0.01) {
      let start = first + random.below(ConcurrentReadersTests.keysPerWriter - 10)
      try shared.keys.deleteRange(start..<start + 1 + random.below(10), in: shared.store)
    } else {
      let index = first + random.below(ConcurrentReadersTests.keysPerWriter - 3)
      try shared.keys.write(Array(index...index + random.below(3)), to: shared.store)
    }
    if random.chance(0.02) { try shared.store.sync(through: shared.store.appendedSequence) }
  }

  private func get(_ shared: Shared, _ random: inout SeededRandom) throws {
    let index = random.below(shared.keys.count)
    var buffer = Bytes()
    let before = shared.keys.now[index]
    let isFound = try shared.store.get(WitnessedKeys.key(index), into: &buffer)
    let after = shared.keys.now[index]
    shared.fail(shared.keys.problem(index, isFound ? buffer : nil, since: before, until: after))
  }

  private func head(_ shared: Shared, _ random: inout SeededRandom) throws {
    let index = random.below(shared.keys.count)
    let before = shared.keys.now[index]
    let found = try shared.store.head(WitnessedKeys.key(index))
    let after = shared.keys.now[index]
    shared.fail(shared.keys.problem(index, found, isHead: true, since: before, until: after))
  }

  /// A snapshot shows versions of its moment, and the same ones as long as it lives.
  private func snapshot(_ shared: Shared, _ random: inout SeededRandom) throws {
    let before = shared.keys.now
    let snapshot = try shared.store.snapshot()
    let after = shared.keys.now
    let first = try snapshot.scan()
    for _ in 0..<20 {
      let index = random.below(shared.keys.count)
      let key = WitnessedKeys.key(index)
      let found = try snapshot.get(key)
      shared.fail(shared.keys.problem(index, found, since: before[index], until: after[index]))
      if found != first.first(where: { $0.key == key })?.value { shared.fail("get is not scan") }
      usleep(1000)
    }
    if try snapshot.scan() != first { shared.fail("a snapshot has changed") }
  }

  private func iterate(_ shared: Shared, _ random: inout SeededRandom) throws {
    let before = shared.keys.now
    let iterator = try shared.store.snapshot().iterator()
    let after = shared.keys.now
    var next = random.below(shared.keys.count)
    try iterator.seek(WitnessedKeys.key(next))
    while let entry = try iterator.next() {
      while WitnessedKeys.key(next) != entry.key {
        shared.fail(shared.keys.problem(next, nil, since: before[next], until: after[next]))
        next += 1
        guard next < shared.keys.count else { return shared.fail("a foreign key \(entry.key)") }
      }
      shared.fail(
        shared.keys.problem(next, entry.value, since: before[next], until: after[next]))
      next += 1
    }
  }
}
