import KVBase
import KVCluster
import KVNode
import KVStorage

/// Everything about a run that its seed decides before the first event: sizes, time-outs, faults.
struct RunSettings {
  /// The nodes that form the cluster at first.
  var nodeCount: Int
  /// The nodes that may join during the run.
  var spareCount: Int
  /// The partitions of the ring.
  var ringSize: Int
  /// The shards of each node, spares included.
  var shardCounts: [Int]
  /// How the links behave.
  var network = Network.Settings()
  /// The most nanoseconds that making writes durable takes, usually.
  var diskDelay: UInt64
  /// The kinds of faults that occur, and how often.
  var faults: FaultSettings
  /// How every store is configured.
  var store = StoreOptions()
  /// The number of clients.
  var clientCount: Int
  /// The most nanoseconds a client waits between two requests.
  var thinkTime: UInt64
  /// How long the clients are at work, in nanoseconds.
  var duration: UInt64
  /// The number of keys per bucket.
  var keyCount: Int
  /// The number of keys that are written once, before the faults.
  var coldKeyCount = 0
  /// The replicas of each object.
  var nVal: Int
  /// True when some processes are of an older release at first.
  var isMixed = false
  /// The locations of the nodes; empty for none.
  var locationCount = 0
  /// The most bytes of a value.
  var valueByteLimit: Int
  /// Time-outs and limits of the shards.
  var shard: ShardTuning
  /// The most nanoseconds between two pieces of background work in a store.
  var backgroundInterval: UInt64 = 400_000_000
  /// Settings that nobody would choose.
  var rarePaths: [RarePath]

  /// Draws the settings of a run; what `options` say counts instead of what was drawn.
  init(workload: Workload, options: Simulation.Options, random: inout SeededRandom) {
    let drawn = Self.drawNodeCount(workload, &random)
    nodeCount = options.nodes ?? drawn
    spareCount = workload.changesMembership ? 1 + random.below(2 + nodeCount / 8) : 0
    // Every node is to own something.
    ringSize = [8, 16, 32][random.below(3)]
    while ringSize < 3 * nodeCount { ringSize *= 2 }
    var shardRandom = random.fork()
    shardCounts = (0..<nodeCount + spareCount).map { _ in 1 + shardRandom.below(2) }
    diskDelay = [200_000, 2_000_000, 20_000_000][random.below(3)]
    clientCount = 1 + random.below(6)
    thinkTime = [20_000_000, 100_000_000, 400_000_000][random.below(3)]
    duration = UInt64(10 + random.below(20)) * 1_000_000_000
    keyCount = 1 + random.below(6)
    nVal = random.chance(0.7) ? 3 : 1 + random.below(5)
    valueByteLimit = random.chance(0.8) ? 200 : 8_000
    shard = ShardTuning(random: &random)
    faults = FaultSettings(workload: workload, random: &random)
    rarePaths = []
    network = Self.drawNetwork(&random)
    store = Self.drawStoreOptions(&random)
    shard.entropy = EntropyTuning(workload: workload, random: &random)
    if workload == .entropy { keyCount = 10 + random.below(60) }
    if workload == .conditional { clientCount = [5, 15, 50][random.below(3)] }
    if workload == .releases {
      clientCount = 50
      nVal = max(3, nVal)
    }
    if workload == .handoff { drawHandoff(&random) }
    if workload.changesMembership {
      isMixed = random.chance(0.3) && !workload.needsLatest
      // A cluster with locations refuses the first release.
      locationCount = !isMixed && random.chance(0.4) ? 2 + random.below(2) : 0
    }
    rarePaths = RarePath.draw(&random)
    apply(options)
  }

  /// Settings under which partitions move often, in many steps, and nothing else goes wrong in a
  /// third of the runs: there, what was forwarded must arrive.
  private mutating func drawHandoff(_ random: inout SeededRandom) {
    coldKeyCount = 20 + random.below(60)
    duration += 10_000_000_000
    shard.handoff.batchCount = 1 + random.below(3)
    shard.handoff.bytesPerSecond = random.chance(0.5) ? 4_000 : 0
    guard random.chance(0.35) else { return }
    faults.kinds = []
    network.isStream = true
    network.maximumDelay = 20_000_000
    (network.tailChance, network.lossChance, network.breakChance) = (0, 0, 0)
    diskDelay = 2_000_000
  }

  /// True when every message arrives, in order and soon.
  var isFlawless: Bool {
    faults.kinds.isEmpty && network.isStream && network.lossChance == 0 && network.breakChance == 0
      && network.tailChance == 0 && rarePaths.isEmpty
  }

  private mutating func apply(_ options: Simulation.Options) {
    clientCount = options.clients ?? clientCount
    keyCount = options.keys ?? keyCount
    duration = options.seconds.map { UInt64($0) * 1_000_000_000 } ?? duration
    faults.kinds = options.faults ?? faults.kinds
    rarePaths = options.rarePaths ?? rarePaths
    for path in rarePaths { path.apply(to: &self) }
  }

