import KVBase
import KVModel
import Testing

@testable import KVProtocol

/// What the client writes the server reads, and the other way round.
@Suite struct WireDataTypeTests {
  private let key = ObjectKey(type: "t", bucket: "b", key: "k")

  private func read(_ request: WireRequest) throws -> DataTypeRequest {
    guard
      case .dataType(let read) = try RequestDecoder.decode(request.payload, makeKey: { [] })
    else { throw ProtocolFailure.refused("no request about a data type") }
    return read
  }

  private func object(_ kind: DataTypeKind, _ operations: DataTypeOperation...) throws -> KVObject {
    var value = DataType(kind)
    for (number, operation) in operations.enumerated() {
      try value.apply(
        DataTypeUpdate(operation: operation, context: nil),
        as: Dot(actor: VnodeID(rawValue: 1), counter: UInt64(number + 1)),
        at: WallClock(microseconds: 1))
    }
    var object = KVObject()
    object.write(
      Content(value: value.encoded(), contentType: kind.contentType), context: VersionVector(),
      by: VnodeID(rawValue: 1))
    return object
  }

  @Test func `operations arrive as they were sent`() throws {
    let inner = MapOperation(updates: [
      .init(field: MapField(name: [7], kind: .register), change: .register([]))
    ])
    let map = MapOperation(
      removes: [MapField(name: [1], kind: .set)],
      updates: [
        .init(field: MapField(name: [1], kind: .counter), change: .counter(-3)),
        .init(field: MapField(name: [2], kind: .set), change: .set(adds: [[1]], removes: [[2]])),
        .init(field: MapField(name: [3], kind: .flag), change: .flag(false)),
        .init(field: MapField(name: [4], kind: .flag), change: .flag(true)),
        .init(field: MapField(name: [5], kind: .map), change: .map(inner)),
      ])
    let operations: [DataTypeOperation] = [
      .counter(1), .counter(.min), .counter(.max), .set(adds: [[], [1, 2]], removes: [[3]]),
      .hll(adds: [[9]]), .gset(adds: [[1], [2]]), .map(map),
    ]
    for operation in operations {
      var options = PutOptions()
      options.w = .all
      options.dw = .one
      options.pw = .count(2)
      options.returnBody = true
      options.timeout = .seconds(5)
      options.sloppyQuorum = false
      options.nVal = 2
      options.nodeConfirms = .count(1)
      let request = try read(
        .updateDataType(
          WireDataTypeUpdate(
            key: key, operation: operation, context: VersionVector().clientBytes,
            options: options)))
      #expect(request.key == key)
      #expect(request.action == .update(operation, context: VersionVector(), options))
    }
  }

  @Test func `a fetch arrives as it was sent`() throws {
    var options = GetOptions()
    options.r = .quorum
    options.pr = .one
    options.basicQuorum = true
    options.notFoundOK = false
    options.timeout = .seconds(1)
    options.sloppyQuorum = false
    options.nVal = 1
    options.nodeConfirms = .count(2)
    let request = try read(.fetchDataType(key, options))
    #expect(request.key == key && request.action == .fetch(options))
  }

