public import KVBase

/// The data types a bucket type may hold.
///
/// **Source**: reference section 1.15.
public enum DataTypeKind: String, CaseIterable, Hashable, Sendable {
  /// A number that is counted up and down.
  case counter
  /// Elements that are added and removed; of both at the same time the addition wins.
  case set
  /// Fields of several kinds, each with a value that converges by itself.
  case map
  /// An estimate of how many different elements were added.
  case hll
  /// Elements that are only added.
  case gset

  /// The MIME type of a stored value of this kind.
  public var contentType: Bytes { Bytes("application/riak_\(rawValue)".utf8) }

  /// The kind of a stored value with this MIME type; nil for an ordinary value.
  public init?(contentType: Bytes?) {
    let prefix = Bytes("application/riak_".utf8)
    guard let contentType, contentType.starts(with: prefix) else { return nil }
    self.init(
      rawValue: String(decoding: contentType.dropFirst(prefix.count), as: UTF8.self))
  }
}

/// What a field of a map may hold.
public enum MapFieldKind: UInt8, CaseIterable, Hashable, Sendable {
  /// A number.
  case counter = 1
  /// A set of elements.
  case set = 2
  /// One value; of two written at the same time the later stays.
  case register = 3
  /// On or off; of both at the same time on wins.
  case flag = 4
  /// A map in the map.
  case map = 5
}

/// A field of a map: one name may stand for several fields of different kinds.
public struct MapField: Hashable, Comparable, Sendable {
  /// The name.
  public var name: Bytes
  /// What the field holds.
  public var kind: MapFieldKind

  /// The field `name` of the given kind.
  public init(name: Bytes, kind: MapFieldKind) {
    self.name = name
    self.kind = kind
  }

  /// The order of the names, then of the kinds.
  public static func < (a: MapField, b: MapField) -> Bool {
    a.name == b.name
      ? a.kind.rawValue < b.kind.rawValue : a.name.lexicographicallyPrecedes(b.name)
  }
}
