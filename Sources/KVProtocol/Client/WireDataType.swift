package import KVBase
package import KVModel

/// The change of a data type as a client sends it.
package struct WireDataTypeUpdate: Hashable, Sendable {
  package var key: ObjectKey
  package var operation: DataTypeOperation
  package var context: Bytes?
  package var options: PutOptions

  package init(
    key: ObjectKey, operation: DataTypeOperation, context: Bytes?, options: PutOptions
  ) {
    self.key = key
    self.operation = operation
    self.context = context
    self.options = options
  }

  /// `DtUpdateReq`.
  var payload: Bytes {
    var writer = ProtobufWriter(.updateDataType)
    writer.write(1, key.bucket.name)
    writer.write(2, key.key)
    writer.write(3, key.bucket.type)
    if let context { writer.write(4, context) }
    writer.write(5) { DataTypeMessages.write(operation, into: &$0) }
    if let w = options.w { writer.write(6, UInt64(w.field)) }
    if let dw = options.dw { writer.write(7, UInt64(dw.field)) }
    if let pw = options.pw { writer.write(8, UInt64(pw.field)) }
    if options.returnBody { writer.write(9, true) }
    if let timeout = options.timeout { writer.write(10, UInt64(timeout.timeoutField)) }
    if !options.sloppyQuorum { writer.write(11, false) }
    if let nVal = options.nVal { writer.write(12, UInt64(nVal)) }
    if let confirms = options.nodeConfirms { writer.write(14, UInt64(confirms.field)) }
    return writer.bytes
  }

  /// `DtFetchReq`.
  static func fetch(_ key: ObjectKey, _ options: GetOptions) -> Bytes {
    var writer = ProtobufWriter(.fetchDataType)
    writer.write(1, key.bucket.name)
    writer.write(2, key.key)
    writer.write(3, key.bucket.type)
    if let r = options.r { writer.write(4, UInt64(r.field)) }
    if let pr = options.pr { writer.write(5, UInt64(pr.field)) }
    if let basicQuorum = options.basicQuorum { writer.write(6, basicQuorum) }
    if let notFoundOK = options.notFoundOK { writer.write(7, notFoundOK) }
    if let timeout = options.timeout { writer.write(8, UInt64(timeout.timeoutField)) }
    if !options.sloppyQuorum { writer.write(9, false) }
    if let nVal = options.nVal { writer.write(10, UInt64(nVal)) }
    if let confirms = options.nodeConfirms { writer.write(12, UInt64(confirms.field)) }
    return writer.bytes
  }
}

/// A data type as a server tells it.
package struct WireDataType: Hashable, Sendable {
  /// Which data type the bucket holds; nil in the answer to an update, which does not say.
  package var kind: DataTypeKind?
  /// Nil when there is nothing, or when the value was not asked for.
  private var body: Value?
  package var context: Bytes?

  /// Everything a message may hold; which of it counts is told by the kind.
  private struct Value: Hashable, Sendable {
    var counter: Int128?
    var set: [Bytes]
    var map: [MapValue]
    var hll: UInt64?
    var gset: [Bytes]
  }

  /// The value as one of a `kind`; nil when there is none of it.
  ///
  /// A set or a map without elements has no bytes of its own, so it is there whenever a value is.
  package func value(as kind: DataTypeKind) -> DataTypeValue? {
    guard let body else { return nil }
    switch kind {
    case .counter: return body.counter.map { .counter($0) }
    case .set: return .set(body.set)
    case .map: return .map(body.map)
    case .hll: return body.hll.map { .hll($0) }
    case .gset: return .gset(body.gset)
    }
  }

  /// Reads a `DtFetchResp`.
  init(fetched bytes: Bytes) throws(ProtocolFailure) {
    let fields = try ProtobufFields(bytes[...], isWide: true)
    context = fields.bytes(1)
    guard let tag = fields.number(2),
      let kind = DataTypeKind.allCases.first(where: { UInt64($0.tag) == tag })
    else { throw .undecodable("data type") }
    self.kind = kind
    guard let value = try fields.message(3) else { return }
    body = Value(
      counter: value.wideSigned(1), set: value.repeated(2),
      map: try DataTypeMessages.mapValues(value.messages(3), depth: 0), hll: value.number(4),
      gset: value.repeated(5))
  }

  /// Reads a `DtUpdateResp`.
  init(updated bytes: Bytes) throws(ProtocolFailure) {
    let fields = try ProtobufFields(bytes[...], isWide: true)
    context = fields.bytes(2)
    body = Value(
      counter: fields.wideSigned(3), set: fields.repeated(4),
      map: try DataTypeMessages.mapValues(fields.messages(5), depth: 0), hll: fields.number(6),
      gset: fields.repeated(7))
  }
}

