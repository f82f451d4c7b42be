import KVBase
import KVModel

@testable import KVCluster

/// Several memberships on a simulated network, and shards that finish transfers after a while.
///
/// Everything follows from the seed: delays of 1 to 20 ms, losses when asked for.
struct MembershipCluster {
  private enum Event {
    case deliver(Bytes, from: Int, to: Int)
    case inject(MembershipEvent, at: Int, run: Int)
  }

  struct Node {
    var member: Member
    var membership: Membership?
    var saved: Bytes?
    var run = 0
    var deadline = UInt64.max
    var hasDeparted = false
    /// The latest peer protocol that the node's release speaks.
    var version = PeerProtocol.latest
    var replies: [UInt64: AdminReply] = [:]
    var views: [UInt64] = []
    /// The handoffs that the shards tell of once they take nothing more.
    var lastTransfers: [ClusterStatus.TransferRow] = []
  }

  var nodes: [Node] = []
  var lossProbability = 0.0
  /// Messages with properties do not arrive.
  var losesProperties = false
  /// Pairs (from, to) that no message passes.
  var cut: Set<[Int]> = []
  var logs: [String] = []
  /// Pairs (who, of whom) that know each other's version since the last break.
  private var introduced: Set<[Int]> = []
  var sentCount = 0
  private(set) var time: UInt64 = 1_000_000_000
  /// Latest first.
  private var queue: [(time: UInt64, order: Int)] = []
  private var events: [Int: Event] = [:]
  /// Counts what an observer can see, so that conditions are looked at only then.
  private var changeCount = 0
  private var order = 0
  private var random: SeededRandom
  private var nextID: UInt64 = 0
  private let ringSize: Int

  init(seed: UInt64, count: Int, ringSize: Int = 64) {
    random = SeededRandom(seed: seed)
    self.ringSize = ringSize
    for index in 0..<count { add(ringSize: ringSize, name: "n\(index)@host") }
  }

  mutating func add(
    ringSize: Int, name: String, layout: ShardLayout = .modulo, location: String = ""
  ) {
    let port = UInt16(8000 + nodes.count)
    let member = Member(
      name: name, endpoint: Endpoint(host: "10.0.0.1", port: port),
      clientEndpoint: Endpoint(host: "10.0.0.1", port: port + 1000), shardCount: 2,
      shardLayout: layout, status: .valid, location: location)
    nodes.append(Node(member: member))
    start(nodes.count - 1, ringSize: ringSize)
  }

  // MARK: Faults

  mutating func start(_ index: Int, ringSize: Int? = nil) {
    let configuration = MembershipConfiguration(
      member: nodes[index].member, ringSize: ringSize ?? self.ringSize, seed: random.next())
    nodes[index].membership = try? Membership(
      configuration: configuration, restored: nodes[index].saved)
    nodes[index].run += 1
    nodes[index].hasDeparted = false
    step(index, .start)
    introduced = introduced.filter { !$0.contains(index) }
  }

  mutating func kill(_ index: Int) {
    nodes[index].membership = nil
    nodes[index].deadline = .max
    nodes[index].run += 1
    let id = nodes[index].member.id
    for other in nodes.indices where nodes[other].membership != nil {
      push(.inject(.peerDisconnected(id), at: other, run: nodes[other].run))
    }
  }

  /// Replaces the process by one of a release that speaks up to `version` of the peer protocol.
  mutating func restart(_ index: Int, speaking version: UInt16) {
    kill(index)
    nodes[index].version = version
    start(index)
  }

  mutating func isolate(_ group: [Int]) {
    for a in nodes.indices {
      for b in nodes.indices where group.contains(a) != group.contains(b) { cut.insert([a, b]) }
    }
  }

  // MARK: Running

  private mutating func push(_ event: Event, delay: UInt64? = nil) {
    order += 1
    let due = time + (delay ?? UInt64(1 + random.below(20)) * 1_000_000)
    var low = 0
    var high = queue.count
    while low < high {
      let middle = (low + high) / 2
      if queue[middle].time > due { low = middle + 1 } else { high = middle }
    }
    queue.insert((due, order), at: low)
    events[order] = event
  }

  var now: Now {
    Now(instant: Instant(nanoseconds: time), wallClock: WallClock(microseconds: time / 1000))
  }

  mutating func run(for seconds: Double) {
    run(until: time + UInt64(seconds * 1e9)) { _ in false }
  }

  /// Runs until `condition` holds; false when it did not within the time.
  mutating func run(for seconds: Double, until condition: (borrowing Self) -> Bool) -> Bool {
    run(until: time + UInt64(seconds * 1e9), condition)
    return condition(self)
  }

  private mutating func run(until end: UInt64, _ condition: (borrowing Self) -> Bool) {
    var seenCount = -1
    while true {
      if seenCount != changeCount {
        seenCount = changeCount
        if condition(self) { return }
      }
      var (timer, index) = (UInt64.max, -1)
      for node in nodes.indices where nodes[node].deadline < timer {
        (timer, index) = (nodes[node].deadline, node)
      }
      let message = queue.last?.time ?? .max
      guard min(timer, message) <= end else {
        time = end
        return
      }
      time = max(time, min(timer, message))
      if message <= timer,
        let event = queue.popLast().flatMap({ events.removeValue(forKey: $0.order) })
      {
        perform(event)
      } else {
        step(index, .timer)
      }
    }
  }

