import KVBase
import KVModel
import Testing

@testable import KVProtocol

@Suite struct ReplyEncoderTests {
  private let actor = VnodeID(rawValue: 7)

  private func object(_ contents: Content...) -> KVObject {
    var object = KVObject()
    for content in contents { object.write(content, context: VersionVector(), by: actor) }
    return object
  }

  private func reply(_ reply: ClientReply, _ shape: ReplyShape) throws -> [WireReply] {
    try ReplyEncoder.frames(reply, shape: shape).map { try WireReply(payload: $0) }
  }

  private let plain = ReplyShape.object(
    ifModified: VersionVector(), headOnly: false, tombstoneClock: false)

  @Test func `a found object has all siblings, tags, times and the clock`() throws {
    let time = WallClock(microseconds: 1_700_000_000_123_456)
    let object = object(
      Content(value: [1], vtag: Bytes("tag".utf8), lastModified: time),
      .tombstone(at: time))
    guard case .got(let contents, let context, false) = try reply(.object(object), plain)[0]
    else { return #expect(Bool(false)) }
    #expect(contents.count == 2)
    #expect(contents[0] == object.siblings[0].content)
    #expect(contents[1].isTombstone)
    #expect(contents[1].vtag.count >= 20, "a missing tag is made from the event")
    #expect(context == object.clock.clientBytes)
  }

  @Test func `not found and deleted are the same five bytes, unless the clock is wanted`() throws {
    let deleted = object(.tombstone(at: WallClock(microseconds: 1)))
    let withClock = ReplyShape.object(
      ifModified: VersionVector(), headOnly: false, tombstoneClock: true)
    #expect(ReplyEncoder.frames(.object(KVObject()), shape: plain) == [[10]])
    #expect(ReplyEncoder.frames(.object(KVObject()), shape: withClock) == [[10]])
    #expect(ReplyEncoder.frames(.object(deleted), shape: plain) == [[10]])
    #expect(
      try reply(.object(deleted), withClock) == [
        .got([], context: deleted.clock.clientBytes, isUnchanged: false)
      ])
  }

  @Test func `an equal clock is answered unchanged, an empty one never`() throws {
    let object = object(Content(value: [1]))
    let same = ReplyShape.object(
      ifModified: object.clock, headOnly: false, tombstoneClock: false)
    #expect(ReplyEncoder.frames(.object(object), shape: same) == [[10, 0x18, 1]])
    guard case .got(_, _, isUnchanged: false) = try reply(.object(object), plain)[0] else {
      return #expect(Bool(false))
    }
  }

  @Test func `heads have empty values that are present`() throws {
    let object = object(Content(value: [1, 2, 3], contentType: [65]))
    let head = ReplyShape.object(
      ifModified: VersionVector(), headOnly: true, tombstoneClock: false)
    let frame = ReplyEncoder.frames(.object(object), shape: head)[0]
    guard case .got(let contents, _, _) = try WireReply(payload: frame) else {
      return #expect(Bool(false))
    }
    #expect(contents[0].value == [] && contents[0].contentType == [65])
    #expect(frame[2...].dropFirst().starts(with: [0x0A, 0x00]), "the value's field is written")
  }

  @Test func `a put answers nothing, the body, or the key it made`() throws {
    #expect(
      ReplyEncoder.frames(.stored(KVObject()), shape: .stored(generatedKey: nil, headOnly: false))
        == [[12]])
    let object = object(Content(value: [5]))
    guard
      case .stored(let contents, .some, let key) = try reply(
        .stored(object), .stored(generatedKey: [9], headOnly: false))[0]
    else { return #expect(Bool(false)) }
    #expect(contents.map(\.value) == [[5]])
    #expect(key == [9])
  }

