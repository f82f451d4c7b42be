import Foundation
import KVBase
package import KVModel

/// The properties of buckets as JSON.
///
/// **Source**: reference sections 1.11 and 2.3.
package enum BucketPropertiesJSON {
  /// All properties of a bucket, or (without a name) of a bucket type.
  package static func value(_ properties: BucketProperties, of bucket: BucketID) -> JSONValue {
    let message = RpbBucketProps(properties, untyped: bucket.isUntyped)
    var members: [String: JSONValue] = [
      "n_val": .integer(properties.nVal), "allow_mult": .bool(properties.allowMult),
      "last_write_wins": .bool(properties.lastWriteWins),
      "dvv_enabled": .bool(!bucket.isUntyped), "r": quorum(properties.r),
      "w": quorum(properties.w), "dw": quorum(properties.dw), "rw": quorum(properties.rw),
      "pr": quorum(properties.pr), "pw": quorum(properties.pw),
      "node_confirms": quorum(properties.nodeConfirms),
      "basic_quorum": .bool(properties.basicQuorum), "notfound_ok": .bool(properties.notFoundOK),
      "sync_on_write": .string("\(properties.syncOnWrite)"),
      "precommit": .array(properties.precommit.map(function)),
      "postcommit": .array(properties.postcommit.map(function)),
      "old_vclock": .integer(properties.oldVclock),
      "young_vclock": .integer(properties.youngVclock),
      "big_vclock": .integer(properties.bigVclock),
      "small_vclock": .integer(properties.smallVclock),
      "chash_keyfun": function(message.chashKeyfun), "linkfun": function(message.linkfun),
    ]
    if bucket.name.isEmpty {
      members["active"] = .bool(true)
    } else {
      members["name"] = JSONValue(bytes: bucket.name)
    }
    if message.hasWriteOnce { members["write_once"] = .bool(message.writeOnce) }
    if message.hasRepl { members["repl"] = .bool(message.repl == .true) }
    if message.hasDatatype { members["datatype"] = JSONValue(bytes: Bytes(message.datatype)) }
    if message.hasConsistent { members["consistent"] = .bool(message.consistent) }
    if message.hasHllPrecision { members["hll_precision"] = .integer(Int(message.hllPrecision)) }
    if message.hasBackend { members["backend"] = JSONValue(bytes: Bytes(message.backend)) }
    return .object(members)
  }

  /// Properties that are told and that nobody can set.
  private static let told: Set<String> = ["name", "active", "claimant", "dvv_enabled"]

  /// The complete properties after a change of some.
  ///
  /// - Throws: `Invalid bucket properties: […]`.
  package static func applied(
    _ update: JSONValue, to present: BucketProperties, untyped: Bool
  ) throws(ProtocolFailure) -> BucketProperties {
    var message = RpbBucketProps()
    guard case .object(let members) = update else { throw .refused("Expected {\"props\": {…}}") }
    for (name, value) in members.sorted(by: { $0.key < $1.key }) where !told.contains(name) {
      try set(name, value, in: &message)
    }
    return try BucketPropertiesUpdate(message).applied(to: present, untyped: untyped)
  }

  private static func set(
    _ name: String, _ value: JSONValue, in message: inout RpbBucketProps
  ) throws(ProtocolFailure) {
    switch (name, value) {
    case ("precommit", .array(let hooks)):
      message.precommit = try hooks.map { (hook) throws(ProtocolFailure) in
        try RpbCommitHook(function(hook, name))
      }
      message.hasPrecommit_p = true
    case ("postcommit", .array(let hooks)):
      message.postcommit = try hooks.map { (hook) throws(ProtocolFailure) in
        try RpbCommitHook(function(hook, name))
      }
      message.hasPostcommit_p = true
    case ("chash_keyfun", _): message.chashKeyfun = try module(value, name)
    case ("linkfun", _): message.linkfun = try module(value, name)
    case ("search", .bool(let isOn)): message.search = isOn
    case ("write_once", .bool(let isOn)): message.writeOnce = isOn
    case ("consistent", .bool(let isOn)): message.consistent = isOn
    case ("repl", .bool(let isOn)): message.repl = isOn ? .true : .false
    case ("datatype", .string(let text)): message.datatype = Data(text.utf8)
    case ("search_index", .string(let text)): message.searchIndex = Data(text.utf8)
    case ("hll_precision", .integer(let number)):
      message.hllPrecision = UInt32(clamping: number)
    default: try BucketTypeDefinition.set(name, value.plain, in: &message)
    }
  }

  // MARK: Values

  private static func quorum(_ value: QuorumValue) -> JSONValue {
    if case .count(let count) = value { .integer(Int(count)) } else { .string("\(value)") }
  }

  private static func function(_ function: NamedFunction) -> JSONValue {
    guard let module = function.module else {
      return .object(["name": JSONValue(bytes: function.function)])
    }
    return .object(["mod": JSONValue(bytes: module), "fun": JSONValue(bytes: function.function)])
  }

  private static func function(_ function: RpbModFun) -> JSONValue {
    .object([
      "mod": JSONValue(bytes: Bytes(function.module)),
      "fun": JSONValue(bytes: Bytes(function.function)),
    ])
  }

  private static func function(
    _ value: JSONValue, _ name: String
  ) throws(ProtocolFailure) -> NamedFunction {
    if let hook = value["name"]?.string {
      return NamedFunction(module: nil, function: Bytes(hook.utf8))
    }
    guard let module = value["mod"]?.string, let function = value["fun"]?.string else {
      throw BucketTypeDefinition.invalid(name, "not a function")
    }
    return NamedFunction(module: Bytes(module.utf8), function: Bytes(function.utf8))
  }

  private static func module(
    _ value: JSONValue, _ name: String
  ) throws(ProtocolFailure) -> RpbModFun {
    let function = try function(value, name)
    var message = RpbModFun()
    message.module = Data(function.module ?? [])
    message.function = Data(function.function)
    return message
  }
}
