public import KVBase

/// A change that a client wants made to a data type.
public enum DataTypeOperation: Hashable, Sendable {
  /// Count up, or down by a negative number.
  case counter(Int64)
  /// Add and then remove elements.
  case set(adds: [Bytes], removes: [Bytes])
  /// Remove and then update fields.
  case map(MapOperation)
  /// Add elements to an estimate.
  case hll(adds: [Bytes])
  /// Add elements.
  case gset(adds: [Bytes])

  /// The kind of data type that the change is for.
  public var kind: DataTypeKind {
    switch self {
    case .counter: .counter
    case .set: .set
    case .map: .map
    case .hll: .hll
    case .gset: .gset
    }
  }
}

/// A change of a map: fields are removed first, then updated.
public struct MapOperation: Hashable, Sendable {
  /// How deep maps in maps may go; deeper requests are refused.
  public static let depthLimit = 32

  /// One field and what becomes of it.
  public struct Update: Hashable, Sendable {
    /// The field; it is made when the map has none.
    public var field: MapField
    /// The change.
    public var change: FieldOperation

    /// The change of one field.
    public init(field: MapField, change: FieldOperation) {
      self.field = field
      self.change = change
    }
  }

  /// Fields to remove.
  public var removes: [MapField]
  /// Fields to change.
  public var updates: [Update]

  /// A change of a map.
  public init(removes: [MapField] = [], updates: [Update] = []) {
    self.removes = removes
    self.updates = updates
  }
}

/// A change of one field of a map.
public indirect enum FieldOperation: Hashable, Sendable {
  /// Count up or down.
  case counter(Int64)
  /// Add and then remove elements.
  case set(adds: [Bytes], removes: [Bytes])
  /// Write the value.
  case register(Bytes)
  /// Set or clear the flag.
  case flag(Bool)
  /// Change the map in the map.
  case map(MapOperation)

  /// The kind of field that the change is for.
  public var kind: MapFieldKind {
    switch self {
    case .counter: .counter
    case .set: .set
    case .register: .register
    case .flag: .flag
    case .map: .map
    }
  }
}

/// Why a change of a data type was not made; nothing was stored.
public enum DataTypeFailure: Error, Hashable, Sendable {
  /// Removal without a context of an element that is not there.
  case missingElement(Bytes)
  /// Removal without a context of a field that is not there.
  case missingField(MapField)
  /// A counter would leave the numbers that can be told.
  case counterOverflow
  /// What is stored is not of the kind that the change is for.
  case mismatch(stored: String)
}

/// A data type operation on its way to the vnode that performs it.
public struct DataTypeUpdate: Hashable, Sendable {
  /// The change.
  public var operation: DataTypeOperation
  /// What the client had seen when it asked for the removals in it; nil for whatever there is.
  public var context: VersionVector?
  /// The precision of a new estimate.
  public var precision: UInt8

  /// A change made by someone who has seen `context`.
  public init(
    operation: DataTypeOperation, context: VersionVector?,
    precision: UInt8 = HyperLogLog.defaultPrecision
  ) {
    self.operation = operation
    self.context = context
    self.precision = precision
  }
}
