import KVBase

/// What a field of a map holds.
indirect enum FieldStore: Hashable, Sendable {
  case counter(CounterStore)
  case set(ElementStore)
  case register(RegisterStore)
  case flag(DotSet)
  case map(MapStore)

  init(_ kind: MapFieldKind) {
    switch kind {
    case .counter: self = .counter(CounterStore())
    case .set: self = .set(ElementStore())
    case .register: self = .register(RegisterStore())
    case .flag: self = .flag(DotSet())
    case .map: self = .map(MapStore())
    }
  }

  var isEmpty: Bool {
    switch self {
    case .counter(let store): store.isEmpty
    case .set(let store): store.isEmpty
    case .register(let store): store.isEmpty
    case .flag(let store): store.isEmpty
    case .map(let store): store.isEmpty
    }
  }

  func joining(
    _ other: FieldStore, _ clock: VersionVector, _ theirClock: VersionVector
  ) -> FieldStore {
    switch (self, other) {
    case (.counter(let a), .counter(let b)): .counter(a.joining(b, clock, theirClock))
    case (.set(let a), .set(let b)): .set(a.joining(b, clock, theirClock))
    case (.register(let a), .register(let b)): .register(a.joining(b, clock, theirClock))
    case (.flag(let a), .flag(let b)): .flag(a.joining(b, clock, theirClock))
    case (.map(let a), .map(let b)): .map(a.joining(b, clock, theirClock))
    default: preconditionFailure("fields of one name and kind hold different kinds")
    }
  }

  mutating func forget(_ seen: VersionVector) {
    switch self {
    case .counter(var store):
      store.forget(seen)
      self = .counter(store)
    case .set(var store):
      store.forget(seen)
      self = .set(store)
    case .register(var store):
      store.forget(seen)
      self = .register(store)
    case .flag(var store):
      store.forget(seen)
      self = .flag(store)
    case .map(var store):
      store.forget(seen)
      self = .map(store)
    }
  }

  mutating func apply(
    _ change: FieldOperation, as dot: Dot, at time: UInt64, seen: VersionVector?
  ) throws(DataTypeFailure) {
    switch (self, change) {
    case (.counter(var store), .counter(let amount)):
      try store.add(amount, as: dot)
      self = .counter(store)
    case (.set(var store), .set(let adds, let removes)):
      store.add(adds, as: dot)
      try store.remove(removes, seen: seen)
      self = .set(store)
    case (.register(var store), .register(let value)):
      store.write(value, at: time, as: dot)
      self = .register(store)
    case (.flag(var store), .flag(let isOn)):
      if isOn {
        store.replace(by: dot)
      } else if let seen {
        store.forget(seen)
      } else {
        store = DotSet()
      }
      self = .flag(store)
    case (.map(var store), .map(let operation)):
      try store.apply(operation, as: dot, at: time, seen: seen)
      self = .map(store)
    default: throw .mismatch(stored: "another kind of field")
    }
  }
}

/// The fields of a map, sorted, each with the events that updated it.
///
/// A field is there as long as an update of it has not been removed, also when its value is empty.
struct MapStore: CausalStore {
  struct Entry: Hashable, Sendable {
    var field: MapField
    /// The updates of the field.
    var presence: DotSet
    var value: FieldStore
  }

  private(set) var entries: [Entry] = []

  init() {}
  init(_ entries: [Entry]) { self.entries = entries }

  var isEmpty: Bool { entries.isEmpty }

  mutating func apply(
    _ operation: MapOperation, as dot: Dot, at time: UInt64, seen: VersionVector?
  ) throws(DataTypeFailure) {
    for field in operation.removes { try remove(field, seen: seen) }
    for update in operation.updates {
      let index = place(of: update.field)
      entries[index].presence.replace(by: dot)
      try entries[index].value.apply(update.change, as: dot, at: time, seen: seen)
    }
  }

  private mutating func remove(
    _ field: MapField, seen: VersionVector?
  ) throws(DataTypeFailure) {
    guard let index = entries.firstIndex(where: { $0.field == field }) else {
      guard seen != nil else { throw .missingField(field) }
      return
    }
    guard let seen else {
      entries.remove(at: index)
      return
    }
    entries[index].presence.forget(seen)
    entries[index].value.forget(seen)
    if entries[index].isGone { entries.remove(at: index) }
  }

  /// Makes a removal whose path goes on here with its field at `depth`.
  mutating func forget(_ removal: DeferredRemoval, depth: Int) {
    guard depth < removal.path.count,
      let index = entries.firstIndex(where: { $0.field == removal.path[depth] })
    else { return }
    if depth == removal.path.count - 1, removal.target == .field {
      entries[index].presence.forget(removal.seen)
    }
    entries[index].value.forget(removal, depth: depth + 1)
    if entries[index].isGone { entries.remove(at: index) }
  }

  /// Where the field is, made when there is none.
  private mutating func place(of field: MapField) -> Int {
    let index = entries.firstIndex { !($0.field < field) } ?? entries.count
    if index == entries.count || entries[index].field != field {
      entries.insert(
        Entry(field: field, presence: DotSet(), value: FieldStore(field.kind)), at: index)
    }
    return index
  }

  func joining(
    _ other: MapStore, _ clock: VersionVector, _ theirClock: VersionVector
  ) -> MapStore {
    let merged = mergedByName(
      entries, other.entries, name: \.field, precedes: <,
      join: { field, a, b in
        let nothing = FieldStore(field.kind)
        return Entry(
          field: field,
          presence: (a?.presence ?? DotSet()).joining(
            b?.presence ?? DotSet(), clock, theirClock),
          value: (a?.value ?? nothing).joining(b?.value ?? nothing, clock, theirClock))
      })
    return MapStore(merged.filter { !$0.isGone })
  }

  mutating func forget(_ seen: VersionVector) {
    for index in entries.indices {
      entries[index].presence.forget(seen)
      entries[index].value.forget(seen)
    }
    entries.removeAll { $0.isGone }
  }
}

extension MapStore.Entry {
  fileprivate var isGone: Bool { presence.isEmpty && value.isEmpty }
}
