import KVBase
import KVModel
import KVNode

/// Clients that change counters, sets and maps.
extension Simulation {
  static let typesBucket = BucketID(name: Bytes("types".utf8))

  private static func typeName(_ key: Int) -> ObjectKey {
    ObjectKey(bucket: typesBucket, key: Bytes("d\(key)".utf8))
  }

  private var typeKeyCount: Int { TypeHistory.Kind.allCases.count + settings.keyCount }

  /// A client reads a data type, or changes one.
  mutating func sendTypeRequest(_ client: Int, to place: ShardPlace) {
    let key = clients[client].random.below(typeKeyCount)
    if clients[client].random.chance(0.3) {
      let options = clients[client].getOptions(n: settings.nVal, wantsPrimaries: false)
      return submit(
        .get(Self.typeName(key), options), .typeRead(key), client: client,
        timeout: options.timeout, to: place)
    }
    var change = TypeHistory.Change(key: key)
    var context: VersionVector?
    if TypeHistory.kind(of: key) == .set, clients[client].random.chance(0.4),
      let held = clients[client].heldTypes[key], !held.changes.isEmpty
    {
      change.removed = held.changes[clients[client].random.below(held.changes.count)]
      context = held.context
    }
    let number = types.begin(change)
    var options = clients[client].putOptions(n: settings.nVal, wantsPrimaries: false)
    options.ifNoneMatch = false
    options.dataType = DataTypeUpdate(operation: types.operation(number), context: context)
    submit(
      .put(Self.typeName(key), context: VersionVector(), Content(value: []), options),
      .typeChange(number), client: client, timeout: options.timeout, to: place)
  }

  /// Takes in the answer to a change.
  mutating func takeTypeChange(_ number: Int, _ reply: ClientReply) -> Bool {
    switch reply {
    case .stored: types.end(number, .acknowledged)
    case .failure(.refused): types.end(number, .refused)
    case .failure(let failure):
      types.end(number, Self.isRefusal(failure) ? .refused : .unknown)
    default: return false
    }
    return true
  }

  /// Takes in what a read of a data type returned.
  mutating func takeType(
    _ object: KVObject, _ key: Int, _ client: Int?
  ) throws(SimulationFailure) {
    // A change replaces all that its vnode holds, and so the vnode's former change.
    guard Set(object.siblings.map(\.dot.actor)).count == object.siblings.count else {
      throw SimulationFailure(
        checker: .types,
        explanation: "d\(key) keeps contents that were replaced: "
          + Describe.text(of: object))
    }
    let value = try value(in: object, key)
    let found = try types.look(at: value?.value, key: key)
    guard let client else { return try types.checkFinal(value?.value, key: key) }
    guard let value, TypeHistory.kind(of: key) == .set else { return }
    clients[client].heldTypes[key] = Client.HeldType(
      context: value.clock, changes: found.sorted())
  }

  private func value(
    in object: KVObject, _ key: Int
  ) throws(SimulationFailure) -> DataType? {
    do throws(DataTypeFailure) {
      return try object.dataType(TypeHistory.kind(of: key).type)
    } catch {
      throw SimulationFailure(checker: .types, explanation: "d\(key) is no data type: \(error)")
    }
  }

  /// Reads every data type from all primaries and holds it against what was acknowledged.
  mutating func checkTypes() throws(SimulationFailure) {
    guard workload.mix.types > 0 else { return }
    for key in 0..<typeKeyCount {
      var options = GetOptions()
      options.r = .all
      options.pr = .all
      options.timeout = Self.calmTimeout
      let done = try ask(.get(Self.typeName(key), options), .typeRead(key))
      guard let failure = done.failure else { continue }
      throw SimulationFailure(
        checker: .availability, explanation: "a get of d\(key) from a whole cluster: \(failure)")
    }
  }
}
