import Foundation
import KVBase
import KVModel
import SwiftProtobuf
import Testing

@testable import KVProtocol

/// The hand-written codecs against the generated ones.
@Suite struct HandWrittenCodecTests {
  private static func bytes(_ random: inout SeededRandom, _ most: Int = 20) -> Bytes {
    (0..<random.below(most + 1)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  private static func number(_ random: inout SeededRandom) -> UInt32 {
    [0, 1, 3, 127, 128, 300_000, 0xFFFF_FFFE, 0xFFFF_FFFF][random.below(8)]
  }

  private static func getRequest(_ random: inout SeededRandom) -> RpbGetReq {
    var message = RpbGetReq()
    message.bucket = Data(bytes(&random))
    message.key = Data(bytes(&random))
    if random.chance(0.3) { message.r = number(&random) }
    if random.chance(0.3) { message.pr = number(&random) }
    if random.chance(0.3) { message.basicQuorum = random.chance(0.5) }
    if random.chance(0.3) { message.notfoundOk = random.chance(0.5) }
    if random.chance(0.3) { message.ifModified = Data(bytes(&random)) }
    if random.chance(0.3) { message.head = random.chance(0.5) }
    if random.chance(0.3) { message.deletedvclock = random.chance(0.5) }
    if random.chance(0.3) { message.timeout = number(&random) }
    if random.chance(0.3) { message.sloppyQuorum = random.chance(0.5) }
    if random.chance(0.3) { message.nVal = number(&random) }
    if random.chance(0.3) { message.type = Data(bytes(&random)) }
    if random.chance(0.3) { message.nodeConfirms = number(&random) }
    return message
  }

  private static func content(_ random: inout SeededRandom) -> Content {
    func some(_ random: inout SeededRandom) -> Bytes? {
      random.chance(0.5) ? bytes(&random) : nil
    }
    var content = Content(value: bytes(&random, 300))
    content.contentType = some(&random)
    content.charset = some(&random)
    content.contentEncoding = some(&random)
    for _ in 0..<random.below(3) {
      content.links.append(Link(bucket: some(&random), key: some(&random), tag: some(&random)))
    }
    for _ in 0..<random.below(3) {
      content.userMetadata.append(Pair(key: bytes(&random, 200), value: some(&random)))
      content.indexes.append(Pair(key: bytes(&random), value: some(&random)))
    }
    content.isTombstone = random.chance(0.2)
    content.vtag = some(&random) ?? []
    content.lastModified = WallClock(microseconds: random.next() >> UInt64(random.below(60)))
    return content
  }

  private static func putRequest(_ random: inout SeededRandom) -> RpbPutReq {
    var message = RpbPutReq()
    message.bucket = Data(bytes(&random))
    if random.chance(0.7) { message.key = Data(bytes(&random)) }
    if random.chance(0.3) { message.vclock = Data(bytes(&random)) }
    message.content = RpbContent(content(&random))
    if random.chance(0.3) { message.content.vtag = Data(bytes(&random)) }
    if random.chance(0.3) { message.content.lastMod = number(&random) }
    if random.chance(0.3) { message.content.lastModUsecs = number(&random) }
    if random.chance(0.3) { message.w = number(&random) }
    if random.chance(0.3) { message.dw = number(&random) }
    if random.chance(0.3) { message.returnBody = random.chance(0.5) }
    if random.chance(0.3) { message.pw = number(&random) }
    if random.chance(0.3) { message.ifNotModified = random.chance(0.5) }
    if random.chance(0.3) { message.ifNoneMatch = random.chance(0.5) }
    if random.chance(0.3) { message.returnHead = random.chance(0.5) }
    if random.chance(0.3) { message.timeout = number(&random) }
    if random.chance(0.3) { message.asis = random.chance(0.5) }
    if random.chance(0.3) { message.sloppyQuorum = random.chance(0.5) }
    if random.chance(0.3) { message.nVal = number(&random) }
    if random.chance(0.3) { message.type = Data(bytes(&random)) }
    if random.chance(0.3) { message.nodeConfirms = number(&random) }
    if random.chance(0.3) { message.syncOnWrite = Data(bytes(&random)) }
    return message
  }

  private static func isEqual(
    _ frame: Bytes, _ fields: GetRequestFields
  ) -> Bool {
    guard
      let message = try? RpbGetReq(serializedBytes: Bytes(frame.dropFirst()), partial: true)
    else { return false }
    return fields == GetRequestFields(message)
  }

  @Test func `random get requests read the same`() throws {
    var random = SeededRandom(seed: 1)
    for _ in 0..<5_000 {
      let message = Self.getRequest(&random)
      let frame = FrameEncoding.payload(.get, message)
      #expect(GetRequestFields(frame: frame) == GetRequestFields(message))
    }
  }

  @Test func `random put requests read the same`() throws {
    var random = SeededRandom(seed: 2)
    for _ in 0..<5_000 {
      let message = Self.putRequest(&random)
      let frame = FrameEncoding.payload(.put, message)
      #expect(PutRequestFields(frame: frame) == PutRequestFields(message))
    }
  }

  @Test func `what is read of damaged requests is what the generated code reads`() throws {
    var random = SeededRandom(seed: 3)
    var reads = 0
    for round in 0..<20_000 {
      let isPut = round % 2 == 0
      var frame =
        isPut
        ? FrameEncoding.payload(.put, Self.putRequest(&random))
        : FrameEncoding.payload(.get, Self.getRequest(&random))
      for _ in 0...random.below(3) {
        let position = 1 + random.below(frame.count - 1)
        switch random.below(4) {
        case 0: frame[position] = UInt8(truncatingIfNeeded: random.next())
        case 1: frame.insert(UInt8(truncatingIfNeeded: random.next()), at: position)
        case 2 where frame.count > 2: frame.remove(at: position)
        default: frame += frame[1..<position]
        }
      }
      if isPut, let fields = PutRequestFields(frame: frame) {
        let message = try RpbPutReq(serializedBytes: Bytes(frame.dropFirst()))
        #expect(fields == PutRequestFields(message), "\(frame)")
        reads += 1
      } else if !isPut, let fields = GetRequestFields(frame: frame) {
        #expect(Self.isEqual(frame, fields), "\(frame)")
        reads += 1
      }
    }
    #expect(reads > 1_000, "\(reads) of the damaged requests had the usual shape")
  }

  @Test func `objects are written byte for byte like by the generated code`() throws {
    var random = SeededRandom(seed: 4)
    for _ in 0..<5_000 {
      var object = KVObject()
      for actor in 0...random.below(3) {
        object.write(
          Self.content(&random), context: VersionVector(),
          by: VnodeID(rawValue: UInt64(actor)))
      }
      let headOnly = random.chance(0.3)
      let contents = object.siblings.map { RpbContent($0, headOnly: headOnly) }
      let got = RpbGetResp.with {
        $0.content = contents
        $0.vclock = Data(object.clock.clientBytes)
      }
      #expect(
        ObjectWriter(.got, object, headOnly: headOnly).bytes == FrameEncoding.payload(.got, got))
      let key = random.chance(0.5) ? Self.bytes(&random) : nil
      let stored = RpbPutResp.with {
        $0.content = contents
        $0.vclock = Data(object.clock.clientBytes)
        if let key { $0.key = Data(key) }
      }
      #expect(
        ObjectWriter(.stored, object, headOnly: headOnly, key: key).bytes
          == FrameEncoding.payload(.stored, stored))
    }
  }
}
