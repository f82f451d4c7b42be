import KVBase
import Testing

@testable import KVModel

/// One replica of a data type in a random history, with its own actor.
private struct Replica {
  var actor: VnodeID
  var value: DataType
  var counter: UInt64 = 0

  mutating func apply(
    _ operation: DataTypeOperation, context: VersionVector? = nil, time: UInt64 = 1
  ) throws(DataTypeFailure) {
    counter = max(counter, value.clock[actor]) + 1
    try value.apply(
      DataTypeUpdate(operation: operation, context: context),
      as: Dot(actor: actor, counter: counter), at: WallClock(microseconds: time))
  }
}

/// What a set must hold, by its definition: the elements with an addition that no removal has seen.
private struct SetModel {
  /// All additions by event, and all removals with what they had seen, as one replica knows.
  var additions: [Dot: Set<Bytes>] = [:]
  var removals: Set<Removal> = []

  struct Removal: Hashable {
    var seen: VersionVector
    var element: Bytes
  }

  mutating func merge(_ other: SetModel) {
    additions.merge(other.additions) { a, _ in a }
    removals.formUnion(other.removals)
  }

  var elements: [Bytes] {
    var result: Set<Bytes> = []
    for (dot, added) in additions {
      for element in added {
        let isRemoved = removals.contains { $0.element == element && $0.seen.contains(dot) }
        if !isRemoved { result.insert(element) }
      }
    }
    return result.sorted { $0.lexicographicallyPrecedes($1) }
  }
}

@Suite struct DataTypeTests {
  private static let seeds: [UInt64] = Array(1...40)

  private static func element(_ random: inout SeededRandom) -> Bytes {
    [UInt8(97 + random.below(5))]
  }

  private static func mapOperation(_ random: inout SeededRandom, depth: Int = 0) -> MapOperation {
    let field = MapField(
      name: [UInt8(97 + random.below(2))],
      kind: MapFieldKind.allCases[random.below(depth < 2 ? 5 : 4)])
    if random.below(4) == 0 { return MapOperation(removes: [field]) }
    let change: FieldOperation =
      switch field.kind {
      case .counter: .counter(Int64(random.below(9)) - 4)
      case .set:
        random.below(3) == 0
          ? .set(adds: [], removes: [element(&random)])
          : .set(adds: [element(&random)], removes: [])
      case .register: .register(element(&random))
      case .flag: .flag(random.below(2) == 0)
      case .map: .map(mapOperation(&random, depth: depth + 1))
      }
    return MapOperation(updates: [.init(field: field, change: change)])
  }

  private static func operation(
    _ kind: DataTypeKind, _ random: inout SeededRandom
  ) -> DataTypeOperation {
    switch kind {
    case .counter: .counter(Int64(random.below(21)) - 10)
    case .set:
      random.below(3) == 0
        ? .set(adds: [], removes: [element(&random)])
        : .set(adds: [element(&random)], removes: [])
    case .map: .map(mapOperation(&random))
    case .hll: .hll(adds: [element(&random), Bytes("\(random.below(1000))".utf8)])
    case .gset: .gset(adds: [element(&random)])
    }
  }

  /// Three values that have changed and exchanged at random.
  private static func history(_ kind: DataTypeKind, seed: UInt64) throws -> [DataType] {
    var random = SeededRandom(seed: seed)
    var replicas = (1...3).map {
      Replica(actor: VnodeID(rawValue: UInt64($0)), value: DataType(kind, precision: 6))
    }
    for step in 0..<60 {
      let index = random.below(3)
      if random.below(4) == 0 {
        let other = replicas[random.below(3)].value
        replicas[index].value = try #require(replicas[index].value.joining(other))
      } else {
        let context = replicas[random.below(3)].value.clock
        try replicas[index].apply(
          operation(kind, &random), context: context, time: UInt64(step))
      }
    }
    return replicas.map(\.value)
  }

  @Test(arguments: DataTypeKind.allCases)
  func `joins are commutative, associative and idempotent`(_ kind: DataTypeKind) throws {
    for seed in Self.seeds {
      let values = try Self.history(kind, seed: seed)
      let (a, b, c) = (values[0], values[1], values[2])
      let ab = try #require(a.joining(b))
      #expect(ab == b.joining(a), "seed \(seed)")
      #expect(ab.joining(c) == a.joining(try #require(b.joining(c))), "seed \(seed)")
      #expect(a.joining(a) == a, "seed \(seed)")
      #expect(ab.joining(b) == ab, "seed \(seed)")
    }
  }

  @Test(arguments: DataTypeKind.allCases)
  func `what is encoded is read back`(_ kind: DataTypeKind) throws {
    for seed in Self.seeds {
      for value in try Self.history(kind, seed: seed) {
        #expect(try DataType(encoded: value.encoded()) == value, "seed \(seed)")
      }
    }
  }

