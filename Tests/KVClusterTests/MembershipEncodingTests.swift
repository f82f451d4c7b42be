import KVBase
import KVModel
import Testing

@testable import KVCluster

@Suite struct MembershipEncodingTests {
  static func member(_ name: String, _ status: MemberStatus = .valid) -> Member {
    Member(
      name: name, endpoint: Endpoint(host: "h", port: 8099),
      clientEndpoint: Endpoint(host: "h", port: 8087), shardCount: 2, status: status)
  }

  /// A state with something in every field.
  static func fullState() -> RingState {
    var state = RingState(singleton: member("a@h"), ringSize: 8, clusterID: 0x1122_3344_5566_7788)
    _ = state.stageJoin(member("b@h"))
    _ = state.stageJoin(member("c@h"))
    _ = state.stageReplace("a@h", with: "b@h")
    state = RingPlan(for: state, targetNVal: 4)?.next ?? state
    _ = state.stageJoin(member("d@h"))
    _ = state.stageLeave("c@h")
    state.removed = [member("e@h")]
    state.version.number = 7
    return state
  }

  static func messages() -> [MembershipMessage] {
    let state = fullState()
    let bucket = BucketID(name: Bytes("b".utf8))
    let entry = PropertyEntry(
      bucket: bucket, counter: 3, nonce: 4, properties: BucketProperties())
    let plan = ClusterPlan(
      changes: [ClusterPlan.Change(action: "join", details: "'a'")],
      membersAfter: [
        ClusterStatus.MemberRow(
          name: "a", status: .valid, isReachable: true, partitions: 1, pendingPartitions: 2,
          clientEndpoint: Endpoint(host: "h", port: 1), endpoint: Endpoint(host: "h", port: 2))
      ],
      moves: [ClusterPlan.Move(from: "a", to: "b", count: 4, transfersData: true)],
      warnings: ["w"])
    let node = NodeID(name: "b@h")
    var located = state
    located.setLocation("rack1", of: state.members[0].id)
    located.staged.append(.locate(state.members[0].id, "rack2"))
    var spread = located
    spread.members[1].shardLayout = .spread
    var newcomer = member("y@h")
    newcomer.shardLayout = .spread
    var noted = plan
    noted.notes = ["balanced"]
    noted.membersAfter[0].location = "rack3"
    let bodies: [MembershipMessage.Body] = [
      .ring(located), .ring(spread), .joinRequest(newcomer, ringSize: 8), .location("rack4"),
      .adminReply(id: 8, .plan(noted)),
      .adminRequest(id: 9, .locate("a", at: "rack5")), .adminRequest(id: 9, .locate(nil, at: "")),
      .ping(sequence: 1), .pong(sequence: 300), .pingRequest(sequence: 2, target: node),
      .targetAnswered(sequence: 3, target: node, incarnation: 9), .greeting, .ringRequest,
      .ring(state),
      .facts(
        MembershipMessage.Facts(
          member: member("a@h"), hasExited: true, completed: state.transfers)),
      .propertySummary([entry.stamp]), .propertyRequest([bucket]),
      .properties([entry, PropertyEntry(bucket: bucket, counter: 1, nonce: 1, properties: nil)]),
      .joinRequest(member("z@h"), ringSize: 64), .joinRefused("no"), .notJoined,
      .adminRequest(id: 5, .replace("a", with: "b")), .adminRequest(id: 5, .leave(nil)),
      .adminRequest(id: 5, .join(Endpoint(host: "h", port: 3))), .adminRequest(id: 5, .commit),
      .adminReply(id: 6, .done("yes")), .adminReply(id: 7, .plan(plan)),
    ]
    return bodies.map { body in
      MembershipMessage(
        clusterID: 1, incarnation: 2, ring: state.version, propertyDigest: 3,
        rumors: [Rumor(node: node, incarnation: 4, health: .suspect)], body: body)
    }
  }

