public import KVBase

/// A value that converges: replicas that have seen the same changes hold the same value, in whatever
/// order they came.
///
/// The value is stored as the content of an object; concurrent contents are joined when they are read
/// or changed. Its clock holds every event it has seen; the dots in it are those of the object's
/// writes.
///
/// **Invariants**: 1. the clock contains every dot of the value; 2. joining is commutative, associative and
/// idempotent; 3. every deferred removal has seen an event that the clock does not contain.
public struct DataType: Hashable, Sendable {
  enum Store: Hashable, Sendable {
    case counter(CounterStore)
    case set(ElementStore)
    case map(MapStore)
    case hll(HyperLogLog)
    case gset([Bytes])
  }

  /// Every event the value has seen; what clients get as the context.
  public internal(set) var clock: VersionVector
  var store: Store
  /// Removals by clients who had seen more than this value has.
  var deferred: [DeferredRemoval] = []

  /// The value before any change.
  public init(_ kind: DataTypeKind, precision: UInt8 = HyperLogLog.defaultPrecision) {
    clock = VersionVector()
    store =
      switch kind {
      case .counter: .counter(CounterStore())
      case .set: .set(ElementStore())
      case .map: .map(MapStore())
      case .hll: .hll(HyperLogLog(precision: precision))
      case .gset: .gset([])
      }
  }

  init(clock: VersionVector, store: Store) {
    self.clock = clock
    self.store = store
  }

  /// Which data type it is.
  public var kind: DataTypeKind {
    switch store {
    case .counter: .counter
    case .set: .set
    case .map: .map
    case .hll: .hll
    case .gset: .gset
    }
  }

  /// What both have seen; nil when they are of different kinds.
  public func joining(_ other: DataType) -> DataType? {
    let joined: Store
    switch (store, other.store) {
    case (.counter(let a), .counter(let b)):
      joined = .counter(a.joining(b, clock, other.clock))
    case (.set(let a), .set(let b)): joined = .set(a.joining(b, clock, other.clock))
    case (.map(let a), .map(let b)): joined = .map(a.joining(b, clock, other.clock))
    case (.hll(let a), .hll(let b)): joined = .hll(a.merging(b))
    case (.gset(let a), .gset(let b)): joined = .gset(Self.union(a, b))
    default: return nil
    }
    var result = DataType(clock: clock.merging(other.clock), store: joined)
    result.deferred = Self.union(deferred, other.deferred)
    result.settleRemovals()
    return result
  }

  /// Makes a change as the event `dot`.
  ///
  /// Removals concern what `update.context` has seen, also what has not come here yet, or without a
  /// context whatever is there.
  ///
  /// - Precondition: the event is new.
  public mutating func apply(
    _ update: DataTypeUpdate, as dot: Dot, at time: WallClock
  ) throws(DataTypeFailure) {
    switch (store, update.operation) {
    case (.counter(var counter), .counter(let amount)):
      try counter.add(amount, as: dot)
      store = .counter(counter)
    case (.set(var set), .set(let adds, let removes)):
      set.add(adds, as: dot)
      try set.remove(removes, seen: update.context)
      store = .set(set)
    case (.map(var map), .map(let operation)):
      try map.apply(
        operation, as: dot, at: time.microseconds, seen: update.context)
      store = .map(map)
    case (.hll(var hll), .hll(let adds)):
      hll = hll.folded(to: update.precision)
      for element in adds { hll.insert(element) }
      store = .hll(hll)
    case (.gset(let elements), .gset(let adds)): store = .gset(Self.union(elements, adds))
    default: throw .mismatch(stored: kind.rawValue)
    }
    deferRemovals(of: update, as: dot)
    clock.include(dot)
  }

  private static func union(_ a: [Bytes], _ b: [Bytes]) -> [Bytes] {
    Set(a).union(b).sorted { $0.lexicographicallyPrecedes($1) }
  }
}

/// What clients see of a data type.
public enum DataTypeValue: Hashable, Sendable {
  /// The count.
  case counter(Int128)
  /// The elements, sorted.
  case set([Bytes])
  /// The fields, sorted.
  case map([MapValue])
  /// About how many elements there are.
  case hll(UInt64)
  /// The elements, sorted.
  case gset([Bytes])
}

/// One field of a map and what it holds.
public struct MapValue: Hashable, Sendable {
  /// What the field holds.
  public indirect enum Value: Hashable, Sendable {
    /// The count.
    case counter(Int128)
    /// The elements, sorted.
    case set([Bytes])
    /// The value.
    case register(Bytes)
    /// On or off.
    case flag(Bool)
    /// The fields, sorted.
    case map([MapValue])
  }

  /// The field.
  public var field: MapField
  /// What it holds.
  public var value: Value

  /// A field that holds `value`.
  public init(field: MapField, value: Value) {
    self.field = field
    self.value = value
  }
}

extension DataType {
  /// What clients see of it.
  public var value: DataTypeValue {
    switch store {
    case .counter(let store): .counter(store.value)
    case .set(let store): .set(store.elements)
    case .map(let store): .map(Self.values(store))
    case .hll(let store): .hll(store.estimate)
    case .gset(let elements): .gset(elements)
    }
  }

  private static func values(_ map: MapStore) -> [MapValue] {
    map.entries.map { entry in
      let value: MapValue.Value =
        switch entry.value {
        case .counter(let store): .counter(store.value)
        case .set(let store): .set(store.elements)
        case .register(let store): .register(store.value)
        case .flag(let store): .flag(!store.isEmpty)
        case .map(let store): .map(values(store))
        }
      return MapValue(field: entry.field, value: value)
    }
  }
}
