import Foundation
import KVBase
import KVCluster
import KVModel
import Logging
import Testing

@testable import KVServer

/// Whole nodes in this process, with real disks and sockets.
@Suite(.serialized) struct NodeRuntimeTests {
  private func configuration(_ name: String, in directory: URL) -> ServerConfiguration {
    var configuration = ServerConfiguration()
    configuration.nodeName = "\(name)@127.0.0.1"
    configuration.dataDirectory = directory.appending(path: name).path
    configuration.ringSize = 8
    configuration.shardCount = 2
    configuration.clientEndpoint = Endpoint(host: "127.0.0.1", port: 0)
    configuration.httpEndpoint = Endpoint(host: "127.0.0.1", port: 0)
    configuration.peerEndpoint = Endpoint(host: "127.0.0.1", port: 0)
    return configuration
  }

  private func withDirectory(_ body: (URL) async throws -> Void) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(
      path: "spinekv-runtime-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    try await body(directory)
  }

  private var logger: Logger {
    var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    logger.logLevel = .critical
    return logger
  }

  private func key(_ number: Int) -> ObjectKey { ObjectKey(bucket: "b", key: "k\(number)") }

  private func put(_ number: Int, at node: NodeRuntime) async -> ClientReply? {
    await node.perform(
      .put(
        key(number), context: VersionVector(), Content(value: Array("v\(number)".utf8)),
        PutOptions())
    ).last
  }

  private func values(_ number: Int, at node: NodeRuntime) async -> [Bytes] {
    guard case .object(let object)? = await node.perform(.get(key(number), GetOptions())).last
    else { return [] }
    return object.siblings.map(\.content.value)
  }

  @Test func `what one process stored the next one finds, and knows that the stop was in order`()
    async throws
  {
    try await withDirectory { directory in
      let first = try await NodeRuntime.start(configuration("a", in: directory), logger: logger)
      for number in 0..<50 {
        guard case .stored? = await put(number, at: first) else {
          Issue.record("put \(number)")
          return
        }
      }
      try await first.stop()
      let mark = directory.appending(path: "a/clean-shutdown").path
      #expect(FileManager.default.fileExists(atPath: mark))
      let second = try await NodeRuntime.start(configuration("a", in: directory), logger: logger)
      #expect(!FileManager.default.fileExists(atPath: mark))
      for number in 0..<50 {
        #expect(await values(number, at: second) == [Array("v\(number)".utf8)])
      }
      try await second.stop()
    }
  }

