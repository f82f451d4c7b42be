import KVBase
import KVCluster
import KVModel
import Testing

/// Locations from configuration and operators, and members whose release does not know them.
@Suite struct LocationTests {
  private func locations(_ cluster: MembershipCluster, _ index: Int) -> [String: String] {
    var found: [String: String] = [:]
    for member in cluster.nodes[index].membership?.view.members ?? [] {
      found[member.name] = member.location
    }
    return found
  }

  @Test func `a location is staged, planned, committed, spread and kept`() {
    var cluster = MembershipCluster(seed: 3, count: 6)
    _ = cluster.form()
    for index in 0..<6 {
      let reply = cluster.ask(5, .locate(cluster.name(index), at: "rack\(index / 2)"))
      guard case .done? = reply else {
        Issue.record("\(String(describing: reply))")
        return
      }
    }
    guard case .plan(let plan)? = cluster.ask(3, .plan) else {
      Issue.record("no plan")
      return
    }
    #expect(plan.changes.count == 6 && plan.changes[0].action == "location")
    #expect(plan.notes.contains { $0.hasPrefix("Locations: a location's partitions are 3 apart") })
    #expect(
      plan.membersAfter.map(\.location) == ["rack0", "rack0", "rack1", "rack1", "rack2", "rack2"])
    guard case .done? = cluster.ask(3, .commit) else {
      Issue.record("no commit")
      return
    }
    let isSettled1 = cluster.run(for: 60) { $0.isSettled(6) }
    #expect(isSettled1)
    for index in 0..<6 { #expect(locations(cluster, index)[cluster.name(4)] == "rack2") }
    // What was saved knows it, too.
    cluster.kill(2)
    cluster.start(2)
    #expect(locations(cluster, 2)[cluster.name(0)] == "rack0")
    let isSettled2 = cluster.run(for: 20) { $0.isSettled(6) }
    #expect(isSettled2)
  }

  @Test func `a node joins with the location it is configured with, and an operator's stays`() {
    var cluster = MembershipCluster(seed: 4, count: 2)
    cluster.add(ringSize: 64, name: "n2@host", location: "rack7")
    guard case .done? = cluster.join(1), case .done? = cluster.join(2) else {
      Issue.record("\(cluster.logs)")
      return
    }
    cluster.run(for: 4)
    guard case .done? = cluster.commit() else {
      Issue.record("\(cluster.logs)")
      return
    }
    let isSettled3 = cluster.run(for: 60) { $0.isSettled(3) }
    #expect(isSettled3)
    #expect(locations(cluster, 0)[cluster.name(2)] == "rack7")
    _ = cluster.ask(0, .locate(cluster.name(2), at: "rack8"))
    let reply = cluster.commit()
    #expect(reply == .done("Cluster changes committed"))
    let isSettled4 = cluster.run(for: 60) { $0.isSettled(3) }
    #expect(isSettled4)
    cluster.kill(2)
    cluster.start(2)
    cluster.run(for: 10)
    #expect(locations(cluster, 1)[cluster.name(2)] == "rack8")
  }

  @Test func `locations wait until every member knows them`() {
    var cluster = MembershipCluster(seed: 5, count: 3)
    cluster.restart(2, speaking: 1)
    let isFormed = cluster.form()
    #expect(isFormed)
    for asked in [0, 1] {
      guard case .refused(let text)? = cluster.ask(asked, .locate(cluster.name(0), at: "r")) else {
        Issue.record("not refused")
        return
      }
      #expect(text.contains("peer protocol 2"))
    }
    cluster.restart(2, speaking: PeerProtocol.latest)
    cluster.run(for: 2)
    let isSettled5 = cluster.run(for: 20) { $0.isSettled(3) }
    #expect(isSettled5)
    let reply = cluster.ask(0, .locate(cluster.name(0), at: "r"))
    #expect(reply == .done("Success: staged changing location of 'n0@host' to 'r'"))
  }

  @Test func `a cluster with locations refuses a node that does not know them`() {
    var cluster = MembershipCluster(seed: 6, count: 2)
    _ = cluster.form()
    _ = cluster.ask(0, .locate(cluster.name(0), at: "r"))
    _ = cluster.commit()
    cluster.add(ringSize: 64, name: "old@host")
    cluster.restart(2, speaking: 1)
    guard case .refused(let text)? = cluster.join(2) else {
      Issue.record("not refused")
      return
    }
    #expect(text.contains("peer protocol 2"))
  }

  @Test func `a node whose shards are spread waits until every member knows that`() {
    var cluster = MembershipCluster(seed: 8, count: 2)
    cluster.restart(1, speaking: 2)
    let isFormed = cluster.form()
    #expect(isFormed)
    cluster.add(ringSize: 64, name: "new@host", layout: .spread)
    guard case .refused(let text)? = cluster.join(2) else {
      Issue.record("not refused")
      return
    }
    #expect(text.contains("'n1@host' is not known to speak peer protocol 3"))
    cluster.restart(1, speaking: PeerProtocol.latest)
    cluster.run(for: 20)
    let reply = cluster.join(2)
    #expect(reply == .done("Success: staged join request for 'new@host' to 'n0@host'"))
    _ = cluster.commit()
    let isSettled = cluster.run(for: 60) { $0.isSettled(3) }
    #expect(isSettled)
    // From now on a node of an earlier release is not let in.
    cluster.add(ringSize: 64, name: "old@host")
    cluster.restart(3, speaking: 2)
    guard case .refused(let reason)? = cluster.join(3) else {
      Issue.record("not refused")
      return
    }
    #expect(reason.contains("needs peer protocol 3"))
  }

  @Test func `bad locations are refused`() {
    var cluster = MembershipCluster(seed: 7, count: 1)
    for location in [String(repeating: "x", count: 256), "a\nb"] {
      guard case .refused? = cluster.ask(0, .locate(nil, at: location)) else {
        Issue.record("not refused")
        return
      }
    }
    guard case .refused? = cluster.ask(0, .locate("nobody", at: "r")) else {
      Issue.record("not refused")
      return
    }
  }
}
