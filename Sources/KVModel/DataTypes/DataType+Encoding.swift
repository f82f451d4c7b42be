public import KVBase

/// The stored form of a data type, which is the value of an object's content.
///
/// ```
/// u8     format version: 1, or 2 with deferred removals
/// u8     kind: 1 counter, 2 set, 3 map, 4 hll, 5 gset
/// clock  version vector
/// ...    counter   varint count; for each actor: dot, u128 amount (two's complement)
///        set       varint count; for each: element, dots
///        map       varint count; for each: name, u8 kind, dots, value of that kind
///        register  varint count; for each: dot, u64 microseconds, value
///        flag      dots
///        hll       u8 precision, u8 form: 0 the registers, 1 a list of u16 index and u8 rank
///        gset      varint count; elements
/// ...    in version 2: varint count; deferred removals, at least one
/// ```
///
/// Lists are sorted and without repetition; anything else is refused.
///
/// **On disk**: Docs/Formats.md.
extension DataType {
  /// The version of values without deferred removals.
  public static let formatVersion: UInt8 = 1
  /// The version of values with deferred removals.
  public static let deferringVersion: UInt8 = 2

  /// The value as bytes.
  public func encoded() -> Bytes {
    var writer = ByteWriter()
    writer.write(deferred.isEmpty ? Self.formatVersion : Self.deferringVersion)
    writer.write(kind.tag)
    clock.encode(into: &writer)
    switch store {
    case .counter(let store): store.encode(into: &writer)
    case .set(let store): store.encode(into: &writer)
    case .map(let store): store.encode(into: &writer)
    case .hll(let store): store.encode(into: &writer)
    case .gset(let elements): writer.write(list: elements) { $0.write($1) }
    }
    if !deferred.isEmpty { writer.write(list: deferred) { $1.encode(into: &$0) } }
    return writer.bytes
  }

  /// Reads back ``encoded()``; anything else is refused.
  public init(encoded bytes: Bytes) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let version = try reader.readByte()
    guard version == Self.formatVersion || version == Self.deferringVersion else {
      throw DecodingFailure(expected: "data type format 1 or 2", offset: 0)
    }
    let tag = try reader.readByte()
    guard let kind = DataTypeKind.allCases.first(where: { $0.tag == tag }) else {
      throw DecodingFailure(expected: "a data type of 1 to 5, not \(tag)", offset: 1)
    }
    let clock = try VersionVector(decoding: &reader)
    let store: Store
    switch kind {
    case .counter: store = .counter(try CounterStore(decoding: &reader))
    case .set: store = .set(try ElementStore(decoding: &reader))
    case .map: store = .map(try MapStore(decoding: &reader, depth: 0))
    case .hll: store = .hll(try HyperLogLog(decoding: &reader))
    case .gset:
      let elements = try reader.readList { (r) throws(DecodingFailure) in try r.readBytes() }
      try reader.expectSorted(elements) { $0.lexicographicallyPrecedes($1) }
      store = .gset(elements)
    }
    let deferred =
      version == Self.deferringVersion
      ? try Self.deferred(decoding: &reader, kind: kind, clock: clock) : []
    try reader.expectEnd()
    self.init(clock: clock, store: store)
    self.deferred = deferred
    guard isSound else { throw reader.failure(expected: "a clock that contains every dot") }
  }
}

extension DataTypeKind {
  /// The number of the kind, on disk and in the messages of clients.
  public var tag: UInt8 {
    switch self {
    case .counter: 1
    case .set: 2
    case .map: 3
    case .hll: 4
    case .gset: 5
    }
  }
}

extension ByteReader {
  fileprivate func expectSorted<T>(
    _ list: [T], _ precedes: (T, T) -> Bool
  ) throws(DecodingFailure) {
    for (a, b) in zip(list, list.dropFirst()) where !precedes(a, b) {
      throw failure(expected: "a sorted list without repetition")
    }
  }
}

extension DotSet {
  func encode(into writer: inout ByteWriter) { writer.write(list: dots) { $1.encode(into: &$0) } }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let dots = try reader.readList(minimumBytes: 16) { (r) throws(DecodingFailure) in
      try Dot(decoding: &r)
    }
    try reader.expectSorted(dots, <)
    self.init(dots)
  }
}

