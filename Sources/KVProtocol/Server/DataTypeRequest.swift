import KVBase
package import KVModel

/// A request about a data type, which can be performed when the bucket's properties are known.
///
/// **Source**: reference sections 1.14 and 1.15.
package struct DataTypeRequest: Hashable, Sendable {
  /// What is asked.
  enum Action: Hashable, Sendable {
    case fetch(GetOptions)
    case update(DataTypeOperation?, context: VersionVector?, PutOptions)
  }

  /// How the answer is told.
  enum Form: Hashable, Sendable {
    /// The counters of old clients, on untyped buckets.
    case legacyCounter
    /// Data types of typed buckets.
    case dataType(includesContext: Bool)
  }

  /// The object.
  package let key: ObjectKey
  let action: Action
  let form: Form
  let generatedKey: Bytes?

  /// How failures read before the answer's shape is known.
  package var failureContext: FailureContext { form == .legacyCounter ? .bucket : .dataType }

  /// The kind of data types in a bucket.
  ///
  /// - Throws: that its type says none.
  package static func kind(
    in bucket: BucketID, _ properties: BucketProperties
  ) throws(ProtocolFailure) -> DataTypeKind {
    try DataTypeRequest(
      key: ObjectKey(bucket: bucket, key: []), action: .fetch(GetOptions()),
      form: .dataType(includesContext: true), generatedKey: nil
    ).kind(of: properties)
  }

  /// The request for the node and the shape of its answer.
  ///
  /// - Throws: why the bucket does not offer it.
  package func planned(
    for properties: BucketProperties
  ) throws(ProtocolFailure) -> (request: ClientRequest, shape: ReplyShape) {
    let kind = try kind(of: properties)
    switch action {
    case .fetch(let options):
      return (
        .get(key, options),
        form == .legacyCounter ? .counterValue : .dataType(kind, includesContext: includesContext)
      )
    case .update(let operation, let context, var options):
      guard operation?.kind == kind, let operation else {
        throw .refused(
          "Operation type is `\(operation?.kind.rawValue ?? "undefined")` but  "
            + "bucket type is `\(kind.rawValue)`.")
      }
      guard properties.allowMult else {
        throw .refused(
          form == .legacyCounter
            ? "\"Counters require bucket property 'allow_mult=true'\""
            : "Bucket must be allow_mult=true")
      }
      options.dataType = DataTypeUpdate(
        operation: operation, context: context,
        precision: properties.number(OpaqueProperty.hllPrecision).flatMap { UInt8(exactly: $0) }
          ?? HyperLogLog.defaultPrecision)
      return (
        .put(key, context: VersionVector(), Content(value: []), options),
        form == .legacyCounter
          ? .counterUpdated
          : .dataTypeUpdated(
            kind, includesContext: includesContext, generatedKey: generatedKey)
      )
    }
  }

  private var includesContext: Bool {
    if case .dataType(let included) = form { included } else { false }
  }

  /// An untyped bucket holds counters, a typed one what its type says.
  private func kind(of properties: BucketProperties) throws(ProtocolFailure) -> DataTypeKind {
    if key.bucket.isUntyped { return .counter }
    let name = properties[opaque: OpaqueProperty.datatype]
    let text = name.map { String(decoding: $0, as: UTF8.self) } ?? "undefined"
    guard let kind = DataTypeKind(rawValue: text) else {
      guard case .update = action else { throw .refused("`\(text)` is not a supported type") }
      throw .refused("Bucket datatype `\(text)` is not a supported type")
    }
    return kind
  }
}

extension DataTypeRequest {
  /// A change of the data type at `key`; without a context removals concern whatever there is.
  package init(
    updating key: ObjectKey, _ operation: DataTypeOperation, context: VersionVector?,
    _ options: PutOptions
  ) {
    self.init(
      key: key, action: .update(operation, context: context, options),
      form: key.bucket.isUntyped ? .legacyCounter : .dataType(includesContext: true),
      generatedKey: nil)
  }

  /// Decodes `RpbCounterGetReq`.
  static func counterGet(_ body: Bytes) throws(ProtocolFailure) -> DataTypeRequest {
    let fields = try ProtobufFields(body[...])
    var options = GetOptions()
    options.r = fields.quorum(3)
    options.pr = fields.quorum(4)
    options.basicQuorum = fields.flag(5)
    options.notFoundOK = fields.flag(6)
    options.nodeConfirms = fields.quorum(7)
    return DataTypeRequest(
      key: try fields.key(type: BucketID.defaultType, fields.required(2, "key")),
      action: .fetch(options), form: .legacyCounter, generatedKey: nil)
  }

