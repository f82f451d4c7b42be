import KVBase
import KVStorage
import Testing

@testable import KVSimulator

/// What a run is told besides its seed counts instead of what the seed draws, and nothing else does.
@Suite struct OptionsTests {
  private func settings(_ options: Simulation.Options, seed: UInt64 = 3) -> RunSettings {
    var random = SeededRandom(seed: seed)
    return RunSettings(workload: .writes, options: options, random: &random)
  }

  @Test func `options replace what the seed draws`() {
    var options = Simulation.Options()
    options.nodes = 9
    options.clients = 7
    options.keys = 5
    options.seconds = 4
    options.faults = [.kill]
    options.rarePaths = [.eagerBackground, .fewRequests]
    let settings = settings(options)
    #expect(settings.nodeCount == 9)
    #expect(settings.shardCounts.count == 9)
    #expect(settings.ringSize >= 27)
    #expect(settings.clientCount == 7)
    #expect(settings.keyCount == 5)
    #expect(settings.duration == 4_000_000_000)
    #expect(settings.faults.kinds == [.kill])
    #expect(settings.backgroundInterval == 10_000_000)
    #expect(settings.shard.requestLimit == 2)
  }

  @Test func `an option leaves all other draws alone`() {
    var options = Simulation.Options()
    options.faults = []
    let (some, drawn) = (settings(options), settings(Simulation.Options()))
    #expect(some.ringSize == drawn.ringSize)
    #expect(some.valueByteLimit == drawn.valueByteLimit)
    #expect(some.network == drawn.network)
    #expect(some.rarePaths == drawn.rarePaths)
  }

  @Test func `only runs that can survive it lose disks, and crowds are large`() {
    for seed in 1...200 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      let writes = RunSettings(workload: .writes, options: .init(), random: &random)
      let losses = writes.faults.kinds.filter { $0.losesData }
      #expect(losses.isEmpty)
      let crowd = RunSettings(workload: .crowd, options: .init(), random: &random)
      #expect((7...50).contains(crowd.nodeCount))
      #expect(crowd.spareCount > 0)
    }
  }

  @Test func `every rare path is a setting that stores and shards accept`() throws {
    for path in RarePath.allCases {
      var options = Simulation.Options()
      options.workload = .mixed
      options.rarePaths = [path]
      options.seconds = 2
      var simulation = Simulation(seed: 11, options: options)
      expectClean(simulation.run())
    }
  }
}