  @Test func `values arrive as they are, counters beyond 64 bits too`() throws {
    let large = try object(.counter, .counter(.max), .counter(.max), .counter(5))
    let set = try object(.set, .set(adds: [[2], [1]], removes: []))
    let map = try object(
      .map,
      .map(
        MapOperation(updates: [
          .init(field: MapField(name: [1], kind: .counter), change: .counter(.min)),
          .init(
            field: MapField(name: [1], kind: .map),
            change: .map(
              MapOperation(updates: [
                .init(field: MapField(name: [], kind: .flag), change: .flag(true)),
                .init(
                  field: MapField(name: [2], kind: .set), change: .set(adds: [[3]], removes: [])),
                .init(field: MapField(name: [2], kind: .register), change: .register([4])),
              ]))),
        ])))
    let cases: [(DataTypeKind, KVObject)] = [
      (.counter, large), (.set, set), (.map, map), (.hll, try object(.hll, .hll(adds: [[1]]))),
      (.gset, try object(.gset, .gset(adds: [[1], []]))),
    ]
    for (kind, object) in cases {
      let expected = try #require(try object.dataType(kind)).value
      let fetched = ReplyEncoder.frames(
        .object(object), shape: .dataType(kind, includesContext: true))
      guard case .dataType(let found) = try WireReply(payload: fetched[0]) else {
        Issue.record("\(kind)")
        continue
      }
      #expect(found.kind == kind && found.value(as: kind) == expected)
      #expect((found.context != nil) == [.set, .map].contains(kind))
      let stored = ReplyEncoder.frames(
        .stored(object),
        shape: .dataTypeUpdated(kind, includesContext: true, generatedKey: nil))
      guard case .dataTypeUpdated(let after) = try WireReply(payload: stored[0]) else {
        Issue.record("\(kind)")
        continue
      }
      #expect(after.value(as: kind) == expected)
    }
    #expect(
      try object(.counter, .counter(.max), .counter(.max), .counter(5)).dataType(.counter)?.value
        == .counter(2 * Int128(Int64.max) + 5))
  }

  @Test func `nothing stored is no value, an emptied set is one`() throws {
    let nothing = ReplyEncoder.frames(
      .object(KVObject()), shape: .dataType(.set, includesContext: true))
    guard case .dataType(let none) = try WireReply(payload: nothing[0]) else {
      Issue.record("no data type")
      return
    }
    #expect(none.kind == .set && none.value(as: .set) == nil)
    let emptied = try object(
      .set, .set(adds: [[1]], removes: []), .set(adds: [], removes: [[1]]))
    let frames = ReplyEncoder.frames(
      .object(emptied), shape: .dataType(.set, includesContext: true))
    guard case .dataType(let empty) = try WireReply(payload: frames[0]) else {
      Issue.record("no data type")
      return
    }
    #expect(empty.value(as: .set) == .set([]))
  }

  @Test func `maps deeper than the limit and broken answers are refused`() {
    func nested(_ depth: Int) -> Bytes {
      var entry = ProtobufWriter()
      entry.write(1) { field in
        field.write(1, [1])
        field.write(2, depth == 0 ? UInt64(4) : 5)
      }
      if depth == 0 { entry.write(5, true) } else { entry.write(6, nested(depth - 1)) }
      return entry.bytes
    }
    func answer(_ depth: Int) -> Bytes {
      var writer = ProtobufWriter(.dataType)
      writer.write(2, UInt64(DataTypeKind.map.tag))
      writer.write(3) { $0.write(3, nested(depth)) }
      return writer.bytes
    }
    #expect(throws: Never.self) { try WireReply(payload: answer(31)) }
    #expect(throws: ProtocolFailure.self) { try WireReply(payload: answer(32)) }
    #expect(throws: ProtocolFailure.self) { try WireReply(payload: answer(1000)) }
    let broken: [Bytes] = [
      [81], [81, 0x10, 9], [81, 0x10, 1, 0x1A, 5], [83, 0x18] + .init(repeating: 0xFF, count: 30),
    ]
    for bytes in broken {
      #expect(throws: ProtocolFailure.self) { try WireReply(payload: bytes) }
    }
  }

  @Test func `preference lists arrive as they are`() throws {
    let list = [
      PreferredVnode(partition: 3, node: "a@x", isPrimary: true),
      PreferredVnode(partition: 4, node: "b@x", isPrimary: false),
    ]
    let frames = ReplyEncoder.frames(.preferenceList(list), shape: .preferenceList)
    #expect(try frames.map { try WireReply(payload: $0) } == [.preferenceList(list)])
    guard
      case .perform(.preferenceList(let asked), _) = try RequestDecoder.decode(
        WireRequest.preferenceList(key).payload, makeKey: { [] })
    else {
      Issue.record("no question")
      return
    }
    #expect(asked == key)
    #expect(throws: ProtocolFailure.self) { try WireReply(payload: [34, 0x0A, 0]) }
  }
}
