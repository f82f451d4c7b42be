import Foundation
import KVBase
import KVModel
import SwiftProtobuf
import Testing

@testable import KVProtocol

@Suite struct BucketPropertiesTests {
  private func update(
    _ present: BucketProperties = BucketProperties(), untyped: Bool = true,
    _ body: (inout RpbBucketProps) -> Void
  ) throws(ProtocolFailure) -> BucketProperties {
    try BucketPropertiesUpdate(RpbBucketProps.with(body)).applied(to: present, untyped: untyped)
  }

  private func problem(
    _ present: BucketProperties = BucketProperties(), untyped: Bool = true,
    _ body: (inout RpbBucketProps) -> Void
  ) -> String? {
    do throws(ProtocolFailure) {
      _ = try update(present, untyped: untyped, body)
      return nil
    } catch {
      return error.text
    }
  }

  @Test func `only what is sent changes`() throws {
    let changed = try update {
      $0.nVal = 5; $0.r = 0xFFFF_FFFC; $0.search = true
    }
    var expected = BucketProperties()
    expected.nVal = 5
    expected.r = .all
    expected.opaque = [Pair(key: Bytes("search".utf8), value: Bytes("true".utf8))]
    #expect(changed == expected)
  }

  @Test func `hooks change only with their flag, which also clears them`() throws {
    let hook = RpbCommitHook.with { $0.name = Data("js".utf8) }
    #expect(try update { $0.precommit = [hook] }.precommit.isEmpty)
    let hooked = try update {
      $0.precommit = [hook]; $0.hasPrecommit_p = true
    }
    #expect(hooked.precommit == [NamedFunction(module: nil, function: Bytes("js".utf8))])
    #expect(try update(hooked) { $0.hasPrecommit_p = true }.precommit.isEmpty)
  }

  @Test func `properties survive the way from server to client`() throws {
    var properties = BucketProperties(untyped: false)
    properties.nVal = 5
    properties.pw = .one
    properties.dw = .count(2)
    properties.nodeConfirms = .count(2)
    properties.syncOnWrite = .all
    properties.precommit = [NamedFunction(module: Bytes("m".utf8), function: Bytes("f".utf8))]
    properties.smallVclock = 7
    properties.basicQuorum = true
    properties.notFoundOK = false
    for (name, value) in [
      ("backend", "fast"), ("chash_keyfun", "m:f"), ("consistent", "true"), ("datatype", "map"),
      ("hll_precision", "14"), ("linkfun", "l:f"), ("repl", "2"), ("search", "false"),
      ("search_index", "i"), ("write_once", "true"), ("aae_tree_exclude", "true"),
    ] {
      properties[opaque: Bytes(name.utf8)] = Bytes(value.utf8)
    }
    let frame = ReplyEncoder.frames(.properties(properties), shape: .properties(untyped: false))[0]
    #expect(try WireReply(payload: frame) == .properties(properties))
  }

  @Test func `quorum words come back as the words' numbers`() throws {
    let message = RpbBucketProps(BucketProperties(), untyped: true)
    #expect(message.r == 0xFFFF_FFFD && message.pr == 0)
    #expect(message.writeOnce == false && message.hasWriteOnce)
    #expect(!RpbBucketProps(BucketProperties(untyped: false), untyped: false).hasWriteOnce)
  }

  @Test func `impossible values are refused with the reference's reasons`() {
    #expect(problem { $0.nVal = 0 } == "Invalid bucket properties: [{n_val,not_integer}]")
    #expect(
      problem {
        $0.r = 0; $0.dw = 0; $0.w = 0xFFFF_FFFB; $0.bigVclock = 0
      }
        == "Invalid bucket properties: [{big_vclock,not_integer},{r,not_valid_quorum},"
        + "{w,not_valid_quorum}]")
    #expect(
      problem(untyped: false) { $0.lastWriteWins = true }
        == "Invalid bucket properties: [{dvv_enabled,"
        + "\"If last_write_wins is true, dvv_enabled must be false\"}]")
    #expect(problem { $0.lastWriteWins = true } == nil)
  }

  @Test func `what a type was created with cannot change`() throws {
    var map = BucketProperties(untyped: false)
    map[opaque: Bytes("datatype".utf8)] = Bytes("map".utf8)
    #expect(problem(map, untyped: false) { $0.datatype = Data("map".utf8) } == nil)
    #expect(
      problem(map, untyped: false) { $0.datatype = Data("counter".utf8) }
        == "Invalid bucket properties: [{datatype,"
        + "\"counter not supported for bucket datatype property\"}]")
    #expect(problem(map, untyped: false) { $0.allowMult = false } != nil)
    #expect(problem { $0.datatype = Data("map".utf8) } != nil)
    #expect(problem { $0.writeOnce = true } != nil)
    #expect(problem { $0.writeOnce = false } == nil)
    #expect(problem { $0.consistent = true } != nil)
    var strong = BucketProperties(untyped: false)
    strong.isConsistent = true
    #expect(strong[opaque: Bytes("consistent".utf8)] == Bytes("true".utf8))
    #expect(problem(strong, untyped: false) { $0.nVal = 3 } == nil)
    #expect(
      problem(strong, untyped: false) { $0.nVal = 5 }
        == "Invalid bucket properties: [{n_val,"
        + "\"n_val cannot be modified for existing consistent type\"}]")
  }
}
