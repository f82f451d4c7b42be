public import KVBase
public import KVModel

/// The fields of a map; a name may stand for one field of each kind.
public struct MapFields: Hashable, Sendable {
  private let values: [MapField: MapValue.Value]

  init(_ values: [MapValue]) {
    self.values = Dictionary(values.map { ($0.field, $0.value) }) { $1 }
  }

  /// Which fields there are, sorted.
  public var fields: [MapField] { values.keys.sorted() }

  /// What a field holds; nil when there is no such field.
  public subscript(field: MapField) -> MapValue.Value? { values[field] }

  /// A counter's count.
  public func counter(_ name: String) -> Int128? {
    if case .counter(let count)? = self[.counter(name)] { count } else { nil }
  }

  /// A set's elements.
  public func set(_ name: String) -> Set<Bytes>? {
    if case .set(let elements)? = self[.set(name)] { Set(elements) } else { nil }
  }

  /// A set's elements as text.
  public func strings(_ name: String) -> Set<String>? {
    set(name).map { Set($0.map { String(decoding: $0, as: UTF8.self) }) }
  }

  /// A register's value.
  public func register(_ name: String) -> Bytes? {
    if case .register(let value)? = self[.register(name)] { value } else { nil }
  }

  /// A register's value as text.
  public func text(_ name: String) -> String? {
    register(name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// A flag; nil when it was never set.
  public func flag(_ name: String) -> Bool? {
    if case .flag(let isOn)? = self[.flag(name)] { isOn } else { nil }
  }

  /// A map in the map.
  public func map(_ name: String) -> MapFields? {
    if case .map(let values)? = self[.map(name)] { MapFields(values) } else { nil }
  }
}

extension MapField {
  /// The counter of this name.
  public static func counter(_ name: String) -> MapField { MapField(name, .counter) }
  /// The set of this name.
  public static func set(_ name: String) -> MapField { MapField(name, .set) }
  /// The register of this name.
  public static func register(_ name: String) -> MapField { MapField(name, .register) }
  /// The flag of this name.
  public static func flag(_ name: String) -> MapField { MapField(name, .flag) }
  /// The map of this name.
  public static func map(_ name: String) -> MapField { MapField(name, .map) }

  private init(_ name: String, _ kind: MapFieldKind) {
    self.init(name: Bytes(name.utf8), kind: kind)
  }
}
