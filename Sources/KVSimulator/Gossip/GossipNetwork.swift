import KVBase
import KVCluster
import KVModel

/// Memberships alone, without shards and stores, on a network in which every message takes one round.
struct GossipNetwork {
  /// How long a message takes: one round, in nanoseconds.
  static let round: UInt64 = 10_000_000

  private enum Event {
    case message(Bytes, from: Int, to: Int)
    case timer(Int)
  }

  private(set) var memberships: [Membership] = []
  private(set) var time: UInt64 = 1_000_000_000
  /// Messages sent so far.
  private(set) var messageCount = 0
  /// Bytes of membership messages sent so far.
  private(set) var byteCount = 0
  private let members: [Member]
  private let loss: Double
  private var positions: [NodeID: Int] = [:]
  private var wakeTimes: [UInt64]
  private var isOff: [Bool]
  private var queue = EventQueue<Event>()
  private var random: SeededRandom

  /// A formed cluster of `count` members; of each message this share is lost.
  init(count: Int, loss: Double, seed: UInt64) {
    self.loss = loss
    random = SeededRandom(seed: seed)
    members = (0..<count).map { index in
      let endpoint = Endpoint(host: "n\(index)", port: 8099)
      return Member(
        name: "n\(index)@sim", endpoint: endpoint, clientEndpoint: endpoint, shardCount: 1,
        status: .valid)
    }
    wakeTimes = Array(repeating: .max, count: count)
    isOff = Array(repeating: false, count: count)
    for (index, member) in members.enumerated() {
      positions[member.id] = index
      let saved = Membership.saved(by: member, of: members, ringSize: 512, clusterID: seed)
      let settings = MembershipConfiguration(member: member, ringSize: 512, seed: random.next())
      guard let membership = try? Membership(configuration: settings, restored: saved) else {
        preconditionFailure("a ring of \(count) members does not decode")
      }
      memberships.append(membership)
    }
    for index in members.indices { step(index, .start) }
  }

  /// The member that changes the ring.
  var claimant: Int {
    members.indices.min { members[$0].id < members[$1].id } ?? 0
  }

  func name(_ index: Int) -> String { members[index].name }

  func id(_ index: Int) -> NodeID { members[index].id }

  /// Takes a member's process away.
  mutating func switchOff(_ index: Int) { isOff[index] = true }

  /// The memberships that run.
  var running: [Membership] { memberships.indices.filter { !isOff[$0] }.map { memberships[$0] } }

  mutating func step(_ index: Int, _ event: MembershipEvent) {
    let now = Now(
      instant: Instant(nanoseconds: time), wallClock: WallClock(microseconds: time / 1000))
    var effects: [MembershipEffect] = []
    memberships[index].step(event, at: now, into: &effects)
    for effect in effects {
      guard case .send(let bytes, let node) = effect, let target = positions[node] else { continue }
      messageCount += 1
      byteCount += bytes.count
      guard !random.chance(loss) else { continue }
      queue.schedule(.message(bytes, from: index, to: target), at: time + Self.round)
    }
    let due = max(time, memberships[index].nextDeadline.nanoseconds)
    if due < wakeTimes[index] {
      wakeTimes[index] = due
      queue.schedule(.timer(index), at: due)
    }
  }

  /// Runs until the condition holds, looking once in each round; nil when it does not in time.
  mutating func run(
    upTo duration: UInt64, until condition: (GossipNetwork) -> Bool
  ) -> UInt64? {
    let start = time
    while time - start < duration {
      let limit = time + Self.round
      while let next = queue.nextTime, next <= limit, let (due, event) = queue.takeNext() {
        time = max(time, due)
        perform(event)
      }
      time = limit
      if condition(self) { return time - start }
    }
    return nil
  }

  private mutating func perform(_ event: Event) {
    switch event {
    case .message(let bytes, let from, let to):
      if !isOff[to], !isOff[from] { step(to, .message(bytes, from: members[from].id)) }
    case .timer(let index):
      guard !isOff[index], wakeTimes[index] <= time else { return }
      wakeTimes[index] = .max
      step(index, .timer)
    }
  }
}
