import Foundation
import KVBase
import KVModel
import Testing

@testable import KVProtocol

/// AAE folds, from the bytes of the request to those of the answer.
@Suite struct FoldMessagesTests {
  private static let clock = VersionVector([Dot(actor: VnodeID(rawValue: 7), counter: 2)])

  private static func bytes(_ hex: String) -> Bytes {
    let digits = Bytes(hex.utf8).filter { $0 != 32 }
    return stride(from: 0, to: digits.count - 1, by: 2).map {
      UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16) ?? 0
    }
  }

  private static func hex(_ bytes: Bytes) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private static func found(_ key: String, _ value: Int = 0, type: String = "default")
    -> FoldResult.Found
  {
    FoldResult.Found(
      key: ObjectKey(
        bucket: BucketID(type: Bytes(type.utf8), name: Bytes("b".utf8)), key: Bytes(key.utf8)),
      value: value, clock: clock)
  }

  /// The requests that a frame leads to, given the node's answers, and the frame that ends it.
  private func run(
    _ frame: String, _ answer: (ClientRequest) -> [ClientReply]
  ) throws -> (requests: [ClientRequest], frame: String) {
    let decoded = try RequestDecoder.decode(Self.bytes(frame)) { [] }
    guard case .script(let request) = decoded else {
      Issue.record("\(decoded)")
      return ([], "")
    }
    var script = try request.script()
    var requests: [ClientRequest] = []
    var step = script.start()
    while case .request(let request) = step.next {
      requests.append(request)
      #expect(step.frames.isEmpty)
      for reply in answer(request) { step = script.receive(reply) }
    }
    #expect(step.next == .done && step.frames.count == 1)
    return (requests, Self.hex(step.frames.first ?? []))
  }

  private func query(_ requests: [ClientRequest]) throws -> FoldQuery {
    guard case .fold(let query)? = requests.first else {
      throw ProtocolFailure.refused("\(requests)")
    }
    return query
  }

  // d7 find keys, bucket b, no ranges, siblings above 1
  @Test func `keys are found by siblings and by size`() throws {
    var result = FoldResult()
    result.count = 1
    result.found = [Self.found("k", 3)]
    let siblings = try run("d7 120162 5000 c00200 900300 980301") { _ in [.folded(result)] }
    #expect(siblings.frame == "de0a0966696e645f6b65797312050a016b1803")
    var expected = FoldQuery(.siblings(moreThan: 1))
    expected.bucket = BucketID(name: Bytes("b".utf8))
    #expect(try query(siblings.requests) == expected)
    // type t, keys a to m, changed from 5 to 9, larger than 300 bytes
    let sizes = try run(
      "d7 0a0174 120162 5001 5a0161 62016d c00201 c80205 d00209 900301 9803ac02"
    ) { _ in [.folded(FoldResult())] }
    #expect(sizes.frame == "de0a0966696e645f6b657973")
    expected = FoldQuery(.size(moreThan: 300))
    expected.bucket = BucketID(type: Bytes("t".utf8), name: Bytes("b".utf8))
    expected.from = [97]
    expected.through = [109]
    expected.modifiedFrom = WallClock(microseconds: 5_000_000)
    expected.modifiedThrough = WallClock(microseconds: 9_999_999)
    #expect(try query(sizes.requests) == expected)
  }

  @Test func `numbers are told by magnitude and by siblings`() throws {
    var result = FoldResult()
    (result.count, result.byteCount) = (3, 1300)
    result.sizes = [0, 0, 0, 2, 1]
    result.siblings = [0, 2, 1]
    let (_, frame) = try run("d8 120162 5000 c00200") { _ in [.folded(result)] }
    let stats =
      "0a057374617473" + "120f0a0b746f74616c5f636f756e741803"
      + "120f0a0a746f74616c5f73697a6518940a"
    let sizes = "120b0a0573697a657310021802" + "120b0a0573697a657310031801"
    let siblings =
      "120e0a087369626c696e677310011802" + "120e0a087369626c696e677310021801"
    #expect(frame == "de" + stats + sizes + siblings)
  }

  @Test func `tombstones are told with their clocks`() throws {
    var result = FoldResult()
    result.count = 2
    result.found = [Self.found("k"), Self.found("l", type: "t")]
    let (requests, frame) = try run("da 120162 5000 f00100 c00200") { _ in [.folded(result)] }
    #expect(try query(requests).kind == .tombstones)
    let clock = Self.hex(Self.clock.clientBytes)
    let size = Self.clock.clientBytes.count
    func item(_ type: String, _ key: String) -> String {
      let body = type + "1201621a01\(key)22\(Self.hex([UInt8(size)]))\(clock)"
      return "12\(Self.hex([UInt8(body.count / 2)]))\(body)"
    }
    #expect(frame == "dd0a05636c6f636b" + item("", "6b") + item("0a0174", "6c"))
  }

  @Test func `objects are changed page by page, and those that cannot be are left out`() throws {
    var result = FoldResult()
    // More fit than the first page names.
    result.count = 3
    result.found = [Self.found("k"), Self.found("l")]
    var last = FoldResult()
    last.count = 1
    last.found = [Self.found("m")]
    var pages = [last, result]
    let (requests, frame) = try run("e7 120162 5000 f00100 c00200 900301") { request in
      switch request {
      case .fold: return [.folded(pages.removeLast())]
      case .delete(let key, let context, _):
        #expect(context == Self.clock)
        return [key.key == [108] ? .failure(.timeout) : .deleted]
      default: return []
      }
    }
    #expect(requests.count == 5)
    guard case .fold(let second) = requests[3] else {
      Issue.record("\(requests)")
      return
    }
    #expect(second.kind == .live && second.from == [108, 0])
    #expect(frame == "de0a0a65726173655f6b65797312140a10646973706174636865645f636f756e741803")
    let repair = try run("db 120162 5000 c00200") { request in
      guard case .get(_, let options) = request else { return [.folded(last)] }
      #expect(options.r == .all)
      return [.object(KVObject())]
    }
    #expect(repair.frame.hasPrefix("de0a0b7265706169725f6b657973"))
  }

  @Test func `changes can be counted only, and tombstones are queued together`() throws {
    var result = FoldResult()
    result.count = 300
    let count = try run("e6 120162 5000 f00100 c00200 900302") { _ in [.folded(result)] }
    #expect(count.requests.count == 1)
    #expect(
      count.frame == "de0a0a726561705f746f6d627312150a10646973706174636865645f636f756e7418ac02")
    result.found = (0..<300).map { Self.found("\(100 + $0)") }
    let reap = try run("e6 120162 5000 f00100 c00200 900300 980301") { request in
      if case .reap(let keys) = request {
        #expect(keys == result.found.map(\.key))
        return [.reapQueued]
      }
      return [.folded(result)]
    }
    #expect(reap.requests.count == 2 && reap.frame == count.frame)
    let refused = try run("e6 120162 5000 f00100 c00200 900301") { request in
      if case .reap = request { return [.failure(.refused("tombstones are kept"))] }
      return [.folded(result)]
    }
    #expect(refused.frame.hasPrefix("00"))
  }

  @Test func `buckets of all types are listed`() throws {
    let (requests, frame) = try run("df 0803") { request in
      switch request {
      case .bucketTypes: [.bucketTypes([Bytes("default".utf8), [116]])]
      case .listBuckets(let type, _):
        type == [116]
          ? [.buckets([[97]], done: false), .buckets([[98], [97]], done: true)]
          : [.buckets([[99]], done: true)]
      default: [.failure(.timeout)]
      }
    }
    #expect(requests.count == 3)
    #expect(frame == "e0" + "0a03120163" + "0a060a0174120161" + "0a060a0174120162")
  }

  @Test func `what is not offered or not whole is refused`() {
    for (frame, text) in [
      ("da 120162 5000 f00101 c00200", FoldFilter.segmentRefusal),
      ("d2 0803", "Unknown message code: 210"), ("d9 120162", "Unknown message code: 217"),
    ] {
      #expect(throws: ProtocolFailure.refused(text)) {
        guard
          case .script(let request) = try RequestDecoder.decode(Self.bytes(frame), makeKey: { [] })
        else { return }
        _ = try request.script()
      }
    }
    for frame in ["d7 120162 5000 c00200 900300", "d8 120162", "e7 120162 5000 c00200", "d8 5000"] {
      #expect(throws: ProtocolFailure.self) {
        guard
          case .script(let request) = try RequestDecoder.decode(Self.bytes(frame), makeKey: { [] })
        else { return }
        _ = try request.script()
      }
    }
  }

  @Test func `filters over HTTP say the same as fields`() throws {
    func filter(_ json: String) throws -> FoldFilter {
      try FoldFilter(Data(json.utf8).base64EncodedString(), bucket: BucketID(name: [98]))
    }
    let read = try filter(
      #"{"key_range":{"start":"a","end":"m"},"date_range":{"start":5,"end":9},"hash_iv":7,"#
        + #""segment_filter":null,"change_method":{"job":3}}"#)
    #expect(read.query.from == [97] && read.query.through == [109] && read.isCount == false)
    #expect(read.query.modifiedThrough == WallClock(microseconds: 9_999_999))
    #expect(try filter(#"{"change_method":"count"}"#).isCount == true)
    #expect(try FoldFilter(nil, bucket: BucketID(name: [98])).isCount == nil)
    for wrong in [
      "[]", #"{"key_range":{"start":"a"}}"#, #"{"date_range":{"start":-1,"end":2}}"#,
      #"{"change_method":"all"}"#, #"{"segment_filter":{"segments":[1],"tree_size":"large"}}"#,
      #"{"x":1}"#,
    ] {
      #expect(throws: FoldFilter.Failure.self) { try filter(wrong) }
    }
    #expect(throws: FoldFilter.Failure.self) {
      try FoldFilter("?", bucket: BucketID(name: [98]))
    }
  }
}
