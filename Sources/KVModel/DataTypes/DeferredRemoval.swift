import KVBase

/// A removal by someone who has seen more than the value in which it was made.
///
/// What such a client saw and wants removed may not be here yet. The removal is kept with the value until
/// the value has seen all that the client had: whenever an addition comes that the client had seen, it
/// is forgotten at once.
///
/// **Source**: the deferred operations of Riak's OR-set; Bieniusa et al., *An Optimized Conflict-free
/// Replicated Set* (2012).
struct DeferredRemoval: Hashable, Sendable {
  /// What is removed.
  enum Target: Hashable, Sendable {
    /// An element of the set at the path.
    case element(Bytes)
    /// The last field of the path.
    case field
    /// The state "on" of the flag at the path.
    case flag
  }

  /// What the client had seen.
  var seen: VersionVector
  /// The fields that lead to the target; empty in a set.
  var path: [MapField]
  /// What is removed.
  var target: Target
}

// MARK: - Deferring

extension DataTypeOperation {
  /// The removals of the operation, by someone who has seen `seen`.
  func removals(seen: VersionVector) -> [DeferredRemoval] {
    switch self {
    case .set(_, let removes):
      removes.map { DeferredRemoval(seen: seen, path: [], target: .element($0)) }
    case .map(let operation): operation.removals(seen: seen, path: [])
    case .counter, .hll, .gset: []
    }
  }
}

extension MapOperation {
  fileprivate func removals(seen: VersionVector, path: [MapField]) -> [DeferredRemoval] {
    var found = removes.map {
      DeferredRemoval(seen: seen, path: path + [$0], target: .field)
    }
    for update in updates {
      let path = path + [update.field]
      switch update.change {
      case .set(_, let removes):
        found += removes.map { DeferredRemoval(seen: seen, path: path, target: .element($0)) }
      case .flag(false): found.append(DeferredRemoval(seen: seen, path: path, target: .flag))
      case .map(let operation): found += operation.removals(seen: seen, path: path)
      case .counter, .register, .flag(true): break
      }
    }
    return found
  }
}

extension DataType {
  /// Keeps the removals of an update whose context has seen more than this value, before the update
  /// becomes the event `dot`.
  mutating func deferRemovals(of update: DataTypeUpdate, as dot: Dot) {
    // Nobody has seen events of this actor that have not happened yet.
    guard let seen = update.context?.capping(dot.actor, at: clock[dot.actor]),
      !clock.descends(seen)
    else { return }
    deferred = Self.union(deferred, update.operation.removals(seen: seen))
  }

  /// Makes the deferred removals in what has come meanwhile; those that have seen no more than the value
  /// are done.
  mutating func settleRemovals() {
    guard !deferred.isEmpty else { return }
    for removal in deferred { store.forget(removal) }
    deferred.removeAll { clock.descends($0.seen) }
  }

  /// The removals of both lists, each once, in the order of their encodings.
  static func union(_ a: [DeferredRemoval], _ b: [DeferredRemoval]) -> [DeferredRemoval] {
    guard !b.isEmpty else { return a }
    return Set(a).union(b).map { (removal: $0, key: $0.encoded) }
      .sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.removal)
  }
}

// MARK: - Removing

extension DataType.Store {
  fileprivate mutating func forget(_ removal: DeferredRemoval) {
    switch (self, removal.target) {
    case (.set(var set), .element(let element)):
      set.forget(element, removal.seen)
      self = .set(set)
    case (.map(var map), _):
      map.forget(removal, depth: 0)
      self = .map(map)
    default: break
    }
  }
}

extension FieldStore {
  /// Makes a removal in the field that the path has led to.
  mutating func forget(_ removal: DeferredRemoval, depth: Int) {
    switch (self, removal.target) {
    case (.map(var map), _) where depth < removal.path.count:
      map.forget(removal, depth: depth)
      self = .map(map)
    case (_, .field): forget(removal.seen)
    case (.set(var set), .element(let element)):
      set.forget(element, removal.seen)
      self = .set(set)
    case (.flag(var dots), .flag):
      dots.forget(removal.seen)
      self = .flag(dots)
    default: break
    }
  }
}

// MARK: - Encoding

extension DeferredRemoval {
  fileprivate var encoded: Bytes {
    var writer = ByteWriter(capacity: 64)
    encode(into: &writer)
    return writer.bytes
  }

  func encode(into writer: inout ByteWriter) {
    seen.encode(into: &writer)
    writer.write(list: path) { writer, field in
      writer.write(field.name)
      writer.write(field.kind.rawValue)
    }
    switch target {
    case .element(let element):
      writer.write(UInt8(0))
      writer.write(element)
    case .field: writer.write(UInt8(1))
    case .flag: writer.write(UInt8(2))
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    seen = try VersionVector(decoding: &reader)
    path = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      let name = try r.readBytes()
      guard let kind = MapFieldKind(rawValue: try r.readByte()) else {
        throw r.failure(expected: "a kind of field of 1 to 5")
      }
      return MapField(name: name, kind: kind)
    }
    switch try reader.readByte() {
    case 0: target = .element(try reader.readBytes())
    case 1: target = .field
    case 2: target = .flag
    default: throw reader.failure(expected: "a deferred removal of 0 to 2")
    }
  }

  /// True when a value of this kind can have been asked for the removal.
  func isPossible(in kind: DataTypeKind) -> Bool {
    guard kind == .map else { return kind == .set && path.isEmpty && isOfElement }
    guard let last = path.last, path.count <= MapOperation.depthLimit + 1,
      path.dropLast().allSatisfy({ $0.kind == .map })
    else { return false }
    return switch target {
    case .element: last.kind == .set
    case .field: true
    case .flag: last.kind == .flag
    }
  }

  private var isOfElement: Bool { if case .element = target { true } else { false } }
}

extension DataType {
  /// Reads the deferred removals of an encoded value.
  static func deferred(
    decoding reader: inout ByteReader, kind: DataTypeKind, clock: VersionVector
  ) throws(DecodingFailure) -> [DeferredRemoval] {
    let removals = try reader.readList(minimumBytes: 3) { (r) throws(DecodingFailure) in
      try DeferredRemoval(decoding: &r)
    }
    let isSound =
      !removals.isEmpty && union([], removals) == removals
      && removals.allSatisfy { $0.isPossible(in: kind) && !clock.descends($0.seen) }
    guard isSound else {
      throw reader.failure(expected: "sorted removals of a \(kind) that has not seen them")
    }
    return removals
  }
}
