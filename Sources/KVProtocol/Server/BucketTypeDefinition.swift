package import Foundation
import KVBase
package import KVModel

/// The properties with which an operator creates a bucket type, from JSON.
///
/// ```
/// {"props": {"allow_mult": true, "n_val": 3, "r": "quorum", "datatype": "set"}}
/// ```
///
/// What cannot be changed later (`datatype`, `consistent`, `write_once`, `hll_precision`) is settled
/// here, and so is `ttl`, the seconds that contents live, for which clients have no field.
///
/// **Source**: reference sections 1.11 and 7.8.
package enum BucketTypeDefinition {
  private static let datatypes = ["counter", "set", "map", "hll", "gset"]
  private static let settled = [
    "datatype", "consistent", "write_once", "hll_precision", "ttl",
  ]

  /// The complete properties of the new type.
  ///
  /// - Throws: what is wrong with which property.
  package static func properties(json: Data) throws(ProtocolFailure) -> BucketProperties {
    guard let object = try? JSONSerialization.jsonObject(with: json) as? [String: Any],
      let props = object["props"] as? [String: Any], object.count == 1
    else { throw .refused("Expected {\"props\": {…}}") }
    var message = RpbBucketProps()
    for name in props.keys.sorted() where !settled.contains(name) {
      try set(name, props[name] as Any, in: &message)
    }
    var properties = BucketProperties(untyped: false)
    properties = try BucketPropertiesUpdate(message).applied(to: properties, untyped: false)
    try settle(props, in: &properties)
    return properties
  }

  /// Names and values of the properties, as text, in the order of the reference.
  package static func described(_ properties: BucketProperties) -> [(name: String, value: String)] {
    func text(_ value: QuorumValue) -> String {
      if case .count(let count) = value { "\(count)" } else { "\(value)" }
    }
    return [
      ("n_val", "\(properties.nVal)"), ("allow_mult", "\(properties.allowMult)"),
      ("last_write_wins", "\(properties.lastWriteWins)"), ("r", text(properties.r)),
      ("w", text(properties.w)), ("dw", text(properties.dw)), ("rw", text(properties.rw)),
      ("pr", text(properties.pr)), ("pw", text(properties.pw)),
      ("node_confirms", text(properties.nodeConfirms)),
      ("basic_quorum", "\(properties.basicQuorum)"), ("notfound_ok", "\(properties.notFoundOK)"),
      ("sync_on_write", "\(properties.syncOnWrite)"),
    ]
      + properties.opaque.map { pair in
        (
          String(decoding: pair.key, as: UTF8.self),
          String(decoding: pair.value ?? [], as: UTF8.self)
        )
      }
  }

  static func set(
    _ name: String, _ value: Any, in message: inout RpbBucketProps
  ) throws(ProtocolFailure) {
    switch name {
    case "n_val": message.nVal = try count(name, value)
    case "old_vclock": message.oldVclock = try count(name, value)
    case "young_vclock": message.youngVclock = try count(name, value)
    case "big_vclock": message.bigVclock = try count(name, value)
    case "small_vclock": message.smallVclock = try count(name, value)
    case "allow_mult": message.allowMult = try flag(name, value)
    case "last_write_wins": message.lastWriteWins = try flag(name, value)
    case "basic_quorum": message.basicQuorum = try flag(name, value)
    case "notfound_ok": message.notfoundOk = try flag(name, value)
    case "r": message.r = try quorum(name, value)
    case "w": message.w = try quorum(name, value)
    case "rw": message.rw = try quorum(name, value)
    case "dw": message.dw = try quorum(name, value)
    case "pr": message.pr = try quorum(name, value)
    case "pw": message.pw = try quorum(name, value)
    case "node_confirms": message.nodeConfirms = try quorum(name, value)
    case "backend": message.backend = Data(try text(name, value).utf8)
    case "sync_on_write":
      let modes: [String: RpbBucketProps.SyncOnWrite] = [
        "backend": .backend, "one": .one, "all": .all,
      ]
      guard let mode = modes[try text(name, value)] else {
        throw invalid(name, "not_valid_sync_param")
      }
      message.syncOnWrite = mode
    default: throw invalid(name, "unknown property")
    }
  }

  private static func settle(
    _ props: [String: Any], in properties: inout BucketProperties
  ) throws(ProtocolFailure) {
    for name in ["consistent", "write_once"] where props[name] != nil {
      let isOn = try flag(name, props[name] as Any)
      properties[opaque: Bytes(name.utf8)] = isOn ? OpaqueProperty.isTrue : OpaqueProperty.isFalse
    }
    let isWriteOnce = properties.flag(OpaqueProperty.writeOnce) ?? false
    if isWriteOnce, properties.flag(OpaqueProperty.consistent) ?? false {
      throw invalid("write_once", "Write once buckets must not be consistent=true")
    }
    if let value = props["ttl"] {
      properties.secondsToLive = UInt64(try count("ttl", value))
    }
    guard let value = props["datatype"] else { return }
    let datatype = try text("datatype", value)
    guard datatypes.contains(datatype) else {
      throw invalid("datatype", "\(datatype) not supported for bucket datatype property")
    }
    guard properties.allowMult else {
      throw invalid("allow_mult", "Data Type buckets must be allow_mult=true")
    }
    guard !isWriteOnce else {
      throw invalid("write_once", "Write once buckets must not have datatype defined")
    }
    properties[opaque: OpaqueProperty.datatype] = Bytes(datatype.utf8)
    guard datatype == "hll" else { return }
    let precision = try props["hll_precision"].map { (value) throws(ProtocolFailure) in
      try count("hll_precision", value)
    }
    guard (4...16).contains(precision ?? 14) else {
      throw invalid("hll_precision", "Precision must be an integer between 4 and 16, inclusive")
    }
    properties[opaque: OpaqueProperty.hllPrecision] = Bytes("\(precision ?? 14)".utf8)
  }

  private static func count(_ name: String, _ value: Any) throws(ProtocolFailure) -> UInt32 {
    guard let number = value as? Int, let count = UInt32(exactly: number), count > 0 else {
      throw invalid(name, "not_integer")
    }
    return count
  }

  private static func flag(_ name: String, _ value: Any) throws(ProtocolFailure) -> Bool {
    guard let flag = value as? Bool else { throw invalid(name, "not_boolean") }
    return flag
  }

  private static func text(_ name: String, _ value: Any) throws(ProtocolFailure) -> String {
    guard let text = value as? String else { throw invalid(name, "not_text") }
    return text
  }

  private static func quorum(_ name: String, _ value: Any) throws(ProtocolFailure) -> UInt32 {
    let words: [String: QuorumValue] = ["one": .one, "quorum": .quorum, "all": .all]
    if let word = value as? String, let known = words[word] { return known.field }
    guard let number = value as? Int, let count = UInt32(exactly: number), count < 1 << 16 else {
      throw invalid(name, "not_valid_quorum")
    }
    return count
  }

  static func invalid(_ name: String, _ reason: String) -> ProtocolFailure {
    .refused("Invalid bucket properties: [{\(name),\"\(reason)\"}]")
  }
}
