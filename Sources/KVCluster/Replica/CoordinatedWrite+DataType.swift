import KVBase
import KVModel

/// Changes of data types: a write whose content is made from what is stored.
extension CoordinatedWrite {
  /// Makes the write's content from `object`, all of which it then replaces, if it changes a data type.
  ///
  /// - Parameter dot: the event that the write will be.
  /// - Returns: why the change cannot be made.
  mutating func change(_ object: KVObject, as dot: Dot, at now: Now) -> RequestFailure? {
    guard let update = dataType else { return nil }
    do throws(DataTypeFailure) {
      content = try object.content(changedBy: update, as: dot, at: now.wallClock)
      context = object.clock
      return nil
    } catch {
      return .refused(error.text)
    }
  }
}

extension DataTypeFailure {
  /// The text that clients know.
  ///
  /// **Source**: reference sections 1.3 and 1.15.
  fileprivate var text: String {
    switch self {
    case .missingElement(let element):
      "{precondition,{not_present,\(Self.binary(element))}}"
    case .missingField(let field):
      "{precondition,{not_present,{\(Self.binary(field.name)),\(field.kind.module)}}}"
    case .counterOverflow: "{counter_overflow,\"a count of 2^96 or more\"}"
    case .mismatch(let stored): "{type_mismatch,\"\(stored) is stored\"}"
    }
  }

  /// A byte string as the printed terms of errors have it.
  private static func binary(_ bytes: Bytes) -> String {
    guard bytes.allSatisfy({ (32...126).contains($0) && $0 != 34 && $0 != 92 }) else {
      return "<<\(bytes.map { String($0) }.joined(separator: ","))>>"
    }
    return "<<\"\(String(decoding: bytes, as: UTF8.self))\">>"
  }
}

extension MapFieldKind {
  /// The name that the reference's errors have for the kind.
  fileprivate var module: String {
    switch self {
    case .counter: "riak_dt_emcntr"
    case .set: "riak_dt_orswot"
    case .register: "riak_dt_lwwreg"
    case .flag: "riak_dt_od_flag"
    case .map: "riak_dt_map"
    }
  }
}
