import Foundation
import KVStorage
import Testing

@testable import KVServer

@Suite struct ShardStoreTests {
  @Test func `a restored store is not intact until a node has served with it`() throws {
    let root = NSTemporaryDirectory() + "spinekv-shard-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let files = PosixFileSystem()
    func open(_ name: String) throws -> ShardStore {
      try ShardStore(
        path: "\(root)/\(name)", fileSystem: files, configuration: ServerConfiguration(),
        nodeStoppedCleanly: true)
    }
    var store = try open("first")
    #expect(store.isIntact)
    try store.close(afterServing: true)
    store = try open("first")
    #expect(store.isIntact)
    try store.close()
    _ = try StoreInspector(at: "\(root)/first", fileSystem: files).backup(to: "\(root)/backup")
    try Store.restore(from: "\(root)/backup", to: "\(root)/second", fileSystem: files)
    for _ in 0..<2 {
      store = try open("second")
      #expect(!store.isIntact)
      // As when the start fails before the vnodes have new identities.
      try store.close()
    }
    store = try open("second")
    try store.close(afterServing: true)
    store = try open("second")
    #expect(store.isIntact)
    try store.close()
  }
}