  @Test func `encrypted stores need their key, and change it at a start`() async throws {
    try await withDirectory { directory in
      let keyFile = directory.appending(path: "key").path
      let keys = ["11", "22"].map { String(repeating: $0, count: 32) }
      func start(keys: [String]) async throws -> NodeRuntime {
        _ = FileManager.default.createFile(
          atPath: keyFile, contents: Data(keys.joined(separator: "\n").utf8),
          attributes: [.posixPermissions: 0o600])
        var configuration = configuration("a", in: directory)
        configuration.encryptionKeyFile = keyFile
        return try await NodeRuntime.start(configuration, logger: logger)
      }
      let first = try await start(keys: [keys[0]])
      guard case .stored? = await put(1, at: first) else {
        Issue.record("not stored")
        return
      }
      try await first.stop()
      let wrong = await #expect(throws: ServerError.self) { try await start(keys: [keys[1]]) }
      #expect(wrong?.code == .store && wrong?.message.contains("1019") == true, "\(wrong as Any)")
      await #expect(throws: ServerError.self) {
        try await NodeRuntime.start(configuration("a", in: directory), logger: logger)
      }
      let changed = try await start(keys: [keys[1], keys[0]])
      #expect(await values(1, at: changed) == [Array("v1".utf8)])
      try await changed.stop()
      var byCommand = configuration("a", in: directory)
      byCommand.encryptionKeyCommand = "echo \(keys[1])"
      let last = try await NodeRuntime.start(byCommand, logger: logger)
      #expect(await values(1, at: last) == [Array("v1".utf8)])
      try await last.stop()
    }
  }

  @Test func `two nodes in one process form a cluster over their sockets`() async throws {
    try await withDirectory { directory in
      let a = try await NodeRuntime.start(configuration("a", in: directory), logger: logger)
      let b = try await NodeRuntime.start(configuration("b", in: directory), logger: logger)
      let join = await b.administer(
        .join(Endpoint(host: "127.0.0.1", port: UInt16(a.peerPort))))
      guard case .done? = join else {
        Issue.record("join: \(String(describing: join))")
        return
      }
      #expect(
        await eventually {
          guard case .plan(let plan)? = await a.administer(.plan) else { return false }
          return plan.changes.count == 1
        })
      #expect(
        await eventually {
          guard case .plan? = await a.administer(.plan),
            case .done? = await a.administer(.commit)
          else { return false }
          return true
        })
      #expect(
        await eventually {
          guard case .status(let status)? = await b.administer(.status) else { return false }
          return status.isRingReady && status.transfers.isEmpty
            && status.members.map(\.partitions) == [4, 4]
        })
      for number in 0..<20 {
        guard case .stored? = await put(number, at: a) else {
          Issue.record("put \(number)")
          return
        }
        #expect(await values(number, at: b) == [Array("v\(number)".utf8)])
      }
      try await a.stop()
      try await b.stop()
    }
  }

  @Test func `a bucket that is dropped is empty and takes new writes`() async throws {
    try await withDirectory { directory in
      let node = try await NodeRuntime.start(configuration("a", in: directory), logger: logger)
      for number in 0..<20 { #expect(await put(number, at: node) == .stored(KVObject())) }
      let unknown = BucketID(type: Array("t".utf8), name: Array("b".utf8))
      #expect(
        await node.perform(.dropBucket(unknown)).last == .failure(.unknownBucketType(unknown.type)))
      #expect(await node.perform(.dropBucket(key(0).bucket)).last == .propertiesStored)
      for number in 0..<20 { #expect(await values(number, at: node).isEmpty) }
      #expect(await put(3, at: node) == .stored(KVObject()))
      #expect(await values(3, at: node).count == 1)
      try await node.stop()
    }
  }

  @Test func `a data directory cannot be opened twice`() async throws {
    try await withDirectory { directory in
      let settings = configuration("a", in: directory)
      let first = try await NodeRuntime.start(settings, logger: logger)
      await #expect {
        _ = try await NodeRuntime.start(settings, logger: logger)
      } throws: {
        ($0 as? ServerError)?.code == .locked
      }
      try await first.stop()
    }
  }

  @Test func `fixed settings may not change`() async throws {
    try await withDirectory { directory in
      var settings = configuration("a", in: directory)
      try await NodeRuntime.start(settings, logger: logger).stop()
      settings.shardCount = 3
      await #expect {
        _ = try await NodeRuntime.start(settings, logger: logger)
      } throws: {
        ($0 as? ServerError)?.code == .identityMismatch
      }
    }
  }

  @Test func `a data directory keeps the layout of shards it was made with`() async throws {
    try await withDirectory { directory in
      var settings = configuration("a", in: directory)
      settings.shardCount = 2
      let made = try NodeDirectory.open(settings, processorCount: 2)
      made.release()
      #expect(made.identity.shardLayout == .spread)
      let path = "\(settings.dataDirectory)/node.toml"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text.contains("format = 2"))
      // As a release made it that knew one layout only.
      try text.replacing("format = 2", with: "format = 1")
        .write(toFile: path, atomically: true, encoding: .utf8)
      let found = try NodeDirectory.open(settings, processorCount: 2)
      found.release()
      #expect(found.identity.shardLayout == .modulo)
      try text.replacing("format = 2", with: "format = 3")
        .write(toFile: path, atomically: true, encoding: .utf8)
      #expect(throws: ServerError.self) {
        _ = try NodeDirectory.open(settings, processorCount: 2)
      }
    }
  }

  private func eventually(_ isTrue: () async -> Bool) async -> Bool {
    for _ in 0..<200 {
      if await isTrue() { return true }
      try? await Task.sleep(for: .milliseconds(50))
    }
    return false
  }
}
