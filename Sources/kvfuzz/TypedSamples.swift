import KVBase
import KVModel

/// Samples of data types, indexes and jobs, and what must hold of any bytes read as these.
enum TypedSamples {
  /// Frames as the reference's clients send them.
  static var requests: [Bytes] {
    [
      // a counter, a set with a context, a map of all kinds of fields, estimates
      "520a01621201631a08636f756e746572732a040a02080a300238feffffff0f480150e807",
      "520a01621201731a047365747322002a0812060a01611201624801",
      "520a01621a046d6170732a5c1a5a0a070a036f6c641001120b0a050a0163100112020806120f"
        + "0a050a017310021a060a0178120179120c0a050a01721003220372656712090a050a01661004"
        + "280112180a050a016d1005320f120d0a050a0172100322046465657048016800",
      "520a01621201681a04686c6c732a0822060a01610a01624801",
      "520a01621201671a0567736574732a052a030a0161",
      "500a016212016d1a046d617073200240e8075801",
      "500a01621201631a08636f756e74657273",
      // counters of old clients
      "320a0162120163181420013801",
      "340a01621201631801",
      // index queries, a preference list, properties of a type, a fold
      "190a016212056e5f696e74180022023432",
      "190a01621205665f62696e18012a013032013938014001480252286732674362514141414152"
        + "3259577779625141414141786f5a586c79596e6836616e423162486b3d58e8076201746a092e"
        + "2a6c5b302d395d2b",
      "210a016212016b1a0174",
      "200a017412050803e8010c",
      "280a01621201611a017a200028013802",
      // folds
      "d70a017412016250015a016162016dc00201c80205d00209900301980301", "d81201625000c00200",
      "da1201625000f00100c00200", "db1201625000c00200", "df0803",
      "e61201625000f00100c00200900300980301", "e71201625000f00100c00200900301",
    ].map(bytes) + jobs
  }

  private static var jobs: [Bytes] {
    let map =
      #"{"map":{"language":"erlang","module":"riak_kv_mapreduce","function":"map_object_value"}}"#
    let reduce =
      #"{"reduce":{"language":"erlang","module":"riak_kv_mapreduce","function":"reduce_sort"}}"#
    return [
      #"{"inputs":[["b","k"],["b","k",1,"t"]],"query":[\#(map),\#(reduce)]}"#,
      #"{"inputs":{"bucket":"b","key_filters":[["tokenize","-",1],["eq","a"]]},"query":[]}"#,
      #"{"inputs":{"bucket":"b","index":"n_int","start":1,"end":"9"},"query":[\#(map)]}"#,
      #"{"inputs":"b","query":[{"link":{"bucket":"_","tag":"t","keep":true}}],"timeout":9}"#,
    ].map { job in
      var writer = ByteWriter()
      writer.write(UInt8(23))
      for (tag, field) in [(UInt8(0x0A), job), (0x12, "application/json")] {
        writer.write(tag)
        writer.write(Bytes(field.utf8))
      }
      return writer.bytes
    }
  }

  private static func bytes(_ hex: String) -> Bytes {
    let digits = Bytes(hex.utf8).filter { $0 != 32 }
    return stride(from: 0, to: digits.count - 1, by: 2).map { index in
      UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) ?? 0
    }
  }

  /// Encoded values of every kind.
  static var values: [Bytes] { DataTypeKind.allCases.map { value($0).encoded() } }

  private static func value(_ kind: DataTypeKind) -> DataType {
    let operation: DataTypeOperation =
      switch kind {
      case .counter: .counter(-7)
      case .set: .set(adds: [[1], [2]], removes: [])
      case .hll: .hll(adds: [[1], [2]])
      case .gset: .gset(adds: [[1], [2]])
      case .map:
        .map(
          MapOperation(updates: [
            .init(field: MapField(name: [1], kind: .register), change: .register([9])),
            .init(
              field: MapField(name: [2], kind: .map),
              change: .map(
                MapOperation(updates: [
                  .init(field: MapField(name: [3], kind: .flag), change: .flag(true))
                ]))),
          ]))
      }
    var value = DataType(kind)
    do {
      try value.apply(
        DataTypeUpdate(operation: operation, context: nil), as: FrameTarget.clock.entries[0],
        at: WallClock(microseconds: 5))
    } catch {
      preconditionFailure("a sample cannot be made: \(error)")
    }
    return value
  }

  /// The kind that a bucket type of the samples holds.
  static func kind(of bucket: BucketID) -> DataTypeKind? {
    let name = String(decoding: bucket.type, as: UTF8.self)
    return DataTypeKind.allCases.first { "\($0.rawValue)s" == name }
  }

  static func properties(of bucket: BucketID) -> BucketProperties {
    var properties = BucketProperties(untyped: bucket.isUntyped)
    properties.allowMult = true
    if let kind = kind(of: bucket) {
      properties.opaque = [
        Pair(key: Bytes("datatype".utf8), value: Bytes(kind.rawValue.utf8))
      ]
    }
    return properties
  }

  static func object(in bucket: BucketID) -> KVObject {
    let kind = kind(of: bucket) ?? .counter
    var object = KVObject()
    object.write(
      Content(value: value(kind).encoded(), contentType: kind.contentType),
      context: VersionVector(), by: VnodeID(rawValue: 1))
    return object
  }

  /// Reads the bytes as a data type and as a pattern.
  static func check(_ bytes: Bytes) {
    if let value = try? DataType(encoded: bytes) {
      precondition(
        (try? DataType(encoded: value.encoded())) == value,
        "a data type changes when it is encoded again")
      precondition(value.joining(value) == value, "a value joined with itself changes")
      _ = value.value
    }
    if let pattern = try? TermPattern(bytes) {
      _ = pattern.matches(Bytes("a term of some length 0123456789".utf8))
    }
  }
}
