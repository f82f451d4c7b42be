import KVBase
import Testing

@testable import KVSimulator

@Suite struct NetworkTests {
  private func network(_ settings: Network.Settings) -> Network {
    var network = Network(nodeCount: 3, settings: settings, random: SeededRandom(seed: 7))
    network.isFaulty = true
    return network
  }

  private let a = Network.End(node: 0, shard: 0)
  private let b = Network.End(node: 1, shard: 1)

  @Test func `a stream keeps the order of messages`() {
    var settings = Network.Settings()
    settings.tailChance = 0.2
    var network = network(settings)
    var latest: UInt64 = 0
    for step in 0..<500 as Range<UInt64> {
      guard case .arrives(let times, _) = network.send(from: a, to: b, at: step * 1000) else {
        Issue.record("a whole stream lost a message")
        return
      }
      #expect(times.count == 1)
      #expect(times[0] > latest)
      latest = times[0]
    }
  }

  @Test func `datagrams are lost, doubled and reordered`() {
    var settings = Network.Settings()
    settings.isStream = false
    settings.lossChance = 0.1
    settings.duplicateChance = 0.1
    var network = network(settings)
    var lost = 0
    var doubled = 0
    var reordered = 0
    var latest: UInt64 = 0
    for step in 0..<1000 as Range<UInt64> {
      switch network.send(from: a, to: b, at: step * 1000) {
      case .arrives(let times, _):
        if times.count == 2 { doubled += 1 }
        if times[0] < latest { reordered += 1 }
        latest = max(latest, times[0])
      case .lost: lost += 1
      case .connectionBroken: Issue.record("datagrams have no connection")
      }
    }
    #expect((50...150).contains(lost))
    #expect((50...150).contains(doubled))
    #expect(reordered > 100)
  }

  @Test func `a slow link and a doubling one are so until they are healed`() {
    var settings = Network.Settings()
    settings.isStream = false
    var network = network(settings)
    network.setSlow(true, from: 0, to: 1)
    network.setDuplication(1, from: 0, to: 1)
    var latest: UInt64 = 0
    for _ in 0..<50 {
      guard case .arrives(let times, _) = network.send(from: a, to: b, at: 0) else { continue }
      #expect(times.count == 2)
      latest = max(latest, times[0])
    }
    #expect(latest > 10 * settings.maximumDelay)
    network.heal(from: 0, to: 1)
    guard case .arrives(let times, _) = network.send(from: a, to: b, at: 0) else { return }
    #expect(times.count == 1)
    #expect(times[0] <= settings.maximumDelay)
  }

  @Test func `a broken connection loses what is under way, and only that`() {
    var network = network(Network.Settings())
    guard case .arrives(_, let first) = network.send(from: a, to: b, at: 0) else { return }
    network.breakConnection(0, 1)
    #expect(!network.delivers(from: 0, to: 1, connection: first))
    guard case .arrives(_, let second) = network.send(from: a, to: b, at: 1) else {
      Issue.record("a new connection lost a message")
      return
    }
    #expect(network.delivers(from: 0, to: 1, connection: second))
  }

  @Test func `a blocked direction leaves the other one open`() {
    var network = network(Network.Settings())
    network.setBlocked(true, from: 0, to: 1)
    #expect(network.send(from: a, to: b, at: 0) == .lost)
    #expect(network.send(from: b, to: a, at: 0) != .lost)
    network.heal()
    #expect(network.send(from: a, to: b, at: 1) != .lost)
  }

  @Test func `shards of one node are joined by a reliable queue`() {
    var settings = Network.Settings()
    settings.isStream = false
    settings.lossChance = 1
    var network = network(settings)
    let sibling = Network.End(node: 0, shard: 1)
    guard case .arrives(let times, let connection) = network.send(from: a, to: sibling, at: 0)
    else {
      Issue.record("a message within a node is lost")
      return
    }
    #expect(times.count == 1)
    #expect(network.delivers(from: 0, to: 0, connection: connection))
  }
}
