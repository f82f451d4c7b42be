import Foundation
import KVBase
import KVModel

/// Properties that only pass through, under the names they have in ``BucketProperties/opaque``.
enum OpaqueProperty {
  static let chashKeyfun = Bytes("chash_keyfun".utf8)
  static let linkfun = Bytes("linkfun".utf8)
  static let backend = Bytes("backend".utf8)
  static let search = Bytes("search".utf8)
  static let repl = Bytes("repl".utf8)
  static let searchIndex = Bytes("search_index".utf8)
  static let datatype = Bytes("datatype".utf8)
  static let consistent = Bytes("consistent".utf8)
  static let writeOnce = Bytes("write_once".utf8)
  static let hllPrecision = Bytes("hll_precision".utf8)
  static let aaeTreeExclude = Bytes("aae_tree_exclude".utf8)

  static let isTrue = Bytes("true".utf8)
  static let isFalse = Bytes("false".utf8)
}

extension BucketProperties {
  /// A property that only passes through.
  subscript(opaque name: Bytes) -> Bytes? {
    get { opaque.first { $0.key == name }?.value }
    set {
      opaque.removeAll { $0.key == name }
      if let newValue { opaque.append(Pair(key: name, value: newValue)) }
      opaque.sort()
    }
  }

  func flag(_ name: Bytes) -> Bool? { self[opaque: name].map { $0 == OpaqueProperty.isTrue } }
}

extension RpbBucketProps {
  /// The message for a bucket's properties: every known one is filled in.
  ///
  /// Untyped buckets also tell two properties that typed ones have only when they were set.
  init(_ properties: BucketProperties, untyped: Bool) {
    nVal = UInt32(clamping: properties.nVal)
    allowMult = properties.allowMult
    lastWriteWins = properties.lastWriteWins
    precommit = properties.precommit.map(RpbCommitHook.init)
    hasPrecommit_p = true
    postcommit = properties.postcommit.map(RpbCommitHook.init)
    hasPostcommit_p = true
    oldVclock = UInt32(clamping: properties.oldVclock)
    youngVclock = UInt32(clamping: properties.youngVclock)
    bigVclock = UInt32(clamping: properties.bigVclock)
    smallVclock = UInt32(clamping: properties.smallVclock)
    pr = properties.pr.field
    r = properties.r.field
    w = properties.w.field
    pw = properties.pw.field
    dw = properties.dw.field
    rw = properties.rw.field
    basicQuorum = properties.basicQuorum
    notfoundOk = properties.notFoundOK
    nodeConfirms = properties.nodeConfirms.field
    syncOnWrite = SyncOnWrite(rawValue: Int(properties.syncOnWrite.rawValue)) ?? .backend
    fillOpaque(properties, untyped: untyped)
  }

  private mutating func fillOpaque(_ properties: BucketProperties, untyped: Bool) {
    chashKeyfun = RpbModFun(
      text: properties[opaque: OpaqueProperty.chashKeyfun],
      orElse: "riak_core_util:chash_std_keyfun")
    linkfun = RpbModFun(
      text: properties[opaque: OpaqueProperty.linkfun],
      orElse: "riak_kv_wm_link_walker:mapreduce_linkfun")
    if let name = properties[opaque: OpaqueProperty.backend] { backend = Data(name) }
    if let isOn = properties.flag(OpaqueProperty.search) { search = isOn }
    if let index = properties[opaque: OpaqueProperty.searchIndex] { searchIndex = Data(index) }
    if let type = properties[opaque: OpaqueProperty.datatype] { datatype = Data(type) }
    if let isOn = properties.flag(OpaqueProperty.consistent) { consistent = isOn }
    if let isOn = properties.flag(OpaqueProperty.writeOnce) ?? (untyped ? false : nil) {
      writeOnce = isOn
    }
    if let isOn = properties.flag(OpaqueProperty.aaeTreeExclude) { aaeTreeExclude = isOn }
    if let precision = properties.number(OpaqueProperty.hllPrecision) { hllPrecision = precision }
    if let mode = properties.number(OpaqueProperty.repl) ?? (untyped ? 3 : nil) {
      repl = RpbReplMode(rawValue: Int(mode)) ?? .true
    }
  }
}

extension BucketProperties {
  func number(_ name: Bytes) -> UInt32? {
    self[opaque: name].flatMap { UInt32(String(decoding: $0, as: UTF8.self)) }
  }

  /// The properties in a server's answer.
  init(_ message: RpbBucketProps) {
    self.init()
    do throws(ProtocolFailure) {
      self = try BucketPropertiesUpdate(message).applied(to: self, validating: false)
    } catch {
      preconditionFailure("applying without validation failed: \(error.text)")
    }
  }
}

extension RpbModFun {
  /// `module:function` as a message; the function of a missing or other text is `orElse`'s.
  fileprivate init(text: Bytes?, orElse: String) {
    let parts = (text ?? Bytes(orElse.utf8)).split(separator: UInt8(ascii: ":"), maxSplits: 1)
    module = Data(parts.first ?? [])
    function = Data(parts.dropFirst().first ?? [])
  }

  /// `module:function`.
  var text: Bytes { Bytes(module) + [UInt8(ascii: ":")] + Bytes(function) }
}

extension RpbCommitHook {
  init(_ hook: NamedFunction) {
    if let module = hook.module {
      modfun = RpbModFun()
      modfun.module = Data(module)
      modfun.function = Data(hook.function)
    } else {
      name = Data(hook.function)
    }
  }
}

extension NamedFunction {
  init(_ message: RpbCommitHook) {
    self =
      message.hasModfun
      ? NamedFunction(
        module: Bytes(message.modfun.module), function: Bytes(message.modfun.function))
      : NamedFunction(module: nil, function: Bytes(message.name))
  }
}