  @Test func `every message is read as it was written`() throws {
    for message in Self.messages() {
      let read = try MembershipMessage(decoding: message.encoded())
      #expect(read == message)
    }
  }

  @Test func `a truncated message is an error at every length`() {
    for message in Self.messages() {
      let bytes = message.encoded()
      for count in 0..<bytes.count {
        #expect(throws: DecodingFailure.self) {
          try MembershipMessage(decoding: Bytes(bytes.prefix(count)))
        }
      }
    }
  }

  @Test func `a damaged message is an error or another message, never a crash`() {
    var random = SeededRandom(seed: 8)
    let originals = Self.messages().map { $0.encoded() }
    var (readCount, failureCount) = (0, 0)
    for _ in 0..<4000 {
      var bytes = originals[random.below(originals.count)]
      for _ in 0...random.below(4) {
        let index = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[index] ^= 1 << UInt8(random.below(8))
        case 1: bytes[index] = [0, 0x7F, 0x80, 0xFF][random.below(4)]
        case 2: bytes.remove(at: index)
        default: bytes.insert(UInt8(random.below(256)), at: index)
        }
        if bytes.isEmpty { bytes = [0] }
      }
      do {
        let message = try MembershipMessage(decoding: bytes)
        // What is accepted can be written again: no field is beyond what its encoding holds.
        #expect((try? MembershipMessage(decoding: message.encoded())) == message)
        if case .ring(let state) = message.body { state.checkInvariants() }
        readCount += 1
      } catch {
        failureCount += 1
      }
    }
    #expect(readCount > 100 && failureCount > 100)
  }

  @Test func `damaged messages do not disturb a membership`() throws {
    var random = SeededRandom(seed: 9)
    let configuration = MembershipConfiguration(
      member: Self.member("a@h"), ringSize: 8, seed: 1)
    let restored = SavedMembership(
      incarnation: 1, state: Self.fullState(), properties: PropertyTable())
    var membership = try Membership(configuration: configuration, restored: restored.encoded())
    var effects: [MembershipEffect] = []
    let now = Now(instant: Instant(nanoseconds: 1), wallClock: WallClock(microseconds: 1))
    membership.step(.start, at: now, into: &effects)
    let originals = Self.messages().map { message in
      var message = message
      message.clusterID = 0x1122_3344_5566_7788
      return message.encoded()
    }
    let senders = ["b@h", "c@h", "d@h", "x@h"].map { NodeID(name: $0) }
    for _ in 0..<2000 {
      var bytes = originals[random.below(originals.count)]
      bytes[random.below(bytes.count)] = UInt8(random.below(256))
      membership.step(.message(bytes, from: senders[random.below(4)]), at: now, into: &effects)
      membership.checkInvariants()
    }
  }

  @Test func `the ring state's bytes are as documented`() throws {
    let state = RingState(
      singleton: Self.member("a@h"), ringSize: 8, clusterID: 0x1122_3344_5566_7788)
    var writer = ByteWriter()
    state.encode(into: &writer)
    let hex = writer.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    let documented =
      "01112233445566778801011122334455667788caf0f069b25c9240010361406801681fa301681f97"
      + "0201080000000000000000000000"
    #expect(hex == documented)
    var reader = ByteReader(writer.bytes)
    #expect(try RingState(decoding: &reader) == state)
  }

  @Test func `saved state is restored on its own node only`() throws {
    var table = PropertyTable()
    _ = table.set(BucketProperties(), of: BucketID(name: [1]), nonce: 2)
    let saved = SavedMembership(incarnation: 3, state: Self.fullState(), properties: table)
    let read = try SavedMembership(decoding: saved.encoded(), local: NodeID(name: "a@h"))
    #expect(read == saved)
    #expect(throws: DecodingFailure.self) {
      try SavedMembership(decoding: saved.encoded(), local: NodeID(name: "stranger@h"))
    }
  }
}