extension CounterStore {
  func encode(into writer: inout ByteWriter) {
    writer.write(list: entries) { writer, entry in
      entry.dot.encode(into: &writer)
      writer.write(fixed: UInt64(truncatingIfNeeded: entry.amount >> 64))
      writer.write(fixed: UInt64(truncatingIfNeeded: entry.amount))
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let entries = try reader.readList(minimumBytes: 32) { (r) throws(DecodingFailure) in
      let dot = try Dot(decoding: &r)
      let high = Int128(Int64(bitPattern: try r.readFixed(UInt64.self)))
      let amount = high << 64 | Int128(try r.readFixed(UInt64.self))
      guard amount.magnitude < Self.limit.magnitude else {
        throw r.failure(expected: "a count below 2^96")
      }
      return Entry(dot: dot, amount: amount)
    }
    try reader.expectSorted(entries) { $0.dot < $1.dot }
    self.init(entries)
  }
}

extension RegisterStore {
  func encode(into writer: inout ByteWriter) {
    writer.write(list: entries) { writer, entry in
      entry.dot.encode(into: &writer)
      writer.write(fixed: entry.time)
      writer.write(entry.value)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let entries = try reader.readList(minimumBytes: 25) { (r) throws(DecodingFailure) in
      let dot = try Dot(decoding: &r)
      let time = try r.readFixed(UInt64.self)
      return Entry(dot: dot, time: time, value: try r.readBytes())
    }
    try reader.expectSorted(entries) { $0.dot < $1.dot }
    self.init(entries)
  }
}

extension ElementStore {
  func encode(into writer: inout ByteWriter) {
    writer.write(list: entries) { writer, entry in
      writer.write(entry.element)
      entry.dots.encode(into: &writer)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let entries = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      let element = try r.readBytes()
      return Entry(element: element, dots: try DotSet(decoding: &r))
    }
    try reader.expectSorted(entries) { $0.element.lexicographicallyPrecedes($1.element) }
    self.init(entries)
  }
}

extension MapStore {
  func encode(into writer: inout ByteWriter) {
    writer.write(list: entries) { writer, entry in
      writer.write(entry.field.name)
      writer.write(entry.field.kind.rawValue)
      entry.presence.encode(into: &writer)
      switch entry.value {
      case .counter(let store): store.encode(into: &writer)
      case .set(let store): store.encode(into: &writer)
      case .register(let store): store.encode(into: &writer)
      case .flag(let store): store.encode(into: &writer)
      case .map(let store): store.encode(into: &writer)
      }
    }
  }

