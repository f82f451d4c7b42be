import Foundation
import KVBase
package import KVModel

/// The properties a client wants changed; the others stay as they are.
///
/// **Source**: reference section 1.11.
package struct BucketPropertiesUpdate: Hashable, Sendable {
  private let message: RpbBucketProps

  /// The most replicas a bucket may ask for; more would outgrow every ring worth running.
  package static let nValLimit: UInt32 = 64

  init(_ message: RpbBucketProps) { self.message = message }

  /// The complete properties after the change.
  ///
  /// - Parameters:
  ///   - present: the bucket's properties now.
  ///   - untyped: whether the bucket is of the type `default`.
  /// - Throws: `Invalid bucket properties: [{name,reason},…]`.
  package func applied(
    to present: BucketProperties, untyped: Bool
  ) throws(ProtocolFailure) -> BucketProperties {
    try applied(to: present, untyped: untyped, validating: true)
  }

  func applied(
    to present: BucketProperties, untyped: Bool = true, validating: Bool
  ) throws(ProtocolFailure) -> BucketProperties {
    if validating {
      let problems = problems(present, untyped: untyped)
      guard problems.isEmpty else {
        throw .refused("Invalid bucket properties: [\(problems.joined(separator: ","))]")
      }
    }
    var result = present
    applyOwn(to: &result)
    applyQuorums(to: &result)
    applyOpaque(to: &result)
    return result
  }

  private func applyOwn(to result: inout BucketProperties) {
    if message.hasNVal { result.nVal = Int(message.nVal) }
    if message.hasAllowMult { result.allowMult = message.allowMult }
    if message.hasLastWriteWins { result.lastWriteWins = message.lastWriteWins }
    if message.hasPrecommit_p { result.precommit = message.precommit.map(NamedFunction.init) }
    if message.hasPostcommit_p { result.postcommit = message.postcommit.map(NamedFunction.init) }
    if message.hasOldVclock { result.oldVclock = Int(message.oldVclock) }
    if message.hasYoungVclock { result.youngVclock = Int(message.youngVclock) }
    if message.hasBigVclock { result.bigVclock = Int(message.bigVclock) }
    if message.hasSmallVclock { result.smallVclock = Int(message.smallVclock) }
    if message.hasBasicQuorum { result.basicQuorum = message.basicQuorum }
    if message.hasNotfoundOk { result.notFoundOK = message.notfoundOk }
    if message.hasSyncOnWrite {
      result.syncOnWrite = SyncOnWrite(rawValue: UInt8(message.syncOnWrite.rawValue)) ?? .backend
    }
  }

  private func applyQuorums(to result: inout BucketProperties) {
    if message.hasR { result.r = QuorumValue(field: message.r) ?? .quorum }
    if message.hasW { result.w = QuorumValue(field: message.w) ?? .quorum }
    if message.hasDw { result.dw = QuorumValue(field: message.dw) ?? .quorum }
    if message.hasRw { result.rw = QuorumValue(field: message.rw) ?? .quorum }
    if message.hasPr { result.pr = QuorumValue(field: message.pr) ?? .count(0) }
    if message.hasPw { result.pw = QuorumValue(field: message.pw) ?? .count(0) }
    if message.hasNodeConfirms {
      result.nodeConfirms = QuorumValue(field: message.nodeConfirms) ?? .count(0)
    }
  }

  private func applyOpaque(to result: inout BucketProperties) {
    func flag(_ value: Bool) -> Bytes { value ? OpaqueProperty.isTrue : OpaqueProperty.isFalse }
    if message.hasChashKeyfun {
      result[opaque: OpaqueProperty.chashKeyfun] = message.chashKeyfun.text
    }
    if message.hasLinkfun { result[opaque: OpaqueProperty.linkfun] = message.linkfun.text }
    if message.hasBackend { result[opaque: OpaqueProperty.backend] = Bytes(message.backend) }
    if message.hasSearch { result[opaque: OpaqueProperty.search] = flag(message.search) }
    if message.hasRepl {
      result[opaque: OpaqueProperty.repl] = Bytes("\(message.repl.rawValue)".utf8)
    }
    if message.hasSearchIndex {
      result[opaque: OpaqueProperty.searchIndex] = Bytes(message.searchIndex)
    }
    if message.hasDatatype { result[opaque: OpaqueProperty.datatype] = Bytes(message.datatype) }
    if message.hasConsistent {
      result[opaque: OpaqueProperty.consistent] = flag(message.consistent)
    }
    if message.hasWriteOnce { result[opaque: OpaqueProperty.writeOnce] = flag(message.writeOnce) }
    if message.hasHllPrecision {
      result[opaque: OpaqueProperty.hllPrecision] = Bytes("\(message.hllPrecision)".utf8)
    }
    if message.hasAaeTreeExclude {
      result[opaque: OpaqueProperty.aaeTreeExclude] = flag(message.aaeTreeExclude)
    }
  }
}

