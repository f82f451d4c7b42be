import KVBase
import KVCluster
import KVModel
import Testing

/// Random clusters under random faults: whatever happened, once it is over they agree.
@Suite struct MembershipSeedsTests {
  @Test(arguments: 0..<8) func `clusters agree after faults`(block: Int) {
    for seed in block * 25..<(block + 1) * 25 { Self.run(seed: UInt64(seed)) }
  }

  static func run(seed: UInt64) {
    var random = SeededRandom(seed: seed ^ 0xFA17)
    let count = 3 + random.below(5)
    var cluster = MembershipCluster(
      seed: seed, count: count, ringSize: [8, 16, 64][random.below(3)])
    guard cluster.form() else {
      Issue.record("seed \(seed): not formed\n\(cluster.logs.suffix(30).joined(separator: "\n"))")
      return
    }
    cluster.lossProbability = [0, 0.02, 0.2][random.below(3)]
    var gone = 0
    for _ in 0..<6 {
      fault(&cluster, &random, &gone)
      cluster.run(for: Double(random.below(3000)) / 1000)
    }
    cluster.cut = []
    cluster.lossProbability = 0
    for index in cluster.nodes.indices where cluster.nodes[index].membership == nil {
      cluster.start(index)
    }
    let isSettled = cluster.run(for: 120) { $0.isSettled(count - gone) }
    if !isSettled {
      let views = cluster.running.map { member in
        let view = member.view
        return "\(view.version) \(view.unavailable.count) \(view.transfers.count) "
          + view.members.map { "\($0.name) \($0.status)" }.joined(separator: ", ")
      }
      let lines = views + cluster.logs.suffix(40)
      Issue.record("seed \(seed): not settled\n\(lines.joined(separator: "\n"))")
    }
  }

  static func fault(
    _ cluster: inout MembershipCluster, _ random: inout SeededRandom, _ gone: inout Int
  ) {
    let index = random.below(cluster.nodes.count)
    guard !cluster.nodes[index].hasDeparted else { return }
    let isUp = cluster.nodes[index].membership != nil
    switch random.below(7) {
    case 0 where isUp: cluster.kill(index)
    case 0: cluster.start(index)
    case 1: cluster.isolate([index])
    case 2: cluster.cut = []
    case 3:
      // One direction of one link.
      let other = random.below(cluster.nodes.count)
      cluster.cut.insert([index, other])
    case 4:
      var values = BucketProperties()
      values.nVal = 1 + random.below(5)
      let bucket = BucketID(name: [UInt8(random.below(3))])
      cluster.step(index, .setProperties(bucket, random.below(3) == 0 ? nil : values))
    case 5 where gone == 0:
      guard case .done? = cluster.ask(0, .leave(cluster.name(index))) else { return }
      guard case .done? = cluster.commit() else {
        _ = cluster.ask(0, .clear)
        return
      }
      gone += 1
    default: _ = cluster.ask(index, .down(cluster.name(random.below(cluster.nodes.count))))
    }
  }
}
