import Foundation
import KVBase
public import KVModel

/// A bucket whose objects are values of one Swift type, stored as JSON.
///
/// ```swift
/// struct Patient: Codable, Sendable { var name: String; var allergies: Set<String> }
///
/// let patients = TypedBucket<Patient>(client: client, bucket: "patients") { versions in
///   versions.dropFirst().reduce(into: versions[0]) { $0.allergies.formUnion($1.allergies) }
/// }
/// try await patients.update("9434765919") { patient in
///   var patient = patient ?? Patient(name: "Ada", allergies: [])
///   patient.allergies.insert("penicillin")
///   return patient
/// }
/// ```
///
/// **Concurrency**: any task.
public struct TypedBucket<Value: Codable & Sendable>: Sendable {
  /// A value as read.
  public struct Entry: Sendable {
    /// The value; siblings are merged.
    public var value: Value
    /// What this read has seen; give it back with the write that is based on it.
    public var context: CausalContext
  }

  /// The bucket.
  public let bucket: BucketID
  private let client: KVClient
  private let merge: @Sendable ([Value]) -> Value
  private let indexes: @Sendable (Value) -> [Pair]

  /// The values of `bucket`.
  ///
  /// - Parameters:
  ///   - client: the cluster.
  ///   - bucket: the bucket, of the type `default`.
  ///   - indexes: the index entries of a value; by default none.
  ///   - merge: one value of two or more that were written concurrently. It must not depend on their
  ///     order.
  public init(
    client: KVClient, bucket: String,
    indexes: @escaping @Sendable (Value) -> [Pair] = { _ in [] },
    merging merge: @escaping @Sendable ([Value]) -> Value
  ) {
    self.init(
      client: client,
      bucket: BucketID(type: BucketID.defaultType, name: Bytes(bucket.utf8)),
      indexes: indexes, merging: merge)
  }

  /// The values of a bucket of any type; parameters as in the other form.
  public init(
    client: KVClient, bucket: BucketID,
    indexes: @escaping @Sendable (Value) -> [Pair] = { _ in [] },
    merging merge: @escaping @Sendable ([Value]) -> Value
  ) {
    self.client = client
    self.bucket = bucket
    self.indexes = indexes
    self.merge = merge
  }

  /// Reads a value.
  ///
  /// - Returns: the value, or nil when there is none or it was deleted.
  /// - Throws: `undecodable` when what is stored is no JSON of such a value.
  public func get(
    _ key: String, options: GetOptions = .init()
  ) async throws(KVClientError) -> Entry? {
    guard let object = try await client.get(name(key), options: options) else { return nil }
    return try value(of: object.live, key).map { Entry(value: $0, context: object.context) }
  }

  /// Writes a value.
  ///
  /// - Parameters:
  ///   - value: what to store.
  ///   - key: its name.
  ///   - context: that of the read this write is based on; nil for a write that has seen nothing.
  ///   - options: quorums and conditions.
  public func put(
    _ value: Value, at key: String, context: CausalContext? = nil, options: PutOptions = .init()
  ) async throws(KVClientError) {
    try await client.put(try content(of: value), at: name(key), context: context, options: options)
  }

  /// Deletes a value; one that does not exist is deleted already.
  public func delete(_ key: String, context: CausalContext? = nil) async throws(KVClientError) {
    try await client.delete(name(key), context: context)
  }

  /// Reads, changes and writes a value, again and again until no one else wrote in between.
  ///
  /// - Parameters:
  ///   - key: its name.
  ///   - attempts: how often to try at most.
  ///   - change: given the present value (nil for none), returns the new one; it may be called
  ///     several times.
  /// - Throws: `modified` or `matchFound` when others were faster every time.
  public func update(
    _ key: String, attempts: Int = 5, _ change: (Value?) -> Value
  ) async throws(KVClientError) {
    try await client.update(name(key), attempts: attempts) { (present) throws(KVClientError) in
      try content(of: change(try value(of: present?.live ?? [], key)))
    }
  }

  private func name(_ key: String) -> ObjectKey { ObjectKey(bucket: bucket, key: Bytes(key.utf8)) }

  private func content(of value: Value) throws(KVClientError) -> Content {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    do {
      var content = Content(value: Bytes(try encoder.encode(value)))
      content.contentType = Bytes("application/json".utf8)
      content.indexes = indexes(value)
      return content
    } catch {
      throw KVClientError(.invalidArgument, "the value cannot be encoded: \(error)")
    }
  }

  private func value(
    of contents: [Content], _ key: String
  ) throws(KVClientError) -> Value? {
    var values: [Value] = []
    for content in contents {
      do {
        values.append(try JSONDecoder().decode(Value.self, from: Data(content.value)))
      } catch {
        throw KVClientError(.undecodable, "'\(key)' holds no \(Value.self): \(error)")
      }
    }
    return values.count > 1 ? merge(values) : values.first
  }
}