extension BucketPropertiesUpdate {
  /// `{name,reason}` for each property that may not be as asked, in the order of the fields.
  private func problems(_ present: BucketProperties, untyped: Bool) -> [String] {
    var problems: [String] = []
    if message.hasNVal, !(1...Self.nValLimit).contains(message.nVal) {
      problems.append("{n_val,not_integer}")
    }
    if message.hasLastWriteWins, message.lastWriteWins, !untyped {
      problems.append("{dvv_enabled,\"If last_write_wins is true, dvv_enabled must be false\"}")
    }
    for (name, isPresent, value) in [
      ("old_vclock", message.hasOldVclock, message.oldVclock),
      ("big_vclock", message.hasBigVclock, message.bigVclock),
      ("small_vclock", message.hasSmallVclock, message.smallVclock),
    ] where isPresent && value == 0 {
      problems.append("{\(name),not_integer}")
    }
    for (name, isPresent, value, mayBeZero) in [
      ("pr", message.hasPr, message.pr, true), ("r", message.hasR, message.r, false),
      ("w", message.hasW, message.w, false), ("pw", message.hasPw, message.pw, true),
      ("dw", message.hasDw, message.dw, true), ("rw", message.hasRw, message.rw, false),
      ("node_confirms", message.hasNodeConfirms, message.nodeConfirms, true),
    ] where isPresent && (QuorumValue(field: value) == nil || value == 0 && !mayBeZero) {
      problems.append("{\(name),not_valid_quorum}")
    }
    return problems + immutabilityProblems(present)
  }

  /// Why the precision of estimates may not be as asked: it can only become smaller.
  private func precisionProblem(_ present: BucketProperties) -> String? {
    let limits = HyperLogLog.precisions
    let most = min(
      present.number(OpaqueProperty.hllPrecision) ?? UInt32(limits.upperBound),
      UInt32(limits.upperBound))
    guard !(UInt32(limits.lowerBound)...most).contains(message.hllPrecision) else { return nil }
    return "\(message.hllPrecision) not supported for Hyperloglog precision property for bucket "
      + "type. Precision must be an integer between 4 and 16, inclusive (3 < p < 17) and "
      + "precision can be reduced but never increased after initial setting"
  }

  /// What was settled when the bucket's type was created, and cannot change.
  private func immutabilityProblems(_ present: BucketProperties) -> [String] {
    var problems: [String] = []
    let datatype = present[opaque: OpaqueProperty.datatype]
    if message.hasDatatype, Bytes(message.datatype) != datatype {
      problems.append(
        datatype == nil
          ? "{datatype,\"`datatype` must not be defined.\"}"
          : "{datatype,\"\(String(decoding: message.datatype, as: UTF8.self)) not supported for "
            + "bucket datatype property\"}")
    }
    if datatype != nil, message.hasAllowMult, !message.allowMult {
      problems.append("{allow_mult,\"Data Type buckets must be allow_mult=true\"}")
    }
    if message.hasConsistent,
      message.consistent != present.flag(OpaqueProperty.consistent) ?? false
    {
      problems.append("{consistent,\"cannot update consistent property\"}")
    }
    if present.isConsistent, message.hasNVal, Int(message.nVal) != present.nVal {
      problems.append("{n_val,\"n_val cannot be modified for existing consistent type\"}")
    }
    if message.hasHllPrecision, let reason = precisionProblem(present) {
      problems.append("{hll_precision,\n\(String(repeating: " ", count: 32))\"\(reason)\"}")
    }
    let isWriteOnce = present.flag(OpaqueProperty.writeOnce) ?? false
    if message.hasWriteOnce, message.writeOnce != isWriteOnce {
      problems.append(
        isWriteOnce
          ? "{write_once,\"Cannot modify write_once property once set to true\"}"
          : "{write_once,\"Cannot set existing bucket type to `write_once`\"}")
    }
    return problems
  }
}
