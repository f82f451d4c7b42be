import KVBase

/// The parts of convergent values, each kept by the events (dots) that put it there.
///
/// A part is forgotten by dropping its dots: the clock of the whole value still says that they have
/// been seen, so nothing needs a tombstone. Joining two stores keeps what both have and what one has
/// and the other's clock has not seen.
///
/// **Source**: Almeida, Shoker, Baquero, *Delta State Replicated Data Types* (2018), section 7.
protocol CausalStore: Hashable, Sendable {
  init()
  /// True when nothing is in the store.
  var isEmpty: Bool { get }
  /// Joins the store of a value whose clock is `theirClock`.
  func joining(_ other: Self, _ clock: VersionVector, _ theirClock: VersionVector) -> Self
  /// Drops what the events of `seen` put there.
  mutating func forget(_ seen: VersionVector)
}

/// Events, sorted.
struct DotSet: CausalStore {
  private(set) var dots: [Dot] = []

  init() {}
  init(_ dots: [Dot]) { self.dots = dots }

  var isEmpty: Bool { dots.isEmpty }

  /// Makes the event the only one: it has seen all others.
  mutating func replace(by dot: Dot) { dots = [dot] }

  func joining(_ other: DotSet, _ clock: VersionVector, _ theirClock: VersionVector) -> DotSet {
    var kept = dots.filter { other.dots.contains($0) || !theirClock.contains($0) }
    for dot in other.dots where !clock.contains(dot) { kept.append(dot) }
    return DotSet(kept.sorted())
  }

  mutating func forget(_ seen: VersionVector) { dots.removeAll { seen.contains($0) } }
}

/// A number as the sum of what each actor has counted, by the actor's latest event.
struct CounterStore: CausalStore {
  struct Entry: Hashable, Sendable {
    var dot: Dot
    var amount: Int128
  }

  private(set) var entries: [Entry] = []

  init() {}
  init(_ entries: [Entry]) { self.entries = entries }

  var isEmpty: Bool { entries.isEmpty }

  var value: Int128 { entries.reduce(0) { $0 &+ $1.amount } }

  /// The largest amount of either sign: sums of a full clock's entries still fit.
  static let limit = Int128(1) << 96

  mutating func add(_ amount: Int64, as dot: Dot) throws(DataTypeFailure) {
    let present = entries.filter { $0.dot.actor == dot.actor }.reduce(0) { $0 &+ $1.amount }
    let total = present + Int128(amount)
    guard total.magnitude < Self.limit.magnitude else { throw .counterOverflow }
    entries.removeAll { $0.dot.actor == dot.actor }
    entries.append(Entry(dot: dot, amount: total))
    entries.sort { $0.dot < $1.dot }
  }

  func joining(
    _ other: CounterStore, _ clock: VersionVector, _ theirClock: VersionVector
  ) -> CounterStore {
    var kept = entries.filter { entry in
      other.entries.contains { $0.dot == entry.dot } || !theirClock.contains(entry.dot)
    }
    for entry in other.entries where !clock.contains(entry.dot) { kept.append(entry) }
    return CounterStore(kept.sorted { $0.dot < $1.dot })
  }

  mutating func forget(_ seen: VersionVector) { entries.removeAll { seen.contains($0.dot) } }
}

/// One value: the latest of those written at the same time, by the coordinators' clocks.
struct RegisterStore: CausalStore {
  struct Entry: Hashable, Sendable {
    var dot: Dot
    var time: UInt64
    var value: Bytes
  }

  private(set) var entries: [Entry] = []

  init() {}
  init(_ entries: [Entry]) { self.entries = entries }

  var isEmpty: Bool { entries.isEmpty }

  var value: Bytes {
    entries.max { a, b in (a.time, a.dot) < (b.time, b.dot) }?.value ?? []
  }

  /// Writes the value, later than all it replaces.
  mutating func write(_ value: Bytes, at time: UInt64, as dot: Dot) {
    let latest = entries.map(\.time).max() ?? 0
    let stamp = latest < UInt64.max ? max(time, latest + (entries.isEmpty ? 0 : 1)) : latest
    entries = [Entry(dot: dot, time: stamp, value: value)]
  }

