import KVBase
import KVModel

/// The messages of data types: operations as clients send them, values as they are told.
///
/// **Source**: reference section 1.15.
enum DataTypeMessages {
  /// The change in a `DtOp`; nil when it holds none.
  static func operation(
    _ message: ProtobufFields
  ) throws(ProtocolFailure) -> DataTypeOperation? {
    if let counter = try message.message(1) { return .counter(counter.signed(1) ?? 1) }
    if let set = try message.message(2) {
      return .set(adds: set.repeated(1), removes: set.repeated(2))
    }
    if let map = try message.message(3) { return .map(try mapOperation(map, depth: 0)) }
    if let hll = try message.message(4) { return .hll(adds: hll.repeated(1)) }
    if let gset = try message.message(5) { return .gset(adds: gset.repeated(1)) }
    return nil
  }

  private static func mapOperation(
    _ message: ProtobufFields, depth: Int
  ) throws(ProtocolFailure) -> MapOperation {
    guard depth < MapOperation.depthLimit else {
      throw .refused("Maps go more than \(MapOperation.depthLimit) deep")
    }
    var operation = MapOperation()
    for field in try message.messages(1) { operation.removes.append(try mapField(field)) }
    for update in try message.messages(2) {
      guard let name = try update.message(1) else { throw .undecodable("field is missing") }
      let field = try mapField(name)
      guard let change = try fieldOperation(update, field.kind, depth: depth) else {
        throw .refused("The update of a map's field does not fit its type")
      }
      operation.updates.append(MapOperation.Update(field: field, change: change))
    }
    return operation
  }

  static func mapField(_ message: ProtobufFields) throws(ProtocolFailure) -> MapField {
    guard let number = message.number(2),
      let kind = UInt8(exactly: number).flatMap(MapFieldKind.init(rawValue:))
    else { throw .undecodable("type of a map's field") }
    return MapField(name: try message.required(1, "name"), kind: kind)
  }

  private static func fieldOperation(
    _ update: ProtobufFields, _ kind: MapFieldKind, depth: Int
  ) throws(ProtocolFailure) -> FieldOperation? {
    switch kind {
    case .counter: return try update.message(2).map { .counter($0.signed(1) ?? 1) }
    case .set:
      return try update.message(3).map { .set(adds: $0.repeated(1), removes: $0.repeated(2)) }
    case .register: return update.bytes(4).map { .register($0) }
    case .flag:
      switch update.number(5) {
      case 1: return .flag(true)
      case 2: return .flag(false)
      default: return nil
      }
    case .map:
      guard let map = try update.message(6) else { return nil }
      return .map(try mapOperation(map, depth: depth + 1))
    }
  }

  /// The frame of a `DtFetchResp`.
  static func fetched(
    _ value: DataType?, _ kind: DataTypeKind, includesContext: Bool
  ) -> Bytes {
    var writer = ProtobufWriter(.dataType)
    if let value, includesContext, let context = value.context { writer.write(1, context) }
    writer.write(2, UInt64(kind.tag))
    guard let value else { return writer.bytes }
    writer.write(3) { writer in
      switch value.value {
      case .counter(let count): writer.write(signed: count, 1)
      case .set(let elements): for element in elements { writer.write(2, element) }
      case .map(let values): for value in values { writer.write(3) { entry(value, &$0) } }
      case .hll(let count): writer.write(4, count)
      case .gset(let elements): for element in elements { writer.write(5, element) }
      }
    }
    return writer.bytes
  }

  /// The frame of a `DtUpdateResp`; without a value when the client did not ask for it.
  static func updated(
    _ value: DataType?, generatedKey: Bytes?, includesContext: Bool
  ) -> Bytes {
    var writer = ProtobufWriter(.dataTypeUpdated)
    if let generatedKey { writer.write(1, generatedKey) }
    guard let value else { return writer.bytes }
    if includesContext, let context = value.context { writer.write(2, context) }
    switch value.value {
    case .counter(let count): writer.write(signed: count, 3)
    case .set(let elements): for element in elements { writer.write(4, element) }
    case .map(let values): for value in values { writer.write(5) { entry(value, &$0) } }
    case .hll(let count): writer.write(6, count)
    case .gset(let elements): for element in elements { writer.write(7, element) }
    }
    return writer.bytes
  }

  private static func entry(_ value: MapValue, _ writer: inout ProtobufWriter) {
    writer.write(1) { writer in
      writer.write(1, value.field.name)
      writer.write(2, UInt64(value.field.kind.rawValue))
    }
    switch value.value {
    case .counter(let count): writer.write(signed: count, 2)
    case .set(let elements): for element in elements { writer.write(3, element) }
    case .register(let bytes): writer.write(4, bytes)
    case .flag(let isOn): writer.write(5, isOn)
    case .map(let values): for value in values { writer.write(6) { entry(value, &$0) } }
    }
  }

  /// The frame of a `RpbCounterGetResp` or `RpbCounterUpdateResp`.
  static func counter(_ code: ClientMessageCode, _ value: DataType?) -> Bytes {
    var writer = ProtobufWriter(code)
    if case .counter(let count)? = value?.value { writer.write(signed: count, 1) }
    return writer.bytes
  }
}

extension DataType {
  /// What clients give back with removals; the kinds without removals have none.
  var context: Bytes? {
    switch kind {
    case .set, .map: clock.clientBytes
    case .counter, .hll, .gset: nil
    }
  }
}
