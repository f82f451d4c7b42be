import KVBase

/// What connects the nodes: how long a message takes, whether it arrives, how often.
///
/// Two kinds of links exist. A *stream* link is a TCP connection: messages between two shards stay
/// in order and none is lost until the connection breaks, which loses all that are under way. A
/// *datagram* link is harsher than anything a peer will see: each message takes its own time and may
/// be lost or come twice. Shards of one node are joined by a reliable queue.
struct Network {
  /// How the links of a run behave; drawn from its seed.
  struct Settings: Equatable {
    /// Streams or datagrams.
    var isStream = true
    /// The least time a message takes, in nanoseconds.
    var minimumDelay: UInt64 = 100_000
    /// The most time a message usually takes.
    var maximumDelay: UInt64 = 2_000_000
    /// The probability that a message takes up to a hundred times as long.
    var tailChance = 0.0
    /// The probability that a datagram is lost.
    var lossChance = 0.0
    /// The probability that a datagram comes twice.
    var duplicateChance = 0.0
    /// The probability that sending a message breaks its connection.
    var breakChance = 0.0
  }

  private struct Link {
    var isBlocked = false
    var lossChance = 0.0
    var isSlow = false
    var duplicateChance = 0.0
    var connection: UInt64 = 0
  }

  private static let shardLimit = 4

  /// How links behave.
  let settings: Settings
  /// False while the network is to be perfect but for delay.
  var isFaulty = false
  private var random: SeededRandom
  private let nodeCount: Int
  private var links: [Link]
  private var latestArrivals: [UInt64]

  init(nodeCount: Int, settings: Settings, random: SeededRandom) {
    self.settings = settings
    self.random = random
    self.nodeCount = nodeCount
    links = Array(repeating: Link(), count: nodeCount * nodeCount)
    let ends = nodeCount * Self.shardLimit
    latestArrivals = Array(repeating: 0, count: ends * ends)
  }

  /// One end of a link: a shard of a node, by position.
  struct End: Equatable {
    var node: Int
    var shard: Int
  }

  /// What becomes of a message.
  enum Fate: Equatable {
    /// It arrives at these times, over the given connection.
    case arrives([UInt64], connection: UInt64)
    /// It is lost, and nobody knows.
    case lost
    /// It is lost because its connection broke.
    case connectionBroken
  }

  /// Decides over a message handed in at `now`.
  mutating func send(from: End, to: End, at now: UInt64) -> Fate {
    if from.node == to.node {
      let arrival = inOrder(now + 1_000 + UInt64(random.below(50_000)), from: from, to: to)
      return .arrives([arrival], connection: 0)
    }
    let link = links[index(from.node, to.node)]
    if link.isBlocked || random.chance(link.lossChance) {
      // A stream that cannot get through ends up broken: what was under way goes with it.
      if settings.isStream { breakConnection(from.node, to.node) }
      return .lost
    }
    let arrival = now + delay(link)
    guard isFaulty else {
      return .arrives([inOrder(arrival, from: from, to: to)], connection: link.connection)
    }
    if settings.isStream {
      if random.chance(settings.breakChance) {
        breakConnection(from.node, to.node)
        return .connectionBroken
      }
      return .arrives([inOrder(arrival, from: from, to: to)], connection: link.connection)
    }
    if random.chance(settings.lossChance) { return .lost }
    guard random.chance(max(settings.duplicateChance, link.duplicateChance)) else {
      return .arrives([arrival], connection: link.connection)
    }
    return .arrives([arrival, now + delay(link) * 4], connection: link.connection)
  }

  /// True when a message sent over the given connection can still arrive.
  func delivers(from: Int, to: Int, connection: UInt64) -> Bool {
    guard from != to else { return true }
    let link = links[index(from, to)]
    return !link.isBlocked && link.connection == connection
  }

  /// Ends the connection from one node to another; messages under way are lost.
  mutating func breakConnection(_ from: Int, _ to: Int) {
    links[index(from, to)].connection += 1
  }

  /// Stops or lets through everything from one node to another.
  mutating func setBlocked(_ isBlocked: Bool, from: Int, to: Int) {
    links[index(from, to)].isBlocked = isBlocked
    if isBlocked, settings.isStream { breakConnection(from, to) }
  }

  /// Makes a link lose messages with the given probability.
  mutating func setLoss(_ chance: Double, from: Int, to: Int) {
    links[index(from, to)].lossChance = chance
  }

  /// Makes messages of a link take up to a hundred times as long.
  mutating func setSlow(_ isSlow: Bool, from: Int, to: Int) {
    links[index(from, to)].isSlow = isSlow
  }

  /// Makes a link of datagrams deliver messages twice with the given probability.
  mutating func setDuplication(_ chance: Double, from: Int, to: Int) {
    links[index(from, to)].duplicateChance = chance
  }

  /// One link is whole again.
  mutating func heal(from: Int, to: Int) {
    links[index(from, to)] = Link(connection: links[index(from, to)].connection)
  }

  /// Every link is whole again.
  mutating func heal() {
    for index in links.indices { links[index] = Link(connection: links[index].connection) }
  }

  private mutating func delay(_ link: Link) -> UInt64 {
    let span = Int(settings.maximumDelay - settings.minimumDelay) + 1
    let usual = settings.minimumDelay + UInt64(random.below(span))
    guard isFaulty, link.isSlow || random.chance(settings.tailChance) else { return usual }
    return usual + UInt64(random.below(Int(settings.maximumDelay) * 100))
  }

  private mutating func inOrder(_ arrival: UInt64, from: End, to: End) -> UInt64 {
    let row = from.node * Self.shardLimit + from.shard
    let position = row * nodeCount * Self.shardLimit + to.node * Self.shardLimit + to.shard
    latestArrivals[position] = max(arrival, latestArrivals[position] + 1)
    return latestArrivals[position]
  }

  private func index(_ from: Int, _ to: Int) -> Int { from * nodeCount + to }
}
