/// How one run went.
public struct RunReport: Sendable {
  /// The run's seed.
  public var seed: UInt64
  /// What its clients did.
  public var workload: Workload
  /// How much virtual time went by.
  public var virtualNanoseconds: UInt64 = 0
  /// The events that happened.
  public var eventCount = 0
  /// The requests that clients sent.
  public var requestCount = 0
  /// The writes that were acknowledged.
  public var acknowledgedCount = 0
  /// The writes whose outcome the client never learnt.
  public var unknownCount = 0
  /// What the run was made of.
  public var size = RunSize()
  /// The fold of everything that happened: equal in every run of the same seed.
  public var digest: UInt64 = 0
  /// How often rare paths were taken.
  public var probes = ProbeCounts()
  /// What went wrong first, if anything did.
  public var failure: SimulationFailure?

  /// A report of nothing yet.
  public init(seed: UInt64, workload: Workload) {
    self.seed = seed
    self.workload = workload
  }
}