  func joining(
    _ other: RegisterStore, _ clock: VersionVector, _ theirClock: VersionVector
  ) -> RegisterStore {
    var kept = entries.filter { other.entries.contains($0) || !theirClock.contains($0.dot) }
    for entry in other.entries where !clock.contains(entry.dot) { kept.append(entry) }
    return RegisterStore(kept.sorted { $0.dot < $1.dot })
  }

  mutating func forget(_ seen: VersionVector) { entries.removeAll { seen.contains($0.dot) } }
}

/// Elements with the events that added them, sorted.
struct ElementStore: CausalStore {
  struct Entry: Hashable, Sendable {
    var element: Bytes
    var dots: DotSet
  }

  private(set) var entries: [Entry] = []

  init() {}
  init(_ entries: [Entry]) { self.entries = entries }

  var isEmpty: Bool { entries.isEmpty }

  var elements: [Bytes] { entries.map(\.element) }

  mutating func add(_ elements: [Bytes], as dot: Dot) {
    let added = Set(elements)
    var kept = entries.filter { !added.contains($0.element) }
    for element in added { kept.append(Entry(element: element, dots: DotSet([dot]))) }
    entries = kept.sorted { $0.element.lexicographicallyPrecedes($1.element) }
  }

  /// Removes what `seen` says was seen of the elements, or all of them, which must then be there.
  mutating func remove(
    _ elements: [Bytes], seen: VersionVector?
  ) throws(DataTypeFailure) {
    for element in elements {
      let index = position(of: element)
      guard let index else {
        guard seen != nil else { throw .missingElement(element) }
        continue
      }
      if let seen { entries[index].dots.forget(seen) }
      if seen == nil || entries[index].dots.isEmpty { entries.remove(at: index) }
    }
  }

  /// Drops what `seen` says was seen of the element.
  mutating func forget(_ element: Bytes, _ seen: VersionVector) {
    guard let index = position(of: element) else { return }
    entries[index].dots.forget(seen)
    if entries[index].dots.isEmpty { entries.remove(at: index) }
  }

  private func position(of element: Bytes) -> Int? {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].element.lexicographicallyPrecedes(element) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low < entries.count && entries[low].element == element ? low : nil
  }

  func joining(
    _ other: ElementStore, _ clock: VersionVector, _ theirClock: VersionVector
  ) -> ElementStore {
    let merged = mergedByName(
      entries, other.entries, name: \.element,
      precedes: { $0.lexicographicallyPrecedes($1) },
      join: { element, a, b in
        Entry(
          element: element,
          dots: (a?.dots ?? DotSet()).joining(b?.dots ?? DotSet(), clock, theirClock))
      })
    return ElementStore(merged.filter { !$0.dots.isEmpty })
  }

  mutating func forget(_ seen: VersionVector) {
    for index in entries.indices { entries[index].dots.forget(seen) }
    entries.removeAll { $0.dots.isEmpty }
  }
}

/// Merges two lists that are sorted by name: each name once, with what either list has for it.
func mergedByName<Entry, Name: Equatable>(
  _ a: [Entry], _ b: [Entry], name: (Entry) -> Name, precedes: (Name, Name) -> Bool,
  join: (Name, Entry?, Entry?) -> Entry
) -> [Entry] {
  var result: [Entry] = []
  result.reserveCapacity(max(a.count, b.count))
  var i = 0
  var j = 0
  while i < a.count || j < b.count {
    if j == b.count || (i < a.count && precedes(name(a[i]), name(b[j]))) {
      result.append(join(name(a[i]), a[i], nil))
      i += 1
    } else if i == a.count || precedes(name(b[j]), name(a[i])) {
      result.append(join(name(b[j]), nil, b[j]))
      j += 1
    } else {
      result.append(join(name(a[i]), a[i], b[j]))
      i += 1
      j += 1
    }
  }
  return result
}