  init(decoding reader: inout ByteReader, depth: Int) throws(DecodingFailure) {
    guard depth <= MapOperation.depthLimit else {
      throw reader.failure(expected: "maps at most \(MapOperation.depthLimit) deep")
    }
    let entries = try reader.readList(minimumBytes: 4) { (r) throws(DecodingFailure) in
      let name = try r.readBytes()
      guard let kind = MapFieldKind(rawValue: try r.readByte()) else {
        throw r.failure(expected: "a kind of field of 1 to 5")
      }
      let presence = try DotSet(decoding: &r)
      let value: FieldStore
      switch kind {
      case .counter: value = .counter(try CounterStore(decoding: &r))
      case .set: value = .set(try ElementStore(decoding: &r))
      case .register: value = .register(try RegisterStore(decoding: &r))
      case .flag: value = .flag(try DotSet(decoding: &r))
      case .map: value = .map(try MapStore(decoding: &r, depth: depth + 1))
      }
      return Entry(
        field: MapField(name: name, kind: kind), presence: presence, value: value)
    }
    try reader.expectSorted(entries) { $0.field < $1.field }
    self.init(entries)
  }
}

extension HyperLogLog {
  func encode(into writer: inout ByteWriter) {
    writer.write(precision)
    let used = registers.indices.filter { registers[$0] > 0 }
    let isSparse = used.count * 3 < registers.count
    writer.write(UInt8(isSparse ? 1 : 0))
    guard isSparse else { return writer.write(raw: registers) }
    writer.write(list: used) { writer, index in
      writer.write(fixed: UInt16(index))
      writer.write(registers[index])
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let precision = try reader.readByte()
    guard Self.precisions.contains(precision) else {
      throw reader.failure(expected: "a precision of 4 to 16")
    }
    let form = try reader.readByte()
    let count = 1 << Int(precision)
    guard form == 1 else {
      guard form == 0 else { throw reader.failure(expected: "registers in the form 0 or 1") }
      let registers = try reader.readRaw(count)
      guard registers.allSatisfy({ $0 <= 65 - precision }) else {
        throw reader.failure(expected: "registers of at most \(65 - precision)")
      }
      self.init(precision: precision, registers: registers)
      return
    }
    var registers = Bytes(repeating: 0, count: count)
    let used = try reader.readList(minimumBytes: 3) { (r) throws(DecodingFailure) in
      let index = Int(try r.readFixed(UInt16.self))
      let rank = try r.readByte()
      guard index < count, rank > 0, rank <= 65 - precision else {
        throw r.failure(expected: "a register and its rank")
      }
      registers[index] = rank
      return index
    }
    try reader.expectSorted(used, <)
    self.init(precision: precision, registers: registers)
  }
}

extension DataTypeUpdate {
  /// Appends the change for the way between nodes.
  public func encode(into writer: inout ByteWriter) {
    writer.write(precision)
    writer.write(optional: context) { $1.encode(into: &$0) }
    writer.write(operation.kind.tag)
    switch operation {
    case .counter(let amount): writer.write(fixed: amount)
    case .set(let adds, let removes):
      writer.write(list: adds) { $0.write($1) }
      writer.write(list: removes) { $0.write($1) }
    case .map(let operation): operation.encode(into: &writer)
    case .hll(let adds), .gset(let adds): writer.write(list: adds) { $0.write($1) }
    }
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let precision = try reader.readByte()
    guard HyperLogLog.precisions.contains(precision) else {
      throw reader.failure(expected: "a precision of 4 to 16")
    }
    let context = try reader.readOptional { (r) throws(DecodingFailure) in
      try VersionVector(decoding: &r)
    }
    let operation: DataTypeOperation
    switch try reader.readByte() {
    case 1: operation = .counter(try reader.readFixed(Int64.self))
    case 2:
      let adds = try reader.readElements()
      operation = .set(adds: adds, removes: try reader.readElements())
    case 3: operation = .map(try MapOperation(decoding: &reader, depth: 0))
    case 4: operation = .hll(adds: try reader.readElements())
    case 5: operation = .gset(adds: try reader.readElements())
    case let tag: throw reader.failure(expected: "a data type of 1 to 5, not \(tag)")
    }
    self.init(operation: operation, context: context, precision: precision)
  }
}

extension MapOperation {
  fileprivate func encode(into writer: inout ByteWriter) {
    writer.write(list: removes) { writer, field in
      writer.write(field.name)
      writer.write(field.kind.rawValue)
    }
    writer.write(list: updates) { writer, update in
      writer.write(update.field.name)
      writer.write(update.field.kind.rawValue)
      switch update.change {
      case .counter(let amount): writer.write(fixed: amount)
      case .set(let adds, let removes):
        writer.write(list: adds) { $0.write($1) }
        writer.write(list: removes) { $0.write($1) }
      case .register(let value): writer.write(value)
      case .flag(let isOn): writer.write(isOn)
      case .map(let operation): operation.encode(into: &writer)
      }
    }
  }

  fileprivate init(decoding reader: inout ByteReader, depth: Int) throws(DecodingFailure) {
    guard depth <= Self.depthLimit else {
      throw reader.failure(expected: "maps at most \(Self.depthLimit) deep")
    }
    let removes = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      try r.readField()
    }
    let updates = try reader.readList(minimumBytes: 3) { (r) throws(DecodingFailure) in
      let field = try r.readField()
      let change: FieldOperation
      switch field.kind {
      case .counter: change = .counter(try r.readFixed(Int64.self))
      case .set:
        let adds = try r.readElements()
        change = .set(adds: adds, removes: try r.readElements())
      case .register: change = .register(try r.readBytes())
      case .flag: change = .flag(try r.readBool())
      case .map: change = .map(try MapOperation(decoding: &r, depth: depth + 1))
      }
      return Update(field: field, change: change)
    }
    self.init(removes: removes, updates: updates)
  }
}

extension ByteReader {
  fileprivate mutating func readElements() throws(DecodingFailure) -> [Bytes] {
    try readList { (r) throws(DecodingFailure) in try r.readBytes() }
  }

  fileprivate mutating func readField() throws(DecodingFailure) -> MapField {
    let name = try readBytes()
    guard let kind = MapFieldKind(rawValue: try readByte()) else {
      throw failure(expected: "a kind of field of 1 to 5")
    }
    return MapField(name: name, kind: kind)
  }
}