  private mutating func perform(_ event: Event) {
    switch event {
    case .deliver(let bytes, let from, let to):
      guard !cut.contains([from, to]) else { return }
      if introduced.insert([to, from]).inserted {
        let version = min(nodes[from].version, nodes[to].version)
        step(to, .peerSpeaks(version, nodes[from].member.id))
      }
      step(to, .message(bytes, from: nodes[from].member.id))
    case .inject(let event, let index, let run):
      if case .peerDisconnected(let id) = event {
        introduced = introduced.filter { $0[0] != index || nodes[$0[1]].member.id != id }
      }
      if nodes[index].run == run { step(index, event) }
    }
  }

  mutating func step(_ index: Int, _ event: MembershipEvent) {
    guard var membership = nodes[index].membership else { return }
    var effects: [MembershipEffect] = []
    membership.step(event, at: now, into: &effects)
    // Slow: after every change of view, and now and then.
    if effects.contains(.viewChanged) || random.below(32) == 0 { membership.checkInvariants() }
    nodes[index].membership = membership
    nodes[index].deadline = membership.nextDeadline.nanoseconds
    for effect in effects { perform(effect, of: index) }
  }

  private mutating func perform(_ effect: MembershipEffect, of index: Int) {
    switch effect {
    case .send(let bytes, let id):
      post(bytes, from: index, to: nodes.firstIndex { $0.member.id == id })
    case .sendToEndpoint(let bytes, let endpoint):
      post(bytes, from: index, to: nodes.firstIndex { $0.member.endpoint == endpoint })
    case .viewChanged:
      changeCount += 1
      noteView(index)
    case .persist(let bytes): nodes[index].saved = bytes
    case .adminReply(let id, let reply):
      changeCount += 1
      nodes[index].replies[id] = reply
    case .log(let level, let text): logs.append("\(time / 1_000_000) n\(index) \(level) \(text)")
    case .departed:
      changeCount += 1
      nodes[index].hasDeparted = true
    }
  }

  private mutating func post(_ bytes: Bytes, from: Int, to: Int?) {
    sentCount += 1
    guard let to else { return }
    if nodes[to].membership == nil {
      let id = nodes[to].member.id
      push(.inject(.peerDisconnected(id), at: from, run: nodes[from].run))
    } else if losesProperties, let message = try? MembershipMessage(decoding: bytes),
      case .properties = message.body
    {
      return
    } else if !random.chance(lossProbability) {
      push(.deliver(bytes, from: from, to: to))
    }
  }

  /// The shard sees the view and, after some time, is done with each transfer it sends.
  private mutating func noteView(_ index: Int) {
    guard let view = nodes[index].membership?.view else { return }
    nodes[index].views.append(view.version)
    if view.isClosing {
      let report = MembershipEvent.transferProgress(nodes[index].lastTransfers, isClosing: true)
      push(.inject(report, at: index, run: nodes[index].run))
    }
    for transfer in view.transfers where transfer.from == nodes[index].member.id {
      push(
        .inject(.transferCompleted(transfer), at: index, run: nodes[index].run),
        delay: UInt64(20 + random.below(500)) * 1_000_000)
    }
  }

  // MARK: Operators

  /// Gives a command and runs until it is answered.
  mutating func ask(_ index: Int, _ command: AdminCommand) -> AdminReply? {
    nextID += 1
    let id = nextID
    step(index, .admin(id: id, command))
    _ = run(for: 40) { $0.nodes[index].replies[id] != nil }
    return nodes[index].replies[id]
  }

  mutating func status(_ index: Int) -> ClusterStatus? {
    guard case .status(let status)? = ask(index, .status) else { return nil }
    return status
  }

  mutating func join(_ index: Int, to target: Int = 0) -> AdminReply? {
    ask(index, .join(nodes[target].member.endpoint))
  }

  /// Plans and commits what is staged.
  mutating func commit(by index: Int = 0) -> AdminReply? {
    guard case .plan? = ask(index, .plan) else { return nil }
    return ask(index, .commit)
  }

  /// A cluster of all nodes, with every transfer done.
  mutating func form() -> Bool {
    for index in nodes.indices.dropFirst() {
      guard case .done? = join(index) else { return false }
    }
    guard case .done? = commit() else { return false }
    return run(for: 60) { $0.isSettled($0.nodes.count) }
  }

  // MARK: Observing

  func name(_ index: Int) -> String { nodes[index].member.name }

  var running: [Membership] { nodes.compactMap { $0.hasDeparted ? nil : $0.membership } }

  /// Whether all running nodes agree on a ring of so many valid members, with nothing on the move.
  borrowing func isSettled(_ count: Int) -> Bool {
    guard let first = running.first?.view else { return false }
    guard first.members.count == count, first.transfers.isEmpty else { return false }
    guard first.members.allSatisfy({ $0.status == .valid }) else { return false }
    return running.allSatisfy { member in
      let view = member.view
      return view.version == first.version && view.ring == first.ring
        && view.members == first.members && view.properties == first.properties
        && view.unavailable.isEmpty
    }
  }
}
