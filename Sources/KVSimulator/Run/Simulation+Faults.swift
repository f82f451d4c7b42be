import KVBase
import KVNode

/// What goes wrong during a run, and how it ends.
extension Simulation {
  /// Lets the clients work while faults happen.
  mutating func storm() throws(SimulationFailure) {
    isOpen = true
    isStormy = true
    world.network.isFaulty = !settings.faults.kinds.isEmpty
    if workload != .releases {
      for client in clients.indices {
        world.plan(.client(client), after: UInt64(random.below(Int(settings.thinkTime))))
      }
    }
    planFault()
    for path in settings.rarePaths { world.probes.count("sim: rare path \(path)") }
    if changesMembership { world.plan(.membership, after: Self.second) }
    if workload == .releases {
      try raceInRounds()
    } else {
      try advance(to: world.time + settings.duration)
    }
    isOpen = false
    isStormy = false
  }

  private mutating func planFault() {
    guard !settings.faults.kinds.isEmpty else { return }
    world.plan(.fault, after: UInt64(faultRandom.below(2 * Int(settings.faults.interval))))
  }

  /// The next fault occurs.
  mutating func strike() {
    guard isStormy else { return }
    planFault()
    let running = world.nodes.indices.filter { world.nodes[$0].isRunning }
    guard !running.isEmpty else { return }
    let node = running[faultRandom.below(running.count)]
    let kind = settings.faults.kinds[faultRandom.below(settings.faults.kinds.count)]
    if kind.losesData { return destroy(kind) }
    world.probes.count("sim: fault \(kind)")
    switch kind {
    case .kill: crash(node, losesPower: false)
    case .powerLoss: crash(node, losesPower: true)
    case .blackout: for victim in running { crash(victim, losesPower: true) }
    case .restart: stop(node)
    case .partition: cut(isOneWay: false, around: node)
    case .oneWayPartition: cut(isOneWay: true, around: node)
    case .lossyLink, .slowLink, .duplication: loosen(node, kind)
    case .brokenConnection: breakConnection(of: node)
    case .clockJump:
      let skew = settings.faults.clockSkew
      let offset = Int64(faultRandom.below(2 * skew + 1) - skew)
      world.nodes[node].clock.wallOffsetMicroseconds = offset
    case .pause: world.nodes[node].pausedUntil = world.time + length()
    case .slowNode: world.nodes[node].slowUntil = world.time + length()
    case .slowDisk: world.nodes[node].diskSlowUntil = world.time + length()
    case .diskError:
      world.nodes[node].nextSyncFails = true
      world.plan(.recovery(.replaceProcess(node: node)), after: length())
    case .fullDisk:
      world.fillDisk(of: node, leaving: faultRandom.below(2_000))
      world.plan(.recovery(.freeDisk(node: node)), after: length())
    case .bitRot, .lostDisk: break
    }
  }

  private mutating func length() -> UInt64 {
    1_000_000 + UInt64(faultRandom.below(Int(settings.faults.longest)))
  }

  private mutating func crash(_ node: Int, losesPower: Bool) {
    world.crash(node, losesPower: losesPower)
    world.plan(.recovery(.boot(node: node)), after: length())
  }

  private mutating func stop(_ node: Int) {
    world.stop(node)
    let patience = settings.shard.requestTimeout.wholeNanoseconds + settings.faults.longest
    world.plan(
      .recovery(.endStop(node: node, incarnation: world.nodes[node].incarnation)),
      after: patience + 10 * Self.second)
  }

  private mutating func cut(isOneWay: Bool, around node: Int) {
    let nodes = world.nodes.indices
    var group: Set<Int> = [node]
    if faultRandom.chance(0.4) {
      for other in nodes where faultRandom.chance(0.5) { group.insert(other) }
    }
    var links: [(from: Int, to: Int)] = []
    let outward = faultRandom.chance(0.5)
    for a in nodes {
      for b in nodes where group.contains(a) && !group.contains(b) {
        if !isOneWay || outward { links.append((from: a, to: b)) }
        if !isOneWay || !outward { links.append((from: b, to: a)) }
      }
    }
    for link in links { world.network.setBlocked(true, from: link.from, to: link.to) }
    world.plan(.recovery(.links(links)), after: length())
  }

  private mutating func loosen(_ node: Int, _ kind: FaultKind) {
    let peer = faultRandom.below(world.nodes.count)
    guard peer != node else { return }
    let chance = 0.3 + Double(faultRandom.below(6)) / 10
    switch kind {
    case .slowLink: world.network.setSlow(true, from: node, to: peer)
    case .duplication: world.network.setDuplication(chance, from: node, to: peer)
    default: world.network.setLoss(chance, from: node, to: peer)
    }
    world.plan(.recovery(.links([(from: node, to: peer)])), after: length())
  }

  private mutating func breakConnection(of node: Int) {
    let peer = faultRandom.below(world.nodes.count)
    guard peer != node else { return }
    world.network.breakConnection(node, peer)
    world.network.breakConnection(peer, node)
    world.noticeDisconnection(node, peer)
  }

  /// A fault ends.
  mutating func recover(_ recovery: Recovery) {
    switch recovery {
    case .links(let links):
      for link in links { world.network.heal(from: link.from, to: link.to) }
    case .boot(let node): world.boot(node)
    case .replaceProcess(let node):
      world.nodes[node].nextSyncFails = false
      guard world.nodes[node].hasSyncFailed else { return }
      crash(node, losesPower: faultRandom.chance(0.5))
    case .freeDisk(let node): world.freeDisk(of: node)
    case .endStop(let node, let incarnation):
      guard world.nodes[node].incarnation == incarnation, world.nodes[node].state == .stopping
      else { return }
      world.fail(.replies, "n\(node) was asked to stop and does not")
    }
  }

  /// All shards of a node have finished.
  mutating func observeStop(
    of node: Int, wasAsked: Bool, occupiedCount: Int
  ) throws(SimulationFailure) {
    guard wasAsked else {
      throw SimulationFailure(
        checker: .world, explanation: "n\(node) stopped although nobody asked it to")
    }
    let hasLeft = membership.leaving == node && membership.forgottenSince != nil
    guard hasLeft, occupiedCount == 0 || membership.isRetired else {
      world.plan(.recovery(.boot(node: node)), after: isStormy ? length() : 1_000_000)
      return
    }
    world.nodes[node].state = .departed
    members.removeAll { $0 == node }
  }
}