  @Test func `listings are cut into messages and end with done`() throws {
    let names = (0..<2500).map { Bytes("\($0)".utf8) }
    let frames = try reply(.keys(names, done: true), .keys)
    #expect(frames.count == 4)
    #expect(frames.last == .keys([], done: true))
    #expect(
      frames.flatMap { if case .keys(let some, _) = $0 { some } else { [Bytes]() } } == names)
    #expect(ReplyEncoder.frames(.keys([], done: false), shape: .keys) == [])
    let long = [Bytes](repeating: Bytes(repeating: 7, count: 600_000), count: 5)
    #expect(try reply(.keys(long, done: true), .keys).count == 4)
    #expect(
      try reply(.buckets(names, done: true), .buckets(streamed: false)) == [
        .buckets(names, done: false)
      ])
  }

  @Test(arguments: [
    (RequestFailure.timeout, "timeout"), (.overload, "overload"),
    (.rUnsatisfied(need: 2, got: 1), "{r_val_unsatisfied,2,1}"),
    (.prUnsatisfied(need: 2, got: 0), "{pr_val_unsatisfied,2,0}"),
    (.dwUnsatisfied(need: 3, got: 1), "{dw_val_unsatisfied,3,1}"),
    (.pwUnsatisfied(need: 3, got: 2), "{pw_val_unsatisfied,3,2}"),
    (.nodeConfirmsUnsatisfied(need: 2, got: 1), "{node_confirms_val_unsatisfied,2,1}"),
    (.insufficientNodes(need: 2, got: 1), "{insufficient_nodes,1,need,2}"),
    (.insufficientVnodes(need: 2, got: 1), "{insufficient_vnodes,1,need,2}"),
    (.nValViolation(3), "{n_val_violation,3}"),
    (.quorumViolation(option: "pw", value: 9), "{pw_val_violation,9}"),
    (.allNodesDown, "all_nodes_down"), (.matchFound, "match_found"), (.modified, "modified"),
    (.failed, "failed"),
    (.notFound, "notfound"), (.unknownBucketType([]), "no_type"),
    (.tooLarge("60 MB"), "{too_large,\"60 MB\"}"), (.storage("disk"), "{storage_error,\"disk\"}"),
  ])
  func `failures read as clients know them, and are read back`(
    failure: RequestFailure, text: String
  ) {
    #expect(failure.text() == text)
    #expect(RequestFailure(text: text) == failure)
  }

  @Test func `an unknown type reads differently for objects, buckets and types`() {
    let failure = RequestFailure.unknownBucketType(Bytes("T".utf8))
    #expect(failure.text(for: .object) == "no_type")
    #expect(failure.text(for: .bucket) == "No bucket-type named 'T'")
    #expect(failure.text(for: .bucketType) == "Invalid bucket type: <<\"T\">>")
    #expect(RequestFailure(text: "No bucket-type named 'T'") == failure)
  }

  @Test func `generated keys are 27 characters or so and all different`() {
    var random = SeededRandom(seed: 1)
    let keys = Set((0..<1000).map { _ in Base62.key(using: &random) })
    #expect(keys.count == 1000)
    #expect(keys.allSatisfy { (24...27).contains($0.count) })
    #expect(Base62.text([0, 0]) == Bytes("0".utf8))
    #expect(Base62.text([61]) == Bytes("z".utf8))
    #expect(Base62.text([1, 0]) == Bytes("48".utf8))
  }
}

@Suite struct ProtocolDocumentTests {
  /// Docs/Protocols.md shows these bytes.
  @Test func `the examples of the document are what is sent`() {
    let key = ObjectKey(bucket: "b", key: "k")
    let get = WireRequest.get(key, GetOptions(), ifModified: nil, tombstoneContext: false)
    #expect(get.payload == [0x09, 0x0A, 0x01, 0x62, 0x12, 0x01, 0x6B])
    let put = WireRequest.put(
      key.bucket, key: key.key, context: nil, Content(value: Bytes("v".utf8)), PutOptions())
    #expect(
      put.payload == [0x0B, 0x0A, 0x01, 0x62, 0x12, 0x01, 0x6B, 0x22, 0x03, 0x0A, 0x01, 0x76])
    #expect(
      ReplyEncoder.error("timeout") == [0x00, 0x0A, 0x07] + Bytes("timeout".utf8) + [0x10, 0x00])
  }
}
