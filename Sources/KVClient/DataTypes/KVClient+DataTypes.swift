public import KVModel
import KVBase
import KVProtocol

/// Data types converge by themselves: concurrent changes are joined by the servers, and nobody ever
/// sees siblings. Which one a bucket holds is a property of its bucket type.
extension KVClient {
  /// The counter at `key`.
  ///
  /// In a bucket of the type `default`, too, counters can be kept.
  public func counter(at key: ObjectKey) -> KVCounter { KVCounter(client: self, key: key) }

  /// The set at `key`.
  public func set(at key: ObjectKey) -> KVSet { KVSet(client: self, key: key) }

  /// The grow-only set at `key`.
  public func growOnlySet(at key: ObjectKey) -> KVGrowOnlySet {
    KVGrowOnlySet(client: self, key: key)
  }

  /// The estimate (HyperLogLog) at `key`.
  public func estimate(at key: ObjectKey) -> KVEstimate { KVEstimate(client: self, key: key) }

  /// The map at `key`.
  public func map(at key: ObjectKey) -> KVMap { KVMap(client: self, key: key) }
}

/// A data type's value and what a reader of it has seen.
struct FetchedDataType {
  var value: DataTypeValue
  var context: CausalContext?
}

extension KVClient {
  /// Reads a data type; nil when there is none.
  func fetch(
    _ kind: DataTypeKind, at key: ObjectKey, _ options: GetOptions
  ) async throws(KVClientError) -> FetchedDataType? {
    try check(key)
    var sent = options
    sent.timeout = serverTimeout(options.timeout, .always)
    let (reply, endpoint) = try await perform(
      .fetchDataType(key, sent), .always, isWrite: false, timeout: options.timeout)
    guard case .dataType(let found) = reply else {
      throw unexpected(reply, endpoint, isWrite: false)
    }
    guard let stored = found.kind, stored == kind else {
      throw KVClientError(
        .wrongDataType,
        "the bucket holds \(found.kind?.rawValue ?? "nothing") values, not \(kind.rawValue) values",
        endpoint: endpoint)
    }
    return FetchedDataType(found, kind)
  }

  /// Changes a data type; gives the value after it if ``PutOptions/returnBody`` is set.
  func update(
    _ operation: DataTypeOperation, at key: ObjectKey, context: CausalContext?,
    _ options: PutOptions, _ repeatability: Repeatability
  ) async throws(KVClientError) -> FetchedDataType? {
    try check(key)
    guard !options.ifNoneMatch, !options.ifNotModified, !options.asIs else {
      throw KVClientError(.invalidArgument, "changes of data types have no conditions")
    }
    var sent = options
    sent.timeout = serverTimeout(options.timeout, repeatability)
    let (reply, endpoint) = try await perform(
      .updateDataType(
        WireDataTypeUpdate(
          key: key, operation: operation, context: context?.bytes, options: sent)),
      repeatability, isWrite: true, timeout: options.timeout)
    guard case .dataTypeUpdated(let found) = reply else {
      throw unexpected(reply, endpoint, isWrite: true)
    }
    return options.returnBody ? FetchedDataType(found, operation.kind) : nil
  }
}

extension FetchedDataType {
  fileprivate init?(_ found: WireDataType, _ kind: DataTypeKind) {
    guard let value = found.value(as: kind) else { return nil }
    self.init(value: value, context: found.context.map { CausalContext(bytes: $0) })
  }
}
