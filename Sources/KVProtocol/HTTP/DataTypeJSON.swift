import Foundation
package import KVBase
package import KVModel

/// Data types as JSON: values as they are told, and operations as clients send them.
///
/// **Source**: reference section 2.6.
package enum DataTypeJSON {
  private static let suffixes: [(text: String, kind: MapFieldKind)] = [
    ("_counter", .counter), ("_set", .set), ("_register", .register), ("_flag", .flag),
    ("_map", .map),
  ]

  // MARK: Values

  /// The answer with a value; nil when there is none.
  package static func answer(
    _ value: DataType?, _ kind: DataTypeKind, includesContext: Bool
  ) -> JSONValue {
    guard let value else {
      return .object(["type": .string(kind.rawValue), "error": .string("notfound")])
    }
    var members = ["type": JSONValue.string(kind.rawValue), "value": json(value.value)]
    if includesContext, let context = value.context {
      members["context"] = .string(Data(context).base64EncodedString())
    }
    return .object(members)
  }

  private static func json(_ value: DataTypeValue) -> JSONValue {
    switch value {
    case .counter(let count): number(count)
    case .set(let elements), .gset(let elements): .array(elements.map(JSONValue.init(bytes:)))
    case .hll(let count): .integer(Int(clamping: count))
    case .map(let values): map(values)
    }
  }

  private static func map(_ values: [MapValue]) -> JSONValue {
    var members: [String: JSONValue] = [:]
    for value in values {
      let suffix = suffixes.first { $0.kind == value.field.kind }?.text ?? ""
      members[String(decoding: value.field.name, as: UTF8.self) + suffix] =
        switch value.value {
        case .counter(let count): number(count)
        case .set(let elements): .array(elements.map(JSONValue.init(bytes:)))
        case .register(let bytes): JSONValue(bytes: bytes)
        case .flag(let isOn): .bool(isOn)
        case .map(let values): map(values)
        }
    }
    return .object(members)
  }

  private static func number(_ count: Int128) -> JSONValue { .integer(Int(clamping: count)) }

  // MARK: Operations

  /// The operation for a data type and the context that goes with it.
  ///
  /// - Throws: that it is none for the type.
  package static func operation(
    _ body: Bytes, for kind: DataTypeKind
  ) throws(ProtocolFailure) -> (DataTypeOperation, VersionVector?) {
    guard let value = JSONValue(body) else {
      throw .refused("Couldn't decode JSON: \(ErlangText.binary(body))\n")
    }
    guard let operation = operation(value, kind) else {
      throw .refused(
        "Invalid operation on datatype '\(kind.rawValue)': "
          + "\(String(decoding: body, as: UTF8.self))\n")
    }
    guard let text = value["context"] else { return (operation, nil) }
    guard let data = text.string.flatMap({ Data(base64Encoded: $0) }),
      let context = try? VersionVector(clientBytes: Bytes(data))
    else { throw .refused("Invalid context: it is none that this cluster gave\n") }
    return (operation, context)
  }

  private static func operation(_ value: JSONValue, _ kind: DataTypeKind) -> DataTypeOperation? {
    switch kind {
    case .counter: amount(value).map { .counter($0) }
    case .set: elements(value["update"] ?? value).map { .set(adds: $0.adds, removes: $0.removes) }
    case .gset:
      elements(value).flatMap { $0.removes.isEmpty ? .gset(adds: $0.adds) : nil }
    case .hll: elements(value).flatMap { $0.removes.isEmpty ? .hll(adds: $0.adds) : nil }
    case .map: map(value, depth: 0).map { .map($0) }
    }
  }

  private static func amount(_ value: JSONValue) -> Int64? {
    switch value {
    case .integer(let number): return Int64(number)
    case .string("increment"): return 1
    case .string("decrement"): return -1
    case .object(let members) where members.count == 1:
      if case .integer(let number)? = members["increment"] { return Int64(number) }
      if case .integer(let number)? = members["decrement"], number != .min {
        return -Int64(number)
      }
      return nil
    default: return nil
    }
  }

  private static func elements(_ value: JSONValue) -> (adds: [Bytes], removes: [Bytes])? {
    guard case .object(let members) = value, !members.isEmpty else { return nil }
    var adds: [Bytes] = []
    var removes: [Bytes] = []
    for (name, value) in members where name != "context" {
      guard
        let texts = name.hasSuffix("_all") ? strings(value) : value.string.map({ [Bytes($0.utf8)] })
      else { return nil }
      switch name {
      case "add", "add_all": adds += texts
      case "remove", "remove_all": removes += texts
      default: return nil
      }
    }
    return (adds, removes)
  }

  private static func strings(_ value: JSONValue) -> [Bytes]? {
    guard let values = value.array else { return nil }
    let texts = values.compactMap(\.string)
    return texts.count == values.count ? texts.map { Bytes($0.utf8) } : nil
  }

  private static func map(_ value: JSONValue, depth: Int) -> MapOperation? {
    guard depth < MapOperation.depthLimit, case .object(let members) = value else { return nil }
    var operation = MapOperation()
    for (name, value) in members where name != "context" {
      switch (name, value) {
      case ("remove", .string(let text)):
        guard let field = field(text) else { return nil }
        operation.removes.append(field)
      case ("remove", .array(let values)):
        let fields = values.compactMap(\.string).compactMap(field)
        guard fields.count == values.count else { return nil }
        operation.removes += fields
      case ("update", .object(let updates)):
        for (name, value) in updates.sorted(by: { $0.key < $1.key }) {
          guard let field = field(name), let change = change(value, field.kind, depth: depth)
          else { return nil }
          operation.updates.append(MapOperation.Update(field: field, change: change))
        }
      default: return nil
      }
    }
    return operation
  }

  private static func field(_ name: String) -> MapField? {
    guard let suffix = suffixes.first(where: { name.hasSuffix($0.text) }) else { return nil }
    return MapField(name: Bytes(name.dropLast(suffix.text.count).utf8), kind: suffix.kind)
  }

  private static func change(
    _ value: JSONValue, _ kind: MapFieldKind, depth: Int
  ) -> FieldOperation? {
    switch (kind, value) {
    case (.counter, _): return amount(value).map { .counter($0) }
    case (.set, _): return elements(value).map { .set(adds: $0.adds, removes: $0.removes) }
    case (.register, .string(let text)): return .register(Bytes(text.utf8))
    case (.register, _): return value["assign"]?.string.map { .register(Bytes($0.utf8)) }
    case (.flag, .string("enable")), (.flag, .bool(true)): return .flag(true)
    case (.flag, .string("disable")), (.flag, .bool(false)): return .flag(false)
    case (.flag, _): return nil
    case (.map, _): return map(value, depth: depth + 1).map { .map($0) }
    }
  }
}
