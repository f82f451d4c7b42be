public import KVBase
public import KVModel

/// A change of a map, made field by field.
///
/// Removed fields go first, whatever the order of the calls: removing a field and changing it in one
/// step leaves only the change. Steps of one counter add up; of several values of one register or flag,
/// and of several words about one element, the last counts.
public struct MapChange: Hashable, Sendable {
  private enum Change: Hashable {
    case counter(Int64)
    case set(SetChange)
    case register(Bytes)
    case flag(Bool)
    case map(MapChange)
  }

  private var removes: Set<MapField> = []
  private var changes: [MapField: Change] = [:]
  private var overflowing: MapField?

  /// A change that changes nothing yet.
  public init() {}

  /// Counts a counter up, or down by a negative number.
  public mutating func increment(counter name: String, by amount: Int = 1) {
    let field = MapField.counter(name)
    var total = Int64(amount)
    if case .counter(let present)? = changes[field] {
      let (sum, overflows) = present.addingReportingOverflow(total)
      if overflows { overflowing = field }
      total = sum
    }
    changes[field] = .counter(total)
  }

  /// Gives a register a value; of two given at the same time the later stays.
  public mutating func assign(_ value: Bytes, toRegister name: String) {
    changes[.register(name)] = .register(value)
  }

  /// Gives a register a text.
  public mutating func assign(_ text: String, toRegister name: String) {
    assign(Bytes(text.utf8), toRegister: name)
  }

  /// Sets a flag.
  public mutating func enable(flag name: String) { changes[.flag(name)] = .flag(true) }

  /// Clears a flag; set at the same time, it stays set.
  public mutating func disable(flag name: String) { changes[.flag(name)] = .flag(false) }

  /// Adds an element to a set.
  public mutating func add(_ element: String, toSet name: String) {
    update(set: name) { $0.add(element) }
  }

  /// Removes an element from a set.
  public mutating func remove(_ element: String, fromSet name: String) {
    update(set: name) { $0.remove(element) }
  }

  /// Changes a set.
  public mutating func update(set name: String, _ change: (inout SetChange) -> Void) {
    var set = SetChange()
    if case .set(let present)? = changes[.set(name)] { set = present }
    change(&set)
    changes[.set(name)] = .set(set)
  }

  /// Changes a map in the map.
  public mutating func update(map name: String, _ change: (inout MapChange) -> Void) {
    var map = MapChange()
    if case .map(let present)? = changes[.map(name)] { map = present }
    change(&map)
    changes[.map(name)] = .map(map)
  }

  /// Removes a field with all that it holds.
  public mutating func remove(_ field: MapField) { removes.insert(field) }

  var isEmpty: Bool { removes.isEmpty && changes.isEmpty }

  /// The change as it is sent, with its fields sorted.
  func operation(depth: Int = 1) throws(KVClientError) -> MapOperation {
    guard depth <= MapOperation.depthLimit else {
      throw KVClientError(.invalidArgument, "maps go more than \(MapOperation.depthLimit) deep")
    }
    if let overflowing {
      let name = String(decoding: overflowing.name, as: UTF8.self)
      throw KVClientError(.invalidArgument, "the steps of the counter '\(name)' leave 64 bits")
    }
    var operation = MapOperation(removes: removes.sorted())
    for (field, change) in changes.sorted(by: { $0.key < $1.key }) {
      operation.updates.append(
        MapOperation.Update(field: field, change: try Self.operation(change, depth)))
    }
    return operation
  }

  private static func operation(
    _ change: Change, _ depth: Int
  ) throws(KVClientError) -> FieldOperation {
    switch change {
    case .counter(let amount): .counter(amount)
    case .set(let set): .set(adds: set.adds, removes: set.removes)
    case .register(let value): .register(value)
    case .flag(let isOn): .flag(isOn)
    case .map(let map): .map(try map.operation(depth: depth + 1))
    }
  }
}
