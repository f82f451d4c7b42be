import KVBase
public import KVModel
public import SwiftProtobuf

/// A bucket whose objects are values of one Swift type.
///
/// ```swift
/// struct Patient: Codable, Sendable { var name: String; var allergies: Set<String> }
///
/// let patients = TypedBucket<Patient>(
///   client: client, bucket: "patients",
///   resolving: .merging { a, b in
///     Patient(name: max(a.name, b.name), allergies: a.allergies.union(b.allergies))
///   })
/// try await patients.update("9434765919") { patient in
///   var patient = patient ?? Patient(name: "Ada", allergies: [])
///   patient.allergies.insert("penicillin")
///   return patient
/// }
/// ```
///
/// Values of `Codable` types are stored as JSON, protobuf messages in their binary form, others by a
/// ``ValueCoding`` of your own.
///
/// **Concurrency**: any task.
public struct TypedBucket<Value: Sendable>: Sendable {
  /// A value as read.
  public struct Entry: Sendable {
    /// The value; siblings are resolved.
    public var value: Value
    /// What this read has seen; give it back with the write that is based on it.
    public var context: CausalContext
    /// True when there were siblings; writing the value back makes an end of them.
    public var hadSiblings: Bool
  }

  /// The bucket.
  public let bucket: BucketID
  private let client: KVClient
  private let coding: any ValueCoding<Value>
  private let resolver: ValueResolver<Value>
  private let indexes: @Sendable (Value) -> [Pair]

  /// The values of `bucket` in a format of your own.
  ///
  /// - Parameters:
  ///   - client: the cluster.
  ///   - bucket: the bucket.
  ///   - coding: how values are written.
  ///   - indexes: the index entries of a value; by default none.
  ///   - resolver: what becomes of siblings.
  public init(
    client: KVClient, bucket: BucketID, coding: any ValueCoding<Value>,
    indexes: @escaping @Sendable (Value) -> [Pair] = { _ in [] },
    resolving resolver: ValueResolver<Value>
  ) {
    self.client = client
    self.bucket = bucket
    self.coding = coding
    self.indexes = indexes
    self.resolver = resolver
  }

  /// Reads a value.
  ///
  /// - Returns: the value, or nil when there is none or it was deleted.
  /// - Throws: `undecodable` when what is stored is no such value.
  public func get(
    _ key: String, options: GetOptions = .init()
  ) async throws(KVClientError) -> Entry? {
    guard let object = try await client.get(name(key), options: options) else { return nil }
    return try value(of: object.live, key).map {
      Entry(value: $0, context: object.context, hadSiblings: object.siblings.count > 1)
    }
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

  /// The keys, as the cluster finds them; a key may come more than once.
  ///
  /// Costs the cluster a walk over all of the bucket.
  public var keys: some AsyncSequence<String, KVClientError> & Sendable {
    client.keyBatches(in: bucket).elements.map { String(decoding: $0, as: UTF8.self) }
  }

  private func name(_ key: String) -> ObjectKey { ObjectKey(key, in: bucket) }

  private func content(of value: Value) throws(KVClientError) -> Content {
    do {
      var content = try coding.content(of: value)
      content.indexes += indexes(value)
      return content
    } catch {
      throw KVClientError(.invalidArgument, "the value cannot be encoded: \(error)")
    }
  }

  private func value(
    of contents: [Content], _ key: String
  ) throws(KVClientError) -> Value? {
    // In one order for all readers, whatever order the siblings came in.
    let sorted = contents.sorted { $0.value.lexicographicallyPrecedes($1.value) }
    var versions: [ValueResolver<Value>.Version] = []
    for content in sorted {
      do {
        versions.append(
          .init(value: try coding.value(of: content), lastModified: content.lastModified))
      } catch {
        throw KVClientError(.undecodable, "'\(key)' holds no \(Value.self): \(error)")
      }
    }
    guard versions.count > 1 else { return versions.first?.value }
    guard let value = resolver.resolve(versions) else {
      throw KVClientError(.unresolvedSiblings, "'\(key)' has \(versions.count) siblings")
    }
    return value
  }
}

extension TypedBucket where Value: Codable {
  /// The values of `bucket` as JSON; parameters as in the general form.
  public init(
    client: KVClient, bucket: BucketID,
    indexes: @escaping @Sendable (Value) -> [Pair] = { _ in [] },
    resolving resolver: ValueResolver<Value>
  ) {
    self.init(
      client: client, bucket: bucket, coding: JSONCoding<Value>(), indexes: indexes,
      resolving: resolver)
  }
}

extension TypedBucket where Value: SwiftProtobuf.Message {
  /// The values of `bucket` as protobuf messages; parameters as in the general form.
  public init(
    client: KVClient, bucket: BucketID,
    indexes: @escaping @Sendable (Value) -> [Pair] = { _ in [] },
    resolving resolver: ValueResolver<Value>
  ) {
    self.init(
      client: client, bucket: bucket, coding: ProtobufCoding<Value>(), indexes: indexes,
      resolving: resolver)
  }
}
