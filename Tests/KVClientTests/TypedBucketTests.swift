import Foundation
import KVBase
import KVModel
import KVProtocol
import SwiftProtobuf
import Synchronization
import Testing

@testable import KVClient

/// Codings and resolvers, against one stored object.
@Suite(.serialized) struct TypedBucketTests {
  private struct Item: Codable, Equatable, Sendable {
    var name: String
  }

  /// A server that stores one object.
  private final class Shelf: Sendable {
    let object = Mutex(KVObject())

    func server() async throws -> ScriptedServer {
      try await ScriptedServer { [self] request, _ in
        switch request {
        case .perform(.get, _): return .reply(.object(object.withLock { $0 }))
        case .perform(.put(_, let context, let content, _), _):
          _ = object.withLock { $0.write(content, context: context, by: VnodeID(rawValue: 1)) }
          return .reply(.stored(KVObject()))
        default: return .hangUp
        }
      }
    }

    func add(_ content: Content) {
      _ = object.withLock { $0.write(content, context: VersionVector(), by: VnodeID(rawValue: 1)) }
    }
  }

  private func client(_ server: ScriptedServer) -> KVClient {
    var configuration = KVClientConfiguration(endpoints: [server.endpoint])
    configuration.requestTimeout = .seconds(300)
    return KVClient(configuration: configuration)
  }

  private func code(_ body: () async throws(KVClientError) -> Void) async -> KVClientError.Code? {
    do throws(KVClientError) {
      try await body()
      return nil
    } catch {
      return error.code
    }
  }

  @Test func `protobuf messages are stored as their bytes`() async throws {
    let shelf = Shelf()
    let server = try await shelf.server()
    let client = client(server)
    let texts = TypedBucket<Google_Protobuf_StringValue>(
      client: client, bucket: "b", resolving: .refusing)
    try await texts.put(Google_Protobuf_StringValue("Ada"), at: "k")
    let stored = shelf.object.withLock { $0.siblings[0].content }
    #expect(stored.value == [0x0A, 3] + Bytes("Ada".utf8))
    #expect(stored.contentType == Bytes("application/protobuf".utf8))
    #expect(try await texts.get("k")?.value.value == "Ada")
    try await texts.update("k") { Google_Protobuf_StringValue(($0?.value ?? "") + "!") }
    let entry = try #require(try await texts.get("k"))
    #expect(entry.value.value == "Ada!" && !entry.hadSiblings)
    await client.close()
    await server.stop()
  }

  @Test func `what is no such message is undecodable`() async throws {
    for content in [
      Content(value: Bytes("{}".utf8), contentType: Bytes("application/json".utf8)),
      Content(value: [0xFF, 0xFF]),
    ] {
      let shelf = Shelf()
      shelf.add(content)
      let server = try await shelf.server()
      let client = client(server)
      let texts = TypedBucket<Google_Protobuf_StringValue>(
        client: client, bucket: "b", resolving: .newest)
      #expect(
        await code { () throws(KVClientError) in _ = try await texts.get("k") } == .undecodable)
      await client.close()
      await server.stop()
    }
  }

  @Test func `resolvers refuse, take the newest or merge, in any order of the siblings`()
    async throws
  {
    let contents = [("a", 3), ("b", 5), ("c", 5), ("d", 1)].map { name, time in
      Content(
        value: Bytes("{\"name\":\"\(name)\"}".utf8),
        lastModified: WallClock(microseconds: UInt64(time) * 1_000_000))
    }
    for order in [contents, contents.reversed()] {
      let shelf = Shelf()
      for content in order { shelf.add(content) }
      shelf.add(.tombstone(at: WallClock(microseconds: 9_000_000)))
      let server = try await shelf.server()
      let client = client(server)
      func read(_ resolver: ValueResolver<Item>) async throws -> TypedBucket<Item>.Entry? {
        try await TypedBucket(client: client, bucket: "b", resolving: resolver).get("k")
      }
      let refusing = TypedBucket<Item>(client: client, bucket: "b", resolving: .refusing)
      #expect(
        await code { () throws(KVClientError) in _ = try await refusing.get("k") }
          == .unresolvedSiblings)
      let newest = try #require(try await read(.newest))
      #expect(newest.value.name == "c" && newest.hadSiblings, "a delete beside it does not count")
      let joined = try await read(.merging { Item(name: $0.name + $1.name) })
      #expect(joined?.value.name == "abcd")
      let counted = try await read(.merging(all: { Item(name: "\($0.count)") }))
      #expect(counted?.value.name == "4")
      await client.close()
      await server.stop()
    }
  }

  @Test func `a coding of one's own is asked both ways`() async throws {
    struct Upper: ValueCoding {
      struct Broken: Error {}
      func content(of value: String) throws -> Content {
        guard !value.isEmpty else { throw Broken() }
        return Content(value: Bytes(value.uppercased().utf8))
      }
      func value(of content: Content) throws -> String {
        String(decoding: content.value, as: UTF8.self)
      }
    }
    let shelf = Shelf()
    let server = try await shelf.server()
    let client = client(server)
    let texts = TypedBucket<String>(
      client: client, bucket: "b", coding: Upper(),
      indexes: { [Pair(key: Bytes("t_bin".utf8), value: Bytes($0.utf8))] }, resolving: .newest)
    try await texts.put("ada", at: "k")
    #expect(try await texts.get("k")?.value == "ADA")
    #expect(
      shelf.object.withLock { $0.siblings[0].content.indexes.first?.value } == Bytes("ada".utf8))
    #expect(
      await code { () throws(KVClientError) in try await texts.put("", at: "k") }
        == .invalidArgument)
    await client.close()
    await server.stop()
  }
}
