import KVSimulator
import Testing

/// The short form of `kvsim releases`: many clients race for prescriptions under faults.
@Suite struct ReleaseTests {
  @Test(arguments: [UInt64(101), 102])
  func `of fifty clients one issues and one releases each prescription`(seed: UInt64) {
    var options = Simulation.Options()
    options.workload = .releases
    options.clients = 50
    options.rounds = 8
    var simulation = Simulation(seed: seed, options: options)
    let report = simulation.run()
    expectClean(report)
    func count(_ name: String) -> Int {
      report.probes.rows.first { $0.name == "sim: \(name)" }?.count ?? 0
    }
    #expect(count("prescription released") == 8)
    #expect(count("winner told") + count("winner never told") == 16)
  }
}
