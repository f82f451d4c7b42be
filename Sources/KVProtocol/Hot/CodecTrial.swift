import Foundation
import KVBase
import KVModel
import SwiftProtobuf

/// The codecs of the hot messages beside the generated ones, for the benchmarks.
@_spi(Benchmarks) public enum CodecTrial {
  /// One thing to do again and again, and the same by the generated code.
  public struct Case {
    /// What is done.
    public let name: String
    /// By hand; returns a number that depends on the outcome.
    public let operation: () -> Int
    /// By the generated code.
    public let generated: () -> Int
  }

  /// Requests read and replies written, for values of each size in bytes.
  public static func cases(valueSizes: [Int]) -> [Case] {
    [readGet()] + valueSizes.flatMap { [readPut($0), writeGot($0)] }
  }

  private static func readGet() -> Case {
    let message = RpbGetReq.with {
      $0.bucket = Data("patients".utf8)
      $0.key = Data("9434765919".utf8)
      $0.r = 0xFFFF_FFFD
      $0.timeout = 5000
    }
    let frame = FrameEncoding.payload(.get, message)
    return Case(
      name: "codec/read get",
      operation: { GetRequestFields(frame: frame)?.key.count ?? -1 },
      generated: {
        let message = try? RpbGetReq(serializedBytes: Bytes(frame.dropFirst()))
        return message.map { GetRequestFields($0).key.count } ?? -1
      })
  }

  private static func content(_ byteCount: Int) -> Content {
    let value = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
    return Content(
      value: value, contentType: Bytes("application/json".utf8),
      userMetadata: [Pair(key: Bytes("origin".utf8), value: Bytes("P84007".utf8))],
      indexes: [
        Pair(key: Bytes("nhsnumber_bin".utf8), value: Bytes("9434765919".utf8)),
        Pair(key: Bytes("lastmodified_int".utf8), value: Bytes("20261125".utf8)),
      ], vtag: Bytes("4RpHsTuuD8dmeBYZ3lHrKG".utf8),
      lastModified: WallClock(microseconds: 1_764_000_000_000_000))
  }

  private static func readPut(_ byteCount: Int) -> Case {
    let message = RpbPutReq.with {
      $0.bucket = Data("patients".utf8)
      $0.key = Data("9434765919".utf8)
      $0.content = RpbContent(content(byteCount))
    }
    let frame = FrameEncoding.payload(.put, message)
    return Case(
      name: "codec/read put/\(byteCount)",
      operation: { PutRequestFields(frame: frame)?.content.value.count ?? -1 },
      generated: {
        let message = try? RpbPutReq(serializedBytes: Bytes(frame.dropFirst()))
        return message.map { PutRequestFields($0).content.value.count } ?? -1
      })
  }

  private static func writeGot(_ byteCount: Int) -> Case {
    var object = KVObject()
    object.write(content(byteCount), context: VersionVector(), by: VnodeID(rawValue: 7))
    return Case(
      name: "codec/write got/\(byteCount)",
      operation: { ObjectWriter(.got, object, headOnly: false).bytes.count },
      generated: {
        let message = RpbGetResp.with {
          $0.content = object.siblings.map { RpbContent($0, headOnly: false) }
          $0.vclock = Data(object.clock.clientBytes)
        }
        return FrameEncoding.payload(.got, message).count
      })
  }
}
