import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct MembershipTests {
  @Test(arguments: 3...9) func `nodes become one cluster by staged joins`(count: Int) {
    var cluster = MembershipCluster(seed: UInt64(count), count: count)
    let isFormed = cluster.form()
    #expect(isFormed, "\(cluster.logs)")
    let view = cluster.running[0].view
    for member in view.members {
      let owned = view.ring.partitions(of: member.id).count
      #expect(owned == 64 / count || owned == 64 / count + 1)
    }
    cluster.run(for: 1)
    let status = cluster.status(count - 1)
    #expect(status?.isRingReady == true)
    #expect(status?.claimant == "n0@host")
    #expect(status?.members.count == count)
  }

  @Test func `joins are refused in the documented words`() {
    var cluster = MembershipCluster(seed: 1, count: 3)
    let joined = cluster.join(1)
    #expect(joined == .done("Success: staged join request for 'n1@host' to 'n0@host'"))
    let again = cluster.join(1)
    #expect(again == .refused("Failed: This node is already a member of a cluster"))
    let itself = cluster.join(2, to: 2)
    #expect(itself == .refused("Failed: This node cannot join itself in a cluster"))
    cluster.add(ringSize: 128, name: "n3@host")
    let otherSize = cluster.join(3)
    #expect(otherSize == .refused("Failed: n0@host has a different ring_creation_size"))
    cluster.kill(0)
    let dead = cluster.join(2)
    #expect(dead == .refused("Node 10.0.0.1:8000 is not reachable!"))
  }

  @Test func `a commit needs a plan that was seen and has not changed`() {
    var cluster = MembershipCluster(seed: 2, count: 3)
    _ = cluster.join(1)
    let unseen = cluster.ask(0, .commit)
    #expect(
      unseen
        == .refused("You must verify the plan with 'ring-admin cluster plan' before committing"))
    let shown = cluster.ask(1, .plan)
    guard case .plan(let plan)? = shown else {
      Issue.record("no plan but \(String(describing: shown))")
      return
    }
    #expect(plan.changes == [ClusterPlan.Change(action: "join", details: "'n1@host'")])
    #expect(
      plan.moves == [
        ClusterPlan.Move(from: "n0@host", to: "n1@host", count: 32, transfersData: true)
      ])
    #expect(plan.warnings == ["Not all replicas will be on distinct nodes"])
    #expect(plan.membersAfter.map(\.pendingPartitions) == [32, 32])
    _ = cluster.join(2)
    let changed = cluster.ask(0, .commit)
    #expect(
      changed
        == .refused(
          "The plan has changed. Verify with 'ring-admin cluster plan' before committing"))
    let committed = cluster.commit()
    #expect(committed == .done("Cluster changes committed"))
    let nothing = cluster.ask(0, .commit)
    #expect(nothing == .refused("There are no staged changes"))
  }

  @Test func `cleared joins leave the newcomers alone again`() {
    var cluster = MembershipCluster(seed: 3, count: 3)
    _ = cluster.join(1)
    _ = cluster.join(2)
    let cleared = cluster.ask(1, .clear)
    #expect(cleared == .done("Cleared staged cluster changes"))
    cluster.run(for: 3)
    for member in cluster.running { #expect(member.view.members.count == 1) }
    let isFormed = cluster.form()
    #expect(isFormed)
  }

  @Test func `a leaving node gives everything away and departs`() {
    var cluster = MembershipCluster(seed: 4, count: 5)
    _ = cluster.form()
    let staged = cluster.ask(2, .leave(nil))
    #expect(staged == .done("Success: staged leave request for 'n2@host'"))
    let again = cluster.ask(0, .leave("n2@host"))
    #expect(again == .refused("'n2@host' is already in the process of leaving the cluster."))
    let unknown = cluster.ask(0, .leave("x@host"))
    #expect(unknown == .refused("Failed: 'x@host' is not a member of the cluster."))
    _ = cluster.commit()
    let hasDeparted = cluster.run(for: 60) { $0.nodes[2].hasDeparted && $0.isSettled(4) }
    #expect(hasDeparted, "\(cluster.logs)")
    // It starts as a cluster of its own and may come back.
    cluster.kill(2)
    cluster.start(2)
    #expect(cluster.nodes[2].membership?.view.members.count == 1)
    let back = cluster.join(2, to: 4)
    #expect(back == .done("Success: staged join request for 'n2@host' to 'n4@host'"))
    _ = cluster.commit()
    let isWhole = cluster.run(for: 60) { $0.isSettled(5) }
    #expect(isWhole)
  }

  @Test func `a node stays until it has passed on what it still holds`() {
    var cluster = MembershipCluster(seed: 5, count: 4)
    _ = cluster.form()
    let row = ClusterStatus.TransferRow(
      kind: "hinted", partition: 3, from: "n3@host", to: "n0@host", objects: 0, bytes: 0,
      isActive: true)
    cluster.nodes[3].lastTransfers = [row]
    cluster.step(3, .transferProgress([row], isClosing: false))
    let status = cluster.status(3)
    #expect(status?.transfers == [row])
    _ = cluster.ask(0, .leave("n3@host"))
    _ = cluster.commit()
    cluster.run(for: 30)
    #expect(!cluster.nodes[3].hasDeparted)
    #expect(
      cluster.nodes[3].membership?.view.member(cluster.nodes[3].member.id)?.status == .exiting)
    cluster.step(3, .transferProgress([], isClosing: false))
    cluster.run(for: 10)
    #expect(!cluster.nodes[3].hasDeparted, "told before the shards took nothing more")
    #expect(cluster.nodes[3].membership?.view.isClosing == true)
    cluster.step(3, .transferProgress([], isClosing: true))
    let hasDeparted = cluster.run(for: 10) { $0.nodes[3].hasDeparted }
    #expect(hasDeparted)
  }

  @Test func `a node leaves only when the claimant has the properties it acknowledged`() {
    var cluster = MembershipCluster(seed: 15, count: 4)
    _ = cluster.form()
    _ = cluster.ask(0, .leave("n3@host"))
    _ = cluster.commit()
    let isExiting = cluster.run(for: 30) {
      let view = $0.nodes[3].membership?.view
      return view?.member($0.nodes[3].member.id)?.status == .exiting
    }
    #expect(isExiting)
    cluster.losesProperties = true
    let bucket = BucketID(type: BucketID.defaultType, name: Bytes("b".utf8))
    var properties = BucketProperties()
    properties.nVal = 1
    cluster.step(3, .setProperties(bucket, properties))
    cluster.run(for: 20)
    #expect(!cluster.nodes[3].hasDeparted)
    cluster.losesProperties = false
    let hasDeparted = cluster.run(for: 30) { $0.nodes[3].hasDeparted }
    #expect(hasDeparted)
    #expect(cluster.nodes[0].membership?.view.properties(of: bucket).nVal == 1)
    cluster.step(3, .setProperties(bucket, nil))
    #expect(cluster.nodes[3].membership?.view.properties(of: bucket).nVal == 1)
  }

  @Test func `a node whose join was staged by a former claimant can ask again`() {
    var cluster = MembershipCluster(seed: 16, count: 3)
    _ = cluster.form()
    cluster.add(ringSize: 64, name: "n3@host")
    cluster.isolate([0, 3])
    let isAlone = cluster.run(for: 30) {
      $0.nodes[1].membership?.view.unavailable.contains($0.nodes[0].member.id) == true
    }
    #expect(isAlone)
    let downed = cluster.ask(1, .down("n0@host"))
    #expect(downed == .done("Success: 'n0@host' marked as down"))
    let staged = cluster.join(3)
    #expect(staged == .done("Success: staged join request for 'n3@host' to 'n0@host'"))
    cluster.cut = []
    cluster.run(for: 20)
    #expect(cluster.nodes[0].membership?.view.members.count == 3, "the newer claimant's word")
    #expect(cluster.nodes[3].membership?.view.members.count == 4, "nobody has told it")
    let again = cluster.join(3)
    #expect(again == .done("Success: staged join request for 'n3@host' to 'n1@host'"))
    let committed = cluster.commit()
    #expect(committed == .done("Cluster changes committed"))
    let isSettled = cluster.run(for: 60) { $0.isSettled(4) }
    #expect(isSettled)
  }

  @Test(arguments: [PeerProtocol.earliest, PeerProtocol.latest])
  func `a newcomer has the properties when it becomes a member`(version: UInt16) {
    var cluster = MembershipCluster(seed: 17, count: 3)
    for index in 0..<3 { cluster.nodes[index].version = version }
    _ = cluster.form()
    let bucket = BucketID(type: BucketID.defaultType, name: Bytes("b".utf8))
    var properties = BucketProperties()
    properties.allowMult = true
    cluster.step(1, .setProperties(bucket, properties))
    cluster.run(for: 3)
    cluster.add(ringSize: 64, name: "n3@host")
    cluster.step(3, .admin(id: 900, .join(cluster.nodes[2].member.endpoint)))
    let hasJoined = cluster.run(for: 30) { $0.nodes[3].membership?.view.members.count ?? 1 > 1 }
    #expect(hasJoined)
    #expect(cluster.nodes[3].membership?.view.properties(of: bucket).allowMult == true)
  }

  @Test func `the claimant can leave`() {
    var cluster = MembershipCluster(seed: 6, count: 4)
    _ = cluster.form()
    let refused = cluster.ask(1, .forceRemove("n0@host"))
    guard case .refused(let text)? = refused else {
      Issue.record("the claimant was removed")
      return
    }
    #expect(text.hasPrefix("Failed: 'n0@host' is the claimant (see: ring-admin ring-status)."))
    _ = cluster.ask(0, .leave(nil))
    _ = cluster.commit()
    let hasDeparted = cluster.run(for: 60) { $0.nodes[0].hasDeparted && $0.isSettled(3) }
    #expect(hasDeparted, "\(cluster.logs)")
    let status = cluster.status(1)
    #expect(status?.claimant != "n0@host")
  }

  @Test func `a removed node that is alive notices and stops`() {
    var cluster = MembershipCluster(seed: 7, count: 4)
    _ = cluster.form()
    cluster.isolate([3])
    let isMissed = cluster.run(for: 20) { $0.nodes[0].membership?.view.unavailable.count == 1 }
    #expect(isMissed)
    let staged = cluster.ask(1, .forceRemove("n3@host"))
    #expect(staged == .done("Success: staged remove request for 'n3@host'"))
    let shown = cluster.ask(0, .plan)
    guard case .plan(let plan)? = shown else {
      Issue.record("no plan")
      return
    }
    #expect(plan.warnings.first == "All of 'n3@host' replicas will be lost")
    #expect(plan.moves.contains { $0.from == "n3@host" && !$0.transfersData })
    _ = cluster.ask(0, .commit)
    cluster.run(for: 5)
    cluster.cut = []
    let hasDeparted = cluster.run(for: 20) { $0.nodes[3].hasDeparted && $0.isSettled(3) }
    #expect(hasDeparted, "\(cluster.logs)")
  }

  @Test func `one node takes another's place`() {
    var cluster = MembershipCluster(seed: 8, count: 4)
    _ = cluster.form()
    cluster.add(ringSize: 64, name: "n4@host")
    let early = cluster.ask(0, .replace("n1@host", with: "n4@host"))
    #expect(early == .refused("Failed: 'n4@host' is not a valid replacement candidate."))
    _ = cluster.join(4)
    let staged = cluster.ask(0, .replace("n1@host", with: "n4@host"))
    #expect(staged == .done("Success: staged replacement of 'n1@host' with 'n4@host'"))
    let twice = cluster.ask(0, .replace("n2@host", with: "n4@host"))
    #expect(twice == .refused("Failed: 'n4@host' is already staged to replace another node."))
    let shown = cluster.ask(0, .plan)
    guard case .plan(let plan)? = shown else {
      Issue.record("no plan")
      return
    }
    #expect(
      plan.moves == [
        ClusterPlan.Move(from: "n1@host", to: "n4@host", count: 16, transfersData: true)
      ])
    _ = cluster.ask(0, .commit)
    let isDone = cluster.run(for: 60) { $0.nodes[1].hasDeparted && $0.isSettled(4) }
    #expect(isDone)
  }

  @Test func `several members join and leave in one commit`() {
    var cluster = MembershipCluster(seed: 9, count: 4)
    _ = cluster.form()
    cluster.add(ringSize: 64, name: "n4@host")
    cluster.add(ringSize: 64, name: "n5@host")
    _ = cluster.join(4)
    _ = cluster.join(5, to: 2)
    _ = cluster.ask(0, .leave("n1@host"))
    _ = cluster.commit()
    let isDone = cluster.run(for: 90) { $0.nodes[1].hasDeparted && $0.isSettled(5) }
    #expect(isDone)
  }

  @Test func `a lost claimant is marked down and replaced, and comes back as a member`() {
    var cluster = MembershipCluster(seed: 10, count: 4)
    _ = cluster.form()
    let early = cluster.ask(2, .down("n0@host"))
    #expect(early == .refused("Failed: n0@host is up"))
    cluster.kill(0)
    let isMissed = cluster.run(for: 20) { $0.nodes[2].membership?.view.unavailable.count == 1 }
    #expect(isMissed)
    let stuck = cluster.ask(2, .leave("n1@host"))
    guard case .refused? = stuck else {
      Issue.record("a change without a claimant")
      return
    }
    let down = cluster.ask(2, .down("n0@host"))
    #expect(down == .done("Success: 'n0@host' marked as down"))
    let status = cluster.status(2)
    #expect(status?.claimant == "n2@host")
    cluster.start(0)
    let isBack = cluster.run(for: 20) { $0.isSettled(4) }
    #expect(isBack, "\(cluster.logs)")
    #expect(cluster.running.allSatisfy { $0.view.members.allSatisfy { $0.status == .valid } })
  }

  @Test func `bucket properties set and reset anywhere are the same everywhere`() {
    var cluster = MembershipCluster(seed: 11, count: 3)
    _ = cluster.form()
    let bucket = BucketID(name: Bytes("records".utf8))
    cluster.isolate([2])
    for index in 0..<3 {
      var values = BucketProperties()
      values.nVal = 3 + index
      cluster.step(index, .setProperties(bucket, values))
      cluster.step(index, .setProperties(BucketID(name: Bytes("b\(index)".utf8)), values))
    }
    cluster.step(1, .setProperties(BucketID(name: Bytes("b1".utf8)), nil))
    cluster.run(for: 5)
    cluster.cut = []
    let agree = cluster.run(for: 20) { $0.isSettled(3) }
    #expect(agree)
    #expect(cluster.running[0].view.properties.count == 3)
    // A reset outlives a restart and an older entry does not come back.
    cluster.step(0, .setProperties(bucket, nil))
    cluster.run(for: 2)
    cluster.kill(1)
    cluster.start(1)
    let stillAgree = cluster.run(for: 20) { $0.isSettled(3) }
    #expect(stillAgree)
    #expect(
      cluster.running[1].view.properties.map(\.bucket.name) == [Bytes("b0".utf8), Bytes("b2".utf8)])
  }

  @Test func `a member that lost its disk joins again under its name`() {
    var cluster = MembershipCluster(seed: 12, count: 3)
    _ = cluster.form()
    cluster.kill(1)
    cluster.nodes[1].saved = nil
    cluster.start(1)
    cluster.run(for: 3)
    #expect(cluster.nodes[0].membership?.view.unavailable == [cluster.nodes[1].member.id])
    guard case .done? = cluster.join(1) else {
      Issue.record("\(cluster.logs)")
      return
    }
    let isWhole = cluster.run(for: 10) { $0.isSettled(3) }
    #expect(isWhole)
  }

  @Test func `a claimant that lost its disk is marked down and joins again`() {
    var cluster = MembershipCluster(seed: 14, count: 4)
    _ = cluster.form()
    cluster.kill(0)
    cluster.nodes[0].saved = nil
    cluster.start(0)
    guard case .refused(let text)? = cluster.join(0, to: 1) else {
      Issue.record("\(cluster.logs)")
      return
    }
    #expect(text.contains("ring-admin down n0@host"))
    cluster.run(for: 4)
    let reply = cluster.ask(2, .down("n0@host"))
    #expect(reply == .done("Success: 'n0@host' marked as down"))
    cluster.run(for: 2)
    guard case .done? = cluster.join(0, to: 1) else {
      Issue.record("\(cluster.logs)")
      return
    }
    let isWhole = cluster.run(for: 10) { $0.isSettled(4) }
    #expect(isWhole)
  }

  @Test func `a member that moved is found at its new endpoint`() {
    var cluster = MembershipCluster(seed: 13, count: 3)
    _ = cluster.form()
    cluster.kill(2)
    cluster.nodes[2].member.endpoint.port = 9999
    cluster.start(2)
    let id = cluster.nodes[2].member.id
    let isKnown = cluster.run(for: 10) { cluster in
      cluster.running.allSatisfy { $0.view.member(id)?.endpoint.port == 9999 }
    }
    #expect(isKnown)
  }
}
