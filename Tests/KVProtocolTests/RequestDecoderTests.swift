import Foundation
import KVBase
import KVModel
import SwiftProtobuf
import Testing

@testable import KVProtocol

@Suite struct RequestDecoderTests {
  private func decode(_ payload: Bytes) throws(ProtocolFailure) -> SessionRequest {
    try RequestDecoder.decode(payload) { Bytes("generated".utf8) }
  }

  private func failure(_ payload: Bytes) -> ProtocolFailure? {
    do throws(ProtocolFailure) {
      _ = try decode(payload)
      return nil
    } catch {
      return error
    }
  }

  private let key = ObjectKey(bucket: "b", key: "k")

  @Test func `every get option survives the way from client to server`() throws {
    var options = GetOptions()
    options.r = .all
    options.pr = .count(2)
    options.nodeConfirms = .one
    options.basicQuorum = true
    options.notFoundOK = false
    options.timeout = .milliseconds(1234)
    options.sloppyQuorum = false
    options.nVal = 2
    options.headOnly = true
    let context = VersionVector([Dot(actor: VnodeID(rawValue: 1), counter: 3)])
    let typed = ObjectKey(type: "t", bucket: "b", key: "k")
    let payload = WireRequest.get(
      typed, options, ifModified: context.clientBytes, tombstoneContext: true
    ).payload
    #expect(
      try decode(payload)
        == .perform(
          .get(typed, options),
          .object(ifModified: context, headOnly: true, tombstoneClock: true)))
  }

  @Test func `every put option survives the way from client to server`() throws {
    var options = PutOptions()
    options.w = .quorum
    options.dw = .count(3)
    options.pw = .one
    options.nodeConfirms = .count(2)
    options.timeout = .milliseconds(7)
    options.sloppyQuorum = false
    options.nVal = 3
    options.syncOnWrite = .all
    options.ifNoneMatch = true
    options.ifNotModified = true
    options.returnBody = true
    let content = Content(
      value: [0, 1, 255], contentType: Bytes("text/plain".utf8), charset: Bytes("utf-8".utf8),
      contentEncoding: Bytes("gzip".utf8),
      links: [Link(bucket: [1], key: nil, tag: []), Link(bucket: nil, key: [2], tag: [3])],
      userMetadata: [Pair(key: [2], value: nil), Pair(key: [1], value: [])],
      indexes: [Pair(key: Bytes("a_bin".utf8), value: [7])])
    let context = VersionVector([Dot(actor: VnodeID(rawValue: 9), counter: 1)])
    let payload = WireRequest.put(
      key.bucket, key: key.key, context: context.clientBytes, content, options
    ).payload
    #expect(
      try decode(payload)
        == .perform(
          .put(key, context: context, content, options),
          .stored(generatedKey: nil, headOnly: false)))
  }

  @Test func `every delete option survives the way from client to server`() throws {
    var options = DeleteOptions()
    options.rw = .all
    options.r = .one
    options.w = .quorum
    options.pr = .count(1)
    options.pw = .count(2)
    options.dw = .count(3)
    options.timeout = .seconds(1)
    options.sloppyQuorum = false
    options.nVal = 1
    let context = VersionVector([Dot(actor: VnodeID(rawValue: 9), counter: 1)])
    #expect(
      try decode(
        WireRequest.delete(key, context: context.clientBytes, options).payload)
        == .perform(.delete(key, context: context, options), .deleted))
    #expect(
      try decode(WireRequest.delete(key, context: nil, DeleteOptions()).payload)
        == .perform(.delete(key, context: nil, DeleteOptions()), .deleted))
  }

  @Test func `a quorum field of "default" is the same as none`() throws {
    let message = RpbGetReq.with {
      $0.bucket = Data([1])
      $0.key = Data([2])
      $0.r = 0xFFFF_FFFB
      $0.pr = 0xFFFF_FFFD
    }
    guard
      case .perform(.get(_, let options), _) = try decode(
        FrameEncoding.payload(.get, message))
    else { return #expect(Bool(false)) }
    #expect(options.r == nil)
    #expect(options.pr == .quorum)
  }

  @Test func `a put without a key gets a generated one`() throws {
    let payload = WireRequest.put(
      key.bucket, key: nil, context: nil, Content(value: [1]), PutOptions()
    ).payload
    guard case .perform(.put(let made, _, _, _), let shape) = try decode(payload) else {
      return #expect(Bool(false))
    }
    #expect(made.key == Bytes("generated".utf8))
    #expect(shape == .stored(generatedKey: made.key, headOnly: false))
  }

  @Test(arguments: [
    (
      RpbGetReq.with {
        $0.bucket = Data(); $0.key = Data([1])
      }, "Bucket cannot be zero-length"
    ),
    (
      RpbGetReq.with {
        $0.bucket = Data([1]); $0.key = Data()
      }, "Key cannot be zero-length"
    ),
    (
      RpbGetReq.with {
        $0.bucket = Data([1]); $0.key = Data([1]); $0.type = Data()
      },
      "Type cannot be zero-length"
    ),
  ])
  func `empty names are refused by name`(message: RpbGetReq, text: String) {
    #expect(failure(FrameEncoding.payload(.get, message)) == .refused(text))
  }

  @Test func `unknown codes, codes of answers and TLS are refused and the connection stays`() {
    let offered: Set<UInt8> = [33, 40, 50, 52, 80, 82, 215, 216, 218, 219, 223, 230, 231]
    for code in [UInt8](Array(34...254)) + [0, 2, 10, 12, 24, 26, 27] where !offered.contains(code)
    {
      #expect(failure([code]) == .refused("Unknown message code: \(code)"))
    }
    #expect(failure([255]) == .refused("Security not enabled; STARTTLS not allowed."))
  }

  @Test(arguments: [9, 11, 13, 17, 19, 21, 29, 5] as [UInt8])
  func `missing required fields and garbage end the connection`(code: UInt8) {
    for body in [[], [0xFF, 0xFF, 0xFF], [0x0A, 0x7F, 1]] as [Bytes] {
      let problem = failure([code] + body)
      #expect(problem?.closesConnection == true)
      #expect(problem?.text.hasPrefix("Error processing incoming message: error:") == true)
    }
  }

  @Test func `a clock that is not one of ours ends the connection`() {
    let bytes = Bytes("k\u{0}not a clock".utf8)
    for payload in [
      WireRequest.put(key.bucket, key: key.key, context: bytes, Content(value: []), PutOptions()),
      .delete(key, context: bytes, DeleteOptions()),
      .get(key, GetOptions(), ifModified: bytes, tombstoneContext: false),
    ].map(\.payload) {
      #expect(failure(payload)?.closesConnection == true)
    }
  }

  @Test func `deleting what cannot exist succeeds at once`() throws {
    let nameless = ObjectKey(bucket: BucketID(name: []), key: [1])
    #expect(
      try decode(WireRequest.delete(nameless, context: nil, DeleteOptions()).payload)
        == .answer([14]))
  }

  @Test func `index entries are checked and brought to one form`() throws {
    let content = Content(
      value: [],
      indexes: [
        Pair(key: Bytes("Age_INT".utf8), value: Bytes("+007".utf8)),
        Pair(key: Bytes("age_int".utf8), value: Bytes("7".utf8)),
        Pair(key: Bytes("NAME_bin".utf8), value: Bytes("Smith".utf8)),
      ])
    guard
      case .perform(.put(_, _, let stored, _), _) = try decode(
        WireRequest.put(key.bucket, key: [1], context: nil, content, PutOptions()).payload)
    else { return #expect(Bool(false)) }
    #expect(
      stored.indexes == [
        Pair(key: Bytes("age_int".utf8), value: Bytes("7".utf8)),
        Pair(key: Bytes("name_bin".utf8), value: Bytes("Smith".utf8)),
      ])
  }

  @Test func `bad index entries are named as the reference names them`() {
    let content = Content(
      value: [],
      indexes: [
        Pair(key: Bytes("a_foo".utf8), value: [1]),
        Pair(key: Bytes("x_int".utf8), value: Bytes("abc".utf8)),
        Pair(key: Bytes("y_int".utf8), value: nil),
      ])
    let text =
      #"{precommit_fail,[{unknown_field_type,<<"a_foo">>},"#
      + #"{field_parsing_failed,{<<"x_int">>,<<"abc">>}},{field_parsing_failed,{<<"y_int">>,<<"">>}}]}"#
    #expect(
      failure(
        WireRequest.put(key.bucket, key: [1], context: nil, content, PutOptions()).payload)
        == .refused(text))
  }

  @Test(arguments: [
    ("0", "0"), ("-0", "0"), ("+5", "5"), ("-0012", "-12"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
  ])
  func `integers of any size have one shortest form`(text: String, shortest: String) {
    #expect(IndexRules.shortestInteger(Bytes(text.utf8)) == Bytes(shortest.utf8))
  }

  @Test(arguments: ["", "-", "+", "1.0", "0x1", " 1", "1 ", "--1"])
  func `other texts are no integers`(text: String) {
    #expect(IndexRules.shortestInteger(Bytes(text.utf8)) == nil)
  }
}