  /// Decodes `RpbCounterUpdateReq`.
  static func counterUpdate(_ body: Bytes) throws(ProtocolFailure) -> DataTypeRequest {
    let fields = try ProtobufFields(body[...])
    guard let amount = fields.signed(3) else { throw .undecodable("amount is missing") }
    var options = PutOptions()
    options.w = fields.quorum(4)
    options.dw = fields.quorum(5)
    options.pw = fields.quorum(6)
    options.returnBody = fields.flag(7) ?? false
    options.nodeConfirms = fields.quorum(8)
    return DataTypeRequest(
      key: try fields.key(type: BucketID.defaultType, fields.required(2, "key")),
      action: .update(.counter(amount), context: nil, options), form: .legacyCounter,
      generatedKey: nil)
  }

  /// Decodes `DtFetchReq`.
  static func fetch(_ body: Bytes) throws(ProtocolFailure) -> DataTypeRequest {
    let fields = try ProtobufFields(body[...])
    var options = GetOptions()
    options.r = fields.quorum(4)
    options.pr = fields.quorum(5)
    options.basicQuorum = fields.flag(6)
    options.notFoundOK = fields.flag(7)
    options.timeout = fields.uint32(8).flatMap { .timeout(field: $0) }
    options.sloppyQuorum = fields.flag(9) ?? true
    options.nVal = fields.uint32(10)
    options.nodeConfirms = fields.quorum(12)
    return DataTypeRequest(
      key: try fields.key(
        type: fields.required(3, "type"), fields.required(2, "key")),
      action: .fetch(options), form: .dataType(includesContext: fields.flag(11) ?? true),
      generatedKey: nil)
  }

  /// Decodes `DtUpdateReq`; a missing key is made.
  static func update(
    _ body: Bytes, makeKey: () -> Bytes
  ) throws(ProtocolFailure) -> DataTypeRequest {
    let fields = try ProtobufFields(body[...])
    guard let message = try fields.message(5) else { throw .undecodable("op is missing") }
    var options = PutOptions()
    options.w = fields.quorum(6)
    options.dw = fields.quorum(7)
    options.pw = fields.quorum(8)
    options.returnBody = fields.flag(9) ?? false
    options.timeout = fields.uint32(10).flatMap { .timeout(field: $0) }
    options.sloppyQuorum = fields.flag(11) ?? true
    options.nVal = fields.uint32(12)
    options.nodeConfirms = fields.quorum(14)
    let givenKey = fields.bytes(2)
    let generatedKey = givenKey == nil ? makeKey() : nil
    return DataTypeRequest(
      key: try fields.key(
        type: fields.required(3, "type"), givenKey ?? generatedKey ?? []),
      action: .update(
        try DataTypeMessages.operation(message), context: try context(fields.bytes(4)), options),
      form: .dataType(includesContext: fields.flag(13) ?? true), generatedKey: generatedKey)
  }

  /// The context a client gives back; an empty one has seen nothing.
  private static func context(_ bytes: Bytes?) throws(ProtocolFailure) -> VersionVector? {
    guard let bytes else { return nil }
    guard !bytes.isEmpty else { return VersionVector() }
    do {
      return try VersionVector(clientBytes: bytes)
    } catch {
      throw .undecodable("context: \(error)")
    }
  }
}

extension ProtobufFields {
  /// A quorum value; nil when it is missing or "default".
  func quorum(_ number: UInt64) -> QuorumValue? { uint32(number).flatMap(QuorumValue.init(field:)) }

  /// The object `key` of the bucket in field 1.
  fileprivate func key(
    type: Bytes, _ key: Bytes
  ) throws(ProtocolFailure) -> ObjectKey {
    let bucket = try required(1, "bucket")
    if bucket.isEmpty { throw .refused("Bucket cannot be zero-length") }
    if key.isEmpty { throw .refused("Key cannot be zero-length") }
    if type.isEmpty { throw .refused("Type cannot be zero-length") }
    return ObjectKey(bucket: BucketID(type: type, name: bucket), key: key)
  }
}
