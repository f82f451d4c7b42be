import Foundation
import KVBase
import KVNode
import KVStorage
import Logging
import Synchronization
import Testing

@testable import KVServer

@Suite struct ScrubberTests {
  private final class Found: Sendable {
    let events = Mutex<[(Int, ShardEvent)]>([])
  }

  @Test func `what rots in a store of a running node is found without being read`() async throws {
    let root = NSTemporaryDirectory() + "spinekv-scrub-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let files = PosixFileSystem()
    var options = StoreOptions()
    options.separationByteCount = 1000
    let filled = try Store.open(at: root, fileSystem: files, options: options)
    var batch = WriteBatch()
    var random = SeededRandom(seed: 1)
    for index in 0..<50 {
      batch.put(
        [0, 1, UInt8(index)], (0..<2000).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }
    try filled.write(batch)
    try filled.close()
    let journal = root + "/journal"
    let name = try #require(
      try FileManager.default.contentsOfDirectory(atPath: journal).max {
        size("\(journal)/\($0)") < size("\(journal)/\($1)")
      })
    let file = try #require(FileHandle(forUpdatingAtPath: "\(journal)/\(name)"))
    try file.seek(toOffset: 600)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: 600)
    try file.write(contentsOf: [byte ^ 4])
    try file.close()

    let store = try ShardStore(
      path: root, fileSystem: files, configuration: ServerConfiguration(), nodeStoppedCleanly: true)
    let found = Found()
    let scrubber = Scrubber([store], bytesPerSecond: 1 << 30, logger: Logger(label: "test")) {
      (index, event) in found.events.withLock { $0.append((index, event)) }
    }
    scrubber.start()
    for _ in 0..<200 where found.events.withLock({ $0.isEmpty }) {
      try await Task.sleep(for: .milliseconds(50))
    }
    scrubber.stop()
    try store.close()
    let first = try #require(found.events.withLock { $0.first })
    guard case (0, .damaged(let lower, _, let isValue)) = first else {
      Issue.record("\(first)")
      return
    }
    #expect(isValue && lower.starts(with: [0, 1]))
  }

  private func size(_ path: String) -> Int {
    (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
  }
}
