import KVBase
import KVModel

/// Quorum fields: numbers, of which four are words.
///
/// **Source**: reference section 1.4. On the wire: one = 2^32-2, quorum = 2^32-3, all = 2^32-4,
/// default = 2^32-5.
extension QuorumValue {
  /// The value of a field; nil for "default".
  init?(field: UInt32) {
    switch field {
    case 0xFFFF_FFFE: self = .one
    case 0xFFFF_FFFD: self = .quorum
    case 0xFFFF_FFFC: self = .all
    case 0xFFFF_FFFB: return nil
    default: self = .count(field)
    }
  }

  /// The field for the value.
  var field: UInt32 {
    switch self {
    case .one: 0xFFFF_FFFE
    case .quorum: 0xFFFF_FFFD
    case .all: 0xFFFF_FFFC
    case .count(let value): value
    }
  }
}

extension Duration {
  /// A time-out field in milliseconds; 0 means none was asked for.
  static func timeout(field: UInt32) -> Duration? {
    field == 0 ? nil : .milliseconds(Int64(field))
  }

  /// The field for a time-out: at least 1 ms.
  var timeoutField: UInt32 { max(1, UInt32(clamping: wholeMilliseconds)) }
}
