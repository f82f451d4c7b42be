import KVBase
import KVCluster
import KVModel
import KVNode

/// One run: a cluster is formed, clients work while faults happen, the faults end, and what is left
/// is held against what the cluster had vouched for.
///
/// Everything follows from the seed and the workload; two runs give the same ``RunReport``.
public struct Simulation {
  /// What a run may be told besides its seed.
  public struct Options: Sendable {
    /// What the clients do; nil for one chosen by the seed.
    public var workload: Workload?
    /// How long the clients work, in virtual seconds; nil for a time chosen by the seed.
    public var seconds: Int?
    /// The most requests that clients send.
    public var requestLimit = 2_000
    /// The nodes of the cluster; nil for as many as the seed says, as for all that follows.
    public var nodes: Int?
    /// The clients.
    public var clients: Int?
    /// The keys of the bucket that keeps siblings.
    public var keys: Int?
    /// The kinds of faults that occur.
    public var faults: [FaultKind]?
    /// The rare paths that are turned on.
    public var rarePaths: [RarePath]?
    /// The rounds of the workload ``Workload/releases``.
    public var rounds = 10

    /// A run as the seed would have it.
    public init() {}
  }

  /// The run's seed.
  public let seed: UInt64
  /// What its clients do.
  public let workload: Workload
  let options: Options
  let settings: RunSettings
  var world: World
  var random: SeededRandom
  var faultRandom: SeededRandom
  var clients: [Client] = []
  var history: History
  var propertyHistory = PropertyHistory()
  var registers = RegisterHistory()
  var releases: ReleaseRounds
  var types = TypeHistory()
  var pending: [RequestID: PendingRequest] = [:]
  /// The simulation's own requests that have been answered and not looked at.
  var finished: [RequestID: PendingRequest] = [:]
  var adminReplies: [RequestID: AdminReply] = [:]
  var lostCommands: Set<RequestID> = []
  var commands: Set<RequestID> = []
  /// Requests that have had their final reply.
  var answered: Set<RequestID> = []
  /// Of those, requests that a client gave up and that may still be answered.
  var cancelled: Set<RequestID> = []
  var requestCount = 0
  /// True while clients may send.
  var isOpen = false
  /// True while faults may begin.
  var isStormy = false
  /// True when partitions have moved since the clients began.
  var hasMoved = false
  /// True when the keys that are never changed have been written everywhere.
  var hasSettled = false
  /// True when a member has gone for good, or has joined again with an empty disk: until the replicas
  /// that were there are repaired, a listing misses keys.
  var hasLostReplicas = false
  var membership = MembershipScript()
  /// The node whose disk has failed, or may fail.
  var diskLoser: Int?
  /// True once a table has been damaged: then some reads may fail until it is repaired.
  var isRotten = false
  /// The nodes that are members, by position.
  var members: [Int] = []

  /// Prepares the run of `seed`; each line of the trace goes to `trace`, when given.
  public init(seed: UInt64, options: Options = Options(), trace: ((String) -> Void)? = nil) {
    self.seed = seed
    self.options = options
    var random = SeededRandom(seed: StableHash.mix(seed))
    let drawn = Workload.draw(&random)
    workload = options.workload ?? drawn
    settings = RunSettings(workload: workload, options: options, random: &random)
    world = World(settings: settings, random: &random, sink: trace)
    faultRandom = random.fork()
    history = History(keys: Self.keys(settings))
    releases = ReleaseRounds(count: options.rounds)
    for _ in 0..<settings.clientCount { clients.append(Client(random: random.fork())) }
    self.random = random
  }

  /// Runs to the end, or to the first failure.
  public mutating func run() -> RunReport {
    var failure: SimulationFailure?
    do throws(SimulationFailure) {
      try formCluster()
      try configureBuckets()
      try writeColdKeys()
      try settleKeys()
      try storm()
      try calm()
      if workload == .entropy { try checkEntropy() }
      try checkEverything()
    } catch {
      failure = error
    }
    return report(failure)
  }

  private func report(_ failure: SimulationFailure?) -> RunReport {
    var report = RunReport(seed: seed, workload: workload)
    report.virtualNanoseconds = world.time
    report.eventCount = world.eventCount
    report.acknowledgedCount = history.count(.acknowledged)
    report.unknownCount = history.count(.unknown)
    report.requestCount = requestCount
    report.size = RunSize(
      nodes: settings.nodeCount, clients: settings.clientCount, keys: settings.keyCount,
      seconds: Int(settings.duration / Self.second), requests: requestCount,
      faults: settings.faults.kinds, rarePaths: settings.rarePaths)
    report.digest = world.trace.digest
    report.probes = world.probes
    report.failure = failure
    return report
  }

  // MARK: Time

  /// Lets the world go on until a time; replies and planned tasks are seen to as they come.
  mutating func advance(to limit: UInt64) throws(SimulationFailure) {
    while world.step(until: limit) {
      if let failure = world.failure { throw failure }
      while !world.observations.isEmpty {
        let batch = world.observations
        world.observations.removeAll()
        for observation in batch { try observe(observation) }
      }
      if let failure = world.failure { throw failure }
    }
  }

  /// Lets the world go on for up to `duration`, until the condition holds; false when it never did.
  mutating func wait(
    upTo duration: UInt64, every slice: UInt64 = 100_000_000,
    until condition: (inout Simulation) -> Bool
  ) throws(SimulationFailure) -> Bool {
    let end = world.time + duration
    while !condition(&self) {
      guard world.time < end else { return false }
      try advance(to: min(end, world.time + slice))
    }
    return true
  }

  private mutating func observe(_ observation: Observation) throws(SimulationFailure) {
    switch observation {
    case .reply(let id, let reply, let isFinal):
      try receive(reply, to: id, isFinal: isFinal)
    case .adminReply(let id, let reply):
      guard commands.contains(id), adminReplies[id] == nil else {
        throw SimulationFailure(
          checker: .replies, explanation: "the command \(id.rawValue) is answered twice")
      }
      adminReplies[id] = reply
    case .lost(let id):
      if commands.contains(id) { lostCommands.insert(id) } else { lose(id) }
    case .due(let task): try perform(task)
    case .damaged(let node): replaceDamagedDisk(node)
    case .stopped(let node, let wasAsked, let occupiedCount):
      try observeStop(of: node, wasAsked: wasAsked, occupiedCount: occupiedCount)
    }
  }

  private mutating func perform(_ task: PlannedTask) throws(SimulationFailure) {
    switch task {
    case .client(let client): sendNext(client)
    case .deadline(let id): try checkAnswered(id)
    case .impatience(let id): cancel(id)
    case .fault: strike()
    case .recovery(let recovery): recover(recovery)
    case .membership: try continueMembership()
    case .transferCheck(let check): world.check(check)
    case .verdict: askForVerdict()
    case .rejoin(let node): rejoin(node)
    }
  }
}
