import Foundation
public import KVBase

/// A bucket whose values have one type: encoding, index terms and sibling merge declared once.
///
/// **Invariants**: `merge` is commutative, associative and idempotent, so that every reader of the
/// same siblings sees the same value whatever order they arrive in.
public struct TypedBucket<Value: Sendable>: Sendable {
  /// Where the values are.
  public let name: BucketName
  /// How they are replicated.
  public let settings: BucketSettings
  /// The media type of the encoding.
  public let contentType: String
  let encode: @Sendable (Value) throws -> Bytes
  let decode: @Sendable (Bytes) throws -> Value
  let indexes: @Sendable (Value) -> [IndexTerm]
  let merge: @Sendable (Value, Value) -> Value

  /// A bucket of values with their own encoding.
  public init(
    _ name: BucketName, settings: BucketSettings = .init(), contentType: String,
    encode: @escaping @Sendable (Value) throws -> Bytes,
    decode: @escaping @Sendable (Bytes) throws -> Value,
    indexes: @escaping @Sendable (Value) -> [IndexTerm] = { _ in [] },
    merge: @escaping @Sendable (Value, Value) -> Value
  ) {
    self.name = name
    self.settings = settings
    self.contentType = contentType
    self.encode = encode
    self.decode = decode
    self.indexes = indexes
    self.merge = merge
  }
}

extension TypedBucket where Value: Codable {
  /// A bucket of values stored as JSON with sorted keys.
  public init(
    json name: BucketName, settings: BucketSettings = .init(),
    indexes: @escaping @Sendable (Value) -> [IndexTerm] = { _ in [] },
    merge: @escaping @Sendable (Value, Value) -> Value
  ) {
    self.init(
      name, settings: settings, contentType: "application/json",
      encode: { try JSONCoding.encode($0) }, decode: { try JSONCoding.decode(Value.self, $0) },
      indexes: indexes, merge: merge)
  }
}

/// The one JSON encoding of stored values: sorted keys, so equal values are equal bytes.
public enum JSONCoding {
  /// The bytes of `value`.
  public static func encode(_ value: some Encodable) throws -> Bytes {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Bytes(try encoder.encode(value))
  }

  /// The value in `bytes`.
  public static func decode<T: Decodable>(_ type: T.Type, _ bytes: Bytes) throws -> T {
    try JSONDecoder().decode(type, from: Data(bytes))
  }
}

/// A value, merged from its siblings, with the context to replace them.
public struct Versioned<Value: Sendable>: Sendable {
  /// The merged value.
  public var value: Value
  /// The context of the read.
  public var context: Bytes
  /// How many siblings were merged.
  public var siblingCount: Int
}

/// A typed bucket on a store: fetch with merge, insert, and the read-change-write loop.
public struct BucketHandle<Value: Sendable>: Sendable {
  /// The declaration.
  public let bucket: TypedBucket<Value>
  let store: any BucketStore

  /// How often an update reads again after losing a race, before it gives up.
  static var updateAttempts: Int { 12 }

  /// The bucket on `store`.
  public init(_ bucket: TypedBucket<Value>, on store: any BucketStore) {
    self.bucket = bucket
    self.store = store
  }

  /// The value of `key`, its siblings merged, or nil.
  public func fetch(_ key: String) async throws(SpineError) -> Versioned<Value>? {
    let siblings: StoredSiblings?
    do { siblings = try await store.fetch(key, in: bucket.name) } catch { throw SpineError(error) }
    guard let siblings else { return nil }
    let live = siblings.values.filter { !$0.isDeleted }
    var values: [Value] = []
    for stored in live {
      do { values.append(try bucket.decode(stored.body)) } catch {
        throw SpineError(.corruptValue, "\(bucket.name.name)/\(key) cannot be decoded: \(error)")
      }
    }
    guard var merged = values.first else { return nil }
    for value in values.dropFirst() { merged = bucket.merge(merged, value) }
    return Versioned(value: merged, context: siblings.context, siblingCount: values.count)
  }

  /// Writes `value` over what `context` was read with; false when the condition did not hold.
  public func put(
    _ value: Value, at key: String, context: Bytes? = nil, if condition: StoreCondition = .none
  ) async throws(SpineError) -> Bool {
    let body: Bytes
    do { body = try bucket.encode(value) } catch {
      throw SpineError(.corruptValue, "\(bucket.name.name)/\(key) cannot be encoded: \(error)")
    }
    let stored = StoredValue(
      body: body, contentType: bucket.contentType, indexes: bucket.indexes(value))
    do {
      try await store.store(stored, at: key, in: bucket.name, context: context, if: condition)
      return true
    } catch .conditionFailed {
      return false
    } catch {
      throw SpineError(error)
    }
  }

  /// Writes a document that never changes: true when it is new.
  ///
  /// A document already there under the key is left alone: the same message was written before.
  @discardableResult
  public func putOnce(_ value: Value, at key: String) async throws(SpineError) -> Bool {
    try await put(value, at: key, if: .absent)
  }

  /// Deletes what `context` was read with.
  public func delete(_ key: String, context: Bytes?) async throws(SpineError) {
    do { try await store.delete(key, in: bucket.name, context: context) } catch {
      throw SpineError(error)
    }
  }

  /// What a change to a value decided.
  public enum Change<Result: Sendable>: Sendable {
    /// Write the value, then answer.
    case write(Value, Result)
    /// Answer without writing.
    case keep(Result)
  }

  /// Reads, lets `change` decide, and writes conditionally; reads again when it lost a race.
  ///
  /// `change` may run several times and must not remember. `beforeWrite` runs after it and before
  /// the write, for what must be stored first.
  public func update<Result: Sendable>(
    _ key: String,
    beforeWrite: (Value, Value?) async throws(SpineError) -> Void = { (_, _) throws(SpineError) in
    },
    change: (Value?) throws(SpineError) -> Change<Result>
  ) async throws(SpineError) -> Result {
    for attempt in 0..<Self.updateAttempts {
      let current = try await fetch(key)
      switch try change(current?.value) {
      case .keep(let result): return result
      case .write(let value, let result):
        try await beforeWrite(value, current?.value)
        let condition: StoreCondition = current == nil ? .absent : .unmodified
        if try await put(value, at: key, context: current?.context, if: condition) { return result }
        await Self.backOff(attempt)
      }
    }
    throw SpineError(.contention, "\(bucket.name.name)/\(key) changed under every attempt")
  }

  /// Waits a little longer after each lost race, so that one of the writers gets through.
  private static func backOff(_ attempt: Int) async {
    let ceiling = min(64, 1 << min(attempt, 6))
    try? await Task.sleep(for: .milliseconds(Int.random(in: 0...ceiling)))
  }
}
