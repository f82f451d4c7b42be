import KVSimulator
import Testing

/// Whole clusters under faults, from seeds that are the same every time.
///
/// The nightly size is
/// `kvsim run --seeds 1..500`.
@Suite struct FixedSeedTests {
  static let seedsPerWorkload: UInt64 = 3

  @Test(arguments: Workload.allCases)
  func `a cluster keeps its promises through faults`(_ workload: Workload) {
    for seed in 1...Self.seedsPerWorkload {
      var options = Simulation.Options()
      options.workload = workload
      var simulation = Simulation(seed: seed, options: options)
      let report = simulation.run()
      expectClean(report)
      #expect(report.requestCount > 0)
    }
  }

  @Test func `a seed gives the same run again, and another seed another`() {
    func digest(_ seed: UInt64) -> UInt64 {
      var simulation = Simulation(seed: seed)
      return simulation.run().digest
    }
    #expect(digest(5) == digest(5))
    #expect(digest(5) != digest(6))
  }
}

/// Records a failed run with the command that repeats it.
func expectClean(_ report: RunReport) {
  guard let failure = report.failure else { return }
  Issue.record(
    """
    seed \(report.seed): \(failure.checker.rawValue): \(failure.explanation)
    kvsim run --seeds \(report.seed)..\(report.seed) --workload \(report.workload.rawValue) --trace
    """)
}