  private static func drawNodeCount(_ workload: Workload, _ random: inout SeededRandom) -> Int {
    let usual = random.chance(0.8) ? 3 + random.below(3) : 1 + random.below(6)
    // Smaller ones are likelier: what a cluster costs grows with its square.
    let crowd = 7 + min(random.below(44), random.below(44))
    return workload.isCrowded ? crowd : usual
  }

  private static func drawNetwork(_ random: inout SeededRandom) -> Network.Settings {
    var network = Network.Settings()
    network.isStream = random.chance(0.5)
    network.minimumDelay = 50_000
    network.maximumDelay = [500_000, 2_000_000, 20_000_000][random.below(3)]
    network.tailChance = random.chance(0.5) ? 0.01 : 0
    network.lossChance = random.chance(0.5) ? 0.02 : 0
    network.duplicateChance = random.chance(0.5) ? 0.05 : 0
    network.breakChance = random.chance(0.5) ? 0.001 : 0
    return network
  }

  private static func drawStoreOptions(_ random: inout SeededRandom) -> StoreOptions {
    var options = StoreOptions()
    options.memtableByteLimit = 1 << (11 + random.below(6))
    options.journalBufferByteLimit = 1 << (8 + random.below(8))
    options.blockByteCount = 1 << (7 + random.below(6))
    options.restartInterval = 1 + random.below(16)
    options.filterBitsPerKey = [0, 4, 10][random.below(3)]
    options.compression = random.chance(0.5) ? .lz4 : .none
    options.blockCacheByteLimit = random.chance(0.5) ? 0 : 1 << 16
    options.tableByteLimit = 1 << (11 + random.below(4))
    options.levelBaseByteLimit = 1 << (12 + random.below(4))
    options.levelMultiplier = 2 + random.below(8)
    options.level0CompactionFileCount = 2 + random.below(3)
    options.level0StallFileCount = 8
    options.manifestByteLimit = 1 << (9 + random.below(6))
    options.separationByteCount = options.blockByteCount
    options.segmentByteLimit = 2 * options.tableByteLimit
    options.replayByteLimit = 4 * options.memtableByteLimit
    options.spaceAmplificationLimit = 1.2
    return options
  }
}

/// The time-outs and limits that a run gives all its shards.
struct ShardTuning {
  var requestTimeout: Duration
  var inlineByteLimit: Int
  var probeInterval: Duration
  var gossipInterval: Duration
  var handoffInterval: Duration
  var handoff = HandoffLimits()
  var requestLimit: Int
  var siblingLimit = 100
  var deleteMode: DeleteMode
  var listPageLimit: Int
  /// How long a probe may go unanswered; nil for as long as the interval suggests.
  var probeTimeout: Duration?
  var entropy = EntropyTuning()

  init(random: inout SeededRandom) {
    requestTimeout = .milliseconds([800, 2_000, 6_000][random.below(3)])
    inlineByteLimit = random.chance(0.5) ? 16 << 10 : 256
    probeInterval = .milliseconds([200, 300, 600][random.below(3)])
    gossipInterval = .milliseconds([400, 1_000, 2_000][random.below(3)])
    handoffInterval = .milliseconds([300, 1_000, 2_000][random.below(3)])
    handoff.concurrency = 1 + random.below(3)
    requestLimit = random.chance(0.9) ? 10_000 : 3
    // Small enough that a partition of a few objects takes several batches and comparisons.
    handoff.batchCount = [1, 3, 1000][random.below(3)]
    handoff.windowCount = [1, 2, 16][random.below(3)]
    handoff.compareCount = [1, 4, 2000][random.below(3)]
    handoff.bytesPerSecond = random.chance(0.2) ? 2_000 : 0
    let delay = DeleteMode.delayed(.milliseconds([50, 500, 3_000][random.below(3)]))
    deleteMode = [delay, delay, .immediate, .keep][random.below(4)]
    listPageLimit = [1, 2, 5, 1_000][random.below(4)]
  }

  /// The configuration of one shard.
  func configuration(
    member: Member, shard: ShardIndex, ringSize: Int, seed: UInt64, startedCleanly: Bool
  ) -> ShardConfiguration {
    var configuration = ShardConfiguration(
      member: member, shard: shard, ringSize: ringSize, seed: seed, startedCleanly: startedCleanly)
    configuration.requestTimeout = requestTimeout
    configuration.inlineByteLimit = inlineByteLimit
    configuration.probeInterval = probeInterval
    configuration.probeTimeout = probeTimeout ?? probeInterval * 3 / 2
    configuration.suspicionTimeout = probeTimeout.map { $0 * 3 } ?? probeInterval * 4
    configuration.gossipInterval = gossipInterval
    configuration.handoffInterval = handoffInterval
    configuration.handoff = handoff
    configuration.requestLimit = requestLimit
    configuration.roundTimeout = probeInterval
    configuration.seatRecoveryDelay = probeInterval * 20
    configuration.siblingLimit = siblingLimit
    entropy.apply(to: &configuration)
    configuration.deleteMode = deleteMode
    configuration.listPageLimit = listPageLimit
    configuration.listPageTimeout = requestTimeout / 4
    return configuration
  }
}