extension DataTypeMessages {
  /// Writes the fields of a `DtOp`.
  ///
  /// - Precondition: maps go at most ``MapOperation/depthLimit`` deep.
  static func write(_ operation: DataTypeOperation, into writer: inout ProtobufWriter) {
    switch operation {
    case .counter(let amount): writer.write(1) { $0.write(signed: Int128(amount), 1) }
    case .set(let adds, let removes): writer.write(2) { write(adds, removes, into: &$0) }
    case .map(let operation): writer.write(3) { write(operation, into: &$0) }
    case .hll(let adds): writer.write(4) { write(adds, [], into: &$0) }
    case .gset(let adds): writer.write(5) { write(adds, [], into: &$0) }
    }
  }

  private static func write(
    _ adds: [Bytes], _ removes: [Bytes], into writer: inout ProtobufWriter
  ) {
    for element in adds { writer.write(1, element) }
    for element in removes { writer.write(2, element) }
  }

  private static func write(_ operation: MapOperation, into writer: inout ProtobufWriter) {
    for field in operation.removes { writer.write(1) { write(field, into: &$0) } }
    for update in operation.updates { writer.write(2) { write(update, into: &$0) } }
  }

  private static func write(_ field: MapField, into writer: inout ProtobufWriter) {
    writer.write(1, field.name)
    writer.write(2, UInt64(field.kind.rawValue))
  }

  private static func write(
    _ update: MapOperation.Update, into writer: inout ProtobufWriter
  ) {
    writer.write(1) { write(update.field, into: &$0) }
    switch update.change {
    case .counter(let amount): writer.write(2) { $0.write(signed: Int128(amount), 1) }
    case .set(let adds, let removes): writer.write(3) { write(adds, removes, into: &$0) }
    case .register(let value): writer.write(4, value)
    case .flag(let isOn): writer.write(5, UInt64(isOn ? 1 : 2))
    case .map(let operation): writer.write(6) { write(operation, into: &$0) }
    }
  }

  /// The fields of a map in `MapEntry` messages.
  static func mapValues(
    _ entries: [ProtobufFields], depth: Int
  ) throws(ProtocolFailure) -> [MapValue] {
    guard depth < MapOperation.depthLimit else {
      throw .undecodable("maps more than \(MapOperation.depthLimit) deep")
    }
    var values: [MapValue] = []
    for entry in entries {
      guard let name = try entry.message(1) else { throw .undecodable("field is missing") }
      let field = try mapField(name)
      values.append(MapValue(field: field, value: try mapValue(entry, field.kind, depth: depth)))
    }
    return values
  }

  private static func mapValue(
    _ entry: ProtobufFields, _ kind: MapFieldKind, depth: Int
  ) throws(ProtocolFailure) -> MapValue.Value {
    switch kind {
    case .counter: .counter(entry.wideSigned(2) ?? 0)
    case .set: .set(entry.repeated(3))
    case .register: .register(try entry.required(4, "register"))
    case .flag: .flag(entry.flag(5) ?? false)
    case .map: .map(try mapValues(entry.messages(6), depth: depth + 1))
    }
  }
}

extension WireRequest {
  /// `RpbGetBucketKeyPreflistReq`.
  static func preferenceList(_ key: ObjectKey) -> Bytes {
    var writer = ProtobufWriter(.getPreferenceList)
    writer.write(1, key.bucket.name)
    writer.write(2, key.key)
    if !key.bucket.isUntyped { writer.write(3, key.bucket.type) }
    return writer.bytes
  }
}

extension WireReply {
  /// `RpbGetBucketKeyPreflistResp`.
  static func preferenceList(_ body: Bytes) throws(ProtocolFailure) -> WireReply {
    var vnodes: [PreferredVnode] = []
    for item in try ProtobufFields(body[...]).messages(1) {
      guard let partition = item.number(1).flatMap({ Int(exactly: $0) }) else {
        throw .undecodable("partition")
      }
      vnodes.append(
        PreferredVnode(
          partition: partition, node: String(decoding: try item.required(2, "node"), as: UTF8.self),
          isPrimary: item.flag(3) ?? false))
    }
    return .preferenceList(vnodes)
  }
}
