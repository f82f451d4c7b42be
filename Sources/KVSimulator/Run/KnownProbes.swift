/// The names of all probes, so that a report can tell which were never hit.
public enum KnownProbes {
  /// What shards report; a test compares these with the sources.
  public static let shards = [
    "duplicate forward dropped", "epoch bump", "forward target lost", "handed off objects removed",
    "handoff comparison found differences", "handoff failed", "handoff given up",
    "handoff held back by its rate", "handoff removal skipped", "handoff resumed", "hint stored",
    "hints removed without sending them", "message unknown to its receiver held back",
    "put sent again or to a fallback", "read repair", "write forwarded during transfer",
  ]

  /// What the simulator itself counts.
  static let simulator =
    [
      "sim: background work in a store", "sim: journal replayed", "sim: member marked down",
      "sim: message to an older release", "sim: read held against a quorum",
      "sim: release upgraded", "sim: siblings read", "sim: torn journal recovered",
      "sim: transfer finished",
    ] + FaultKind.allCases.map { "sim: fault \($0)" }
    + MembershipScript.Change.allCases.flatMap {
      ["sim: \($0) during the storm", "sim: \($0) finished"]
    }

  /// All names, sorted.
  public static let names = (shards + simulator).sorted()
}
