import Hummingbird
import KVBase
import KVModel
import KVProtocol

/// Counters of old clients and data types over HTTP.
///
/// **Source**: reference section 2.6.
extension ClientInterface {
  private func value(
    _ object: KVObject, _ kind: DataTypeKind
  ) throws(ClientFailure) -> DataType? {
    do {
      return try object.dataType(kind)
    } catch {
      throw .failed(.refused("\(error)"))
    }
  }

  private func update(
    _ request: DataTypeRequest, _ properties: BucketProperties
  ) async throws(ClientFailure) -> KVObject {
    let planned: ClientRequest
    do throws(ProtocolFailure) {
      planned = try request.planned(for: properties).request
    } catch {
      throw .conflict(error.text.trimmed { $0 == "\"" } + "\n")
    }
    guard case .stored(let object) = try await reply(to: planned) else { throw .failed(.overload) }
    return object
  }

  // MARK: Counters

  func counter(_ call: Call, _ key: ObjectKey) async throws(ClientFailure) -> Response {
    if call.method == .get {
      guard
        case .object(let object) = try await reply(
          to: .get(key, try call.query.getOptions())),
        let value = try value(object, .counter)
      else { throw .notFound }
      return ClientResponse.text(.ok, count(value))
    }
    let text = String(decoding: call.body, as: UTF8.self)
    guard let amount = Int64(text.trimmed { $0.isWhitespace }) else {
      throw .malformed("The body of a counter's update must be an integer\n")
    }
    let options = try call.query.putOptions(returnBody: "returnvalue")
    let object = try await update(
      DataTypeRequest(updating: key, .counter(amount), context: nil, options),
      try await stored(key.bucket))
    guard options.returnBody, let value = try value(object, .counter) else {
      return ClientResponse.empty(.noContent, [("Content-Type", "text/plain")])
    }
    return ClientResponse.text(.ok, count(value))
  }

  private func count(_ value: DataType) -> String {
    if case .counter(let count) = value.value { "\(count)" } else { "0" }
  }

  // MARK: Data types

  /// Reads or changes a data type; without a key it gets a generated one.
  func dataType(
    _ call: Call, _ bucket: BucketID, _ key: Bytes?
  ) async throws(ClientFailure) -> Response {
    if bucket.isUntyped {
      let path = "/buckets/\(ClientQuery.encoded(bucket.name))/counters/"
      return ClientResponse.page(
        .movedPermanently, [("Location", path + ClientQuery.encoded(key ?? []))])
    }
    let properties = try await stored(bucket)
    let kind: DataTypeKind
    let includesContext = try call.query.flag("include_context") ?? true
    do throws(ProtocolFailure) {
      kind = try DataTypeRequest.kind(in: bucket, properties)
    } catch { throw .malformed("\(error.text)\n") }
    if call.method == .get {
      guard
        case .object(let object) = try await reply(
          to: .get(ObjectKey(bucket: bucket, key: key ?? []), try call.query.getOptions()))
      else { throw .failed(.overload) }
      let value = try value(object, kind)
      return ClientResponse.json(
        value == nil ? .notFound : .ok,
        DataTypeJSON.answer(value, kind, includesContext: includesContext))
    }
    let operation: (change: DataTypeOperation, context: VersionVector?)
    do throws(ProtocolFailure) {
      operation = try DataTypeJSON.operation(call.body, for: kind)
    } catch { throw .malformed(error.text) }
    var random = SystemRandomNumberGenerator()
    let name = ObjectKey(bucket: bucket, key: key ?? Base62.key(using: &random))
    let options = try call.query.putOptions()
    let object = try await update(
      DataTypeRequest(updating: name, operation.change, context: operation.context, options),
      properties)
    var headers: [ClientResponse.Header] = []
    if key == nil { headers.append(("Location", ObjectHeaders.path(name))) }
    if options.returnBody {
      let answer = DataTypeJSON.answer(
        try value(object, kind), kind, includesContext: includesContext)
      return ClientResponse.body(
        key == nil ? .created : .ok, "application/json", Bytes(answer.text.utf8), headers)
    }
    return key == nil
      ? ClientResponse.body(.created, "application/json", [], headers)
      : ClientResponse.empty(.noContent, [("Content-Type", "application/json")])
  }
}

extension StringProtocol {
  fileprivate func trimmed(_ isSuperfluous: (Character) -> Bool) -> String {
    var text = self[...]
    while let first = text.first, isSuperfluous(first) { text.removeFirst() }
    while let last = text.last, isSuperfluous(last) { text.removeLast() }
    return String(text)
  }
}