  @Test func `damaged values are refused or another value, never a crash`() throws {
    var random = SeededRandom(seed: 7)
    for kind in DataTypeKind.allCases {
      for value in try Self.history(kind, seed: 3) {
        let bytes = value.encoded()
        for _ in 0..<200 {
          var damaged = bytes
          damaged[random.below(damaged.count)] ^= UInt8(1 << random.below(8))
          if random.below(4) == 0 { damaged.removeLast(random.below(damaged.count)) }
          _ = try? DataType(encoded: damaged)
        }
      }
    }
  }

  @Test func `a set holds what was added and not seen by a removal`() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      var replicas = (1...3).map {
        Replica(actor: VnodeID(rawValue: UInt64($0)), value: DataType(.set))
      }
      var models = [SetModel(), SetModel(), SetModel()]
      for _ in 0..<80 {
        let index = random.below(3)
        let element = Self.element(&random)
        switch random.below(4) {
        case 0:
          let other = random.below(3)
          replicas[index].value = try #require(
            replicas[index].value.joining(replicas[other].value))
          models[index].merge(models[other])
        case 1:
          let other = random.below(3)
          let context = replicas[other].value.clock
          try replicas[index].apply(.set(adds: [], removes: [element]), context: context)
          models[index].removals.insert(.init(seen: context, element: element))
        default:
          // An addition takes the place of those of the same element that it has seen.
          models[index].removals.insert(
            .init(seen: replicas[index].value.clock, element: element))
          try replicas[index].apply(.set(adds: [element], removes: []))
          let dot = Dot(actor: replicas[index].actor, counter: replicas[index].counter)
          models[index].additions[dot] = [element]
        }
        #expect(replicas[index].value.value == .set(models[index].elements), "seed \(seed)")
      }
    }
  }

  @Test func `a counter is the sum of what was counted`() throws {
    for seed in Self.seeds {
      var random = SeededRandom(seed: seed)
      var replicas = (1...3).map {
        Replica(actor: VnodeID(rawValue: UInt64($0)), value: DataType(.counter))
      }
      var total: Int128 = 0
      for _ in 0..<50 {
        let amount = Int64(random.below(2001)) - 1000
        try replicas[random.below(3)].apply(.counter(amount))
        total += Int128(amount)
        let (a, b) = (random.below(3), random.below(3))
        replicas[a].value = try #require(replicas[a].value.joining(replicas[b].value))
      }
      let all = try #require(
        replicas[0].value.joining(replicas[1].value)?.joining(replicas[2].value))
      #expect(all.value == .counter(total))
    }
  }

  @Test func `of an addition and a removal at the same time the addition wins`() throws {
    var a = Replica(actor: VnodeID(rawValue: 1), value: DataType(.set))
    try a.apply(.set(adds: [[1]], removes: []))
    var b = Replica(actor: VnodeID(rawValue: 2), value: a.value)
    try a.apply(.set(adds: [], removes: [[1]]), context: a.value.clock)
    try b.apply(.set(adds: [[1]], removes: []))
    #expect(a.value.value == .set([]))
    #expect(try #require(a.value.joining(b.value)).value == .set([[1]]))
  }

  @Test func `a removal that comes before what it removes takes it all the same`() throws {
    var a = Replica(actor: VnodeID(rawValue: 1), value: DataType(.set))
    try a.apply(.set(adds: [[1], [2]], removes: []))
    var b = Replica(actor: VnodeID(rawValue: 2), value: DataType(.set))
    try b.apply(.set(adds: [[3]], removes: [[1]]), context: a.value.clock)
    #expect(b.value.encoded().first == DataType.deferringVersion)
    let joined = try #require(a.value.joining(b.value))
    #expect(joined.value == .set([[2], [3]]))
    #expect(joined.encoded().first == DataType.formatVersion, "nothing is left of the removal")
    // What the client had not seen stays.
    try a.apply(.set(adds: [[1]], removes: []))
    #expect(try #require(b.value.joining(a.value)).value == .set([[1], [2], [3]]))
  }

  @Test func `removals in maps come before what they remove too`() throws {
    let (on, tags, inner) = (
      MapField(name: [1], kind: .flag), MapField(name: [2], kind: .set),
      MapField(name: [3], kind: .map)
    )
    func change(_ isOn: Bool, adds: [Bytes], removes: [Bytes]) -> MapOperation {
      MapOperation(updates: [
        .init(field: on, change: .flag(isOn)),
        .init(field: tags, change: .set(adds: adds, removes: removes)),
      ])
    }
    var a = Replica(actor: VnodeID(rawValue: 1), value: DataType(.map))
    var first = change(true, adds: [[1], [2]], removes: [])
    first.updates.append(.init(field: inner, change: .map(first)))
    try a.apply(.map(first))
    var b = Replica(actor: VnodeID(rawValue: 2), value: DataType(.map))
    var second = change(false, adds: [], removes: [[1]])
    second.updates.append(.init(field: inner, change: .map(MapOperation(removes: [tags]))))
    try b.apply(.map(second), context: a.value.clock)
    #expect(try DataType(encoded: b.value.encoded()) == b.value)
    let joined = try #require(b.value.joining(a.value))
    #expect(
      joined.value
        == .map([
          MapValue(field: on, value: .flag(false)), MapValue(field: tags, value: .set([[2]])),
          MapValue(field: inner, value: .map([MapValue(field: on, value: .flag(true))])),
        ]))
    #expect(joined.encoded().first == DataType.formatVersion)
  }

  @Test func `removal without a context needs the element to be there`() throws {
    var set = Replica(actor: VnodeID(rawValue: 1), value: DataType(.set))
    #expect(throws: DataTypeFailure.missingElement([9])) {
      try set.apply(.set(adds: [], removes: [[9]]))
    }
    try set.apply(.set(adds: [], removes: [[9]]), context: VersionVector())
    var map = Replica(actor: VnodeID(rawValue: 1), value: DataType(.map))
    let field = MapField(name: [1], kind: .flag)
    #expect(throws: DataTypeFailure.missingField(field)) {
      try map.apply(.map(MapOperation(removes: [field])))
    }
  }

  @Test func `a field removed and updated at once holds only the update`() throws {
    var map = Replica(actor: VnodeID(rawValue: 1), value: DataType(.map))
    let field = MapField(name: [1], kind: .counter)
    let update = MapOperation.Update(field: field, change: .counter(10))
    try map.apply(.map(MapOperation(updates: [update])))
    try map.apply(
      .map(MapOperation(removes: [field], updates: [.init(field: field, change: .counter(4))])),
      context: map.value.clock)
    #expect(map.value.value == .map([MapValue(field: field, value: .counter(4))]))
  }

  @Test func `nothing is kept of what was removed but the clock`() throws {
    var map = Replica(actor: VnodeID(rawValue: 1), value: DataType(.map))
    let empty = map.value.encoded().count
    for number in 0..<50 {
      let field = MapField(name: [UInt8(number)], kind: .set)
      let update = MapOperation.Update(
        field: field, change: .set(adds: [[1], [2], [3]], removes: []))
      try map.apply(.map(MapOperation(updates: [update])))
      try map.apply(.map(MapOperation(removes: [field])), context: map.value.clock)
    }
    #expect(map.value.encoded().count == empty + 16)
  }

  @Test func `estimates are close, and folding is like counting with fewer registers`() throws {
    var fine = HyperLogLog(precision: 14)
    var coarse = HyperLogLog(precision: 9)
    for number in 0..<50_000 {
      fine.insert(Bytes("element \(number)".utf8))
      coarse.insert(Bytes("element \(number)".utf8))
    }
    #expect(abs(Double(fine.estimate) - 50_000) < 50_000 * 0.03)
    #expect(fine.folded(to: 9) == coarse)
    var few = HyperLogLog()
    for number in 0..<100 { few.insert(Bytes("\(number)".utf8)) }
    #expect((99...101).contains(few.estimate))
  }

  @Test func `counts beyond 64 bits are kept, and beyond the limit refused`() throws {
    var counter = Replica(actor: VnodeID(rawValue: 1), value: DataType(.counter))
    for _ in 0..<4 { try counter.apply(.counter(.max)) }
    #expect(counter.value.value == .counter(Int128(Int64.max) * 4))
    #expect(try DataType(encoded: counter.value.encoded()) == counter.value)
  }

  @Test func `the encoding of a set does not change`() throws {
    var set = Replica(actor: VnodeID(rawValue: 1), value: DataType(.set))
    try set.apply(.set(adds: [[0x61]], removes: []))
    #expect(
      set.value.encoded() == [
        1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0x61, 1, 0, 0, 0, 0, 0, 0,
        0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
      ])
  }

  @Test func `updates survive the way between nodes`() throws {
    var random = SeededRandom(seed: 5)
    for kind in DataTypeKind.allCases {
      for _ in 0..<50 {
        let update = DataTypeUpdate(
          operation: Self.operation(kind, &random),
          context: random.below(2) == 0 ? nil : VersionVector(), precision: 10)
        var writer = ByteWriter()
        update.encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        #expect(try DataTypeUpdate(decoding: &reader) == update)
        #expect(reader.isAtEnd)
      }
    }
  }
}
