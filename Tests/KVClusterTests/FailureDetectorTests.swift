import KVBase
import KVModel
import Testing

@testable import KVCluster

@Suite struct FailureDetectorTests {
  static let nodes = (0..<4).map { NodeID(name: "n\($0)") }

  static func detector() -> FailureDetector {
    let configuration = MembershipConfiguration(
      member: MembershipEncodingTests.member("n0"), ringSize: 8, seed: 1)
    var detector = FailureDetector(
      local: nodes[0], incarnation: 1, configuration: configuration, random: SeededRandom(seed: 1))
    detector.setPeers(nodes)
    return detector
  }

  /// Runs to `seconds`; pings to `silent` members get no answer, nor do requests for help when
  /// `helps` is false.
  static func run(
    _ detector: inout FailureDetector, to seconds: Double, silent: [NodeID], helps: Bool = false
  ) -> [FailureDetector.Output] {
    var all: [FailureDetector.Output] = []
    while detector.nextDeadline.nanoseconds <= UInt64(seconds * 1e9) {
      let now = detector.nextDeadline
      var outputs: [FailureDetector.Output] = []
      detector.tick(at: now, into: &outputs)
      for output in outputs {
        switch output {
        case .ping(let node, let sequence) where !silent.contains(node):
          detector.answered(
            by: node, sequence: sequence, incarnation: 1, isDirect: true, at: now, into: &all)
        case .askToPing(let target, _, let sequence) where helps:
          detector.answered(
            by: target, sequence: sequence, incarnation: 1, isDirect: false, at: now, into: &all)
        default: break
        }
      }
      all += outputs
    }
    return all
  }

  @Test func `a silent member is suspect, then unreachable, and found again`() {
    var detector = Self.detector()
    _ = Self.run(&detector, to: 3, silent: [])
    #expect(detector.unreachable.isEmpty)
    let outputs = Self.run(&detector, to: 6, silent: [Self.nodes[1]])
    #expect(detector.unreachable == [Self.nodes[1]])
    #expect(outputs.contains(.healthChanged(Self.nodes[1], .suspect)))
    let asked = outputs.compactMap { output -> NodeID? in
      if case .askToPing(_, let helper, _) = output { helper } else { nil }
    }
    #expect(Set(asked) == [Self.nodes[2], Self.nodes[3]])
    _ = Self.run(&detector, to: 8, silent: [])
    #expect(detector.unreachable.isEmpty)
  }

  @Test func `a suspect that answers in time is never held to be unreachable`() {
    var detector = Self.detector()
    let suspect = Self.nodes[1]
    _ = Self.run(&detector, to: 3, silent: [])
    var seconds = 3.0
    var outputs: [FailureDetector.Output] = []
    while !outputs.contains(.healthChanged(suspect, .suspect)), seconds < 6 {
      seconds += 0.05
      outputs += Self.run(&detector, to: seconds, silent: [suspect])
    }
    outputs += Self.run(&detector, to: seconds + 0.5, silent: [suspect])
    #expect(detector.isReachable(suspect))
    outputs += Self.run(&detector, to: seconds + 2, silent: [])
    #expect(outputs.contains(.healthChanged(suspect, .suspect)))
    #expect(!outputs.contains(.healthChanged(suspect, .unreachable)))
    #expect(outputs.contains(.healthChanged(suspect, .alive)))
  }

  @Test func `a member that answers only others is unreachable here, and no rumour is made`() {
    var detector = Self.detector()
    _ = Self.run(&detector, to: 20, silent: [Self.nodes[1]], helps: true)
    #expect(detector.unreachable == [Self.nodes[1]])
    let rumors = detector.rumors(for: Self.nodes[2])
    #expect(rumors.isEmpty)
  }

  @Test func `a rumour makes no verdict but leads to a probe`() {
    var detector = Self.detector()
    let rumor = Rumor(node: Self.nodes[2], incarnation: 0, health: .unreachable)
    var outputs: [FailureDetector.Output] = []
    detector.hear(rumor, at: Instant(nanoseconds: 1), into: &outputs)
    #expect(detector.unreachable.isEmpty)
    guard case .ping(Self.nodes[2], let sequence)? = outputs.last else {
      Issue.record("no probe in \(outputs)")
      return
    }
    detector.answered(
      by: Self.nodes[2], sequence: sequence, incarnation: 1, isDirect: true,
      at: Instant(nanoseconds: 2), into: &outputs)
    #expect(outputs.last == .healthChanged(Self.nodes[2], .alive))
  }

  @Test func `a suspicion of this node is refuted with a higher incarnation`() {
    var detector = Self.detector()
    var outputs: [FailureDetector.Output] = []
    detector.hear(
      Rumor(node: Self.nodes[0], incarnation: 7, health: .suspect), at: Instant(nanoseconds: 1),
      into: &outputs)
    #expect(detector.incarnation == 8)
    #expect(outputs == [.refuted])
    let expected = Rumor(node: Self.nodes[0], incarnation: 8, health: .alive)
    let rumors = detector.rumors(for: Self.nodes[1])
    #expect(rumors == [expected])
  }

  @Test func `a broken connection shortens the wait`() {
    var detector = Self.detector()
    var outputs: [FailureDetector.Output] = []
    let now = Instant(nanoseconds: 5)
    detector.disconnected(Self.nodes[3], at: now, into: &outputs)
    #expect(outputs == [.ping(Self.nodes[3], sequence: 1)])
    detector.disconnected(Self.nodes[3], at: now, into: &outputs)
    #expect(outputs.count == 3)
  }

  @Test func `a message carries at most the permitted rumours`() {
    var detector = Self.detector()
    let many = (0..<20).map { NodeID(name: "m\($0)") }
    detector.setPeers(many)
    var outputs: [FailureDetector.Output] = []
    for node in many {
      detector.hear(
        Rumor(node: node, incarnation: 1, health: .suspect), at: Instant(nanoseconds: 1),
        into: &outputs)
    }
    for _ in 0..<200 {
      let count = detector.rumors(for: many[0]).count
      #expect(count <= MembershipMessage.rumorLimit)
    }
    // Told often enough, rumours end; only the one the receiver should refute stays.
    let left = detector.rumors(for: many[0]).map(\.node)
    #expect(left == [many[0]])
  }
}
