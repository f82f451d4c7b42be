/// The names of all probes, so that a report can tell which were never hit.
public enum KnownProbes {
  /// What shards report; a test compares these with the sources.
  public static let shards = [
    "anti-entropy given up",
    "anti-entropy refused",
    "anti-entropy repair of another vnode",
    "anti-entropy repair of the own vnode",
    "anti-entropy timed out",
    "anti-entropy unresolved",
    "batch forwarded during transfer",
    "clocks trimmed",
    "consensus decided after lost rounds",
    "consensus message of another cluster",
    "consensus read wrote back",
    "consensus round timed out",
    "damage not fetched yet",
    "damage repaired",
    "dropped objects removed",
    "duplicate forward dropped",
    "epoch bump",
    "forward target lost",
    "handed off objects removed",
    "handoff comparison found differences",
    "handoff failed",
    "handoff given up",
    "handoff held back by its rate",
    "handoff removal skipped",
    "handoff resumed",
    "hash trees built",
    "hash trees restored",
    "hedged read",
    "hint stored",
    "hints removed without sending them",
    "listing refused by a former owner",
    "listing taken over after a refusal",
    "listing taken over after silence",
    "lost seat made anew",
    "message unknown to its receiver held back",
    "put sent again or to a fallback",
    "query refused by a former owner",
    "query taken over after a refusal",
    "query taken over after silence",
    "read repair",
    "reap deferred",
    "resumed after a full disk",
    "round of a void seat refused",
    "seat given to the owner",
    "seat lost on its way",
    "seat taken over",
    "tombstone repaired",
    "tombstones reaped",
    "trim waited for reads",
    "write forwarded during transfer",
  ]

  /// What the simulator itself counts.
  static let simulator =
    [
      "sim: background work in a store",
      "sim: damage found by a scrub",
      "sim: damage found by a store",
      "sim: flush failed on a full disk",
      "sim: journal replayed",
      "sim: key query held against settled keys",
      "sim: linearizability undecided",
      "sim: listing held against settled keys",
      "sim: member marked down",
      "sim: message to an older release",
      "sim: prescription released",
      "sim: query held against settled keys",
      "sim: race with an unknown outcome",
      "sim: race without a winner",
      "sim: race won",
      "sim: read held against a quorum",
      "sim: rejoin without data",
      "sim: release upgraded",
      "sim: rot without damage",
      "sim: siblings read",
      "sim: start put off by a full disk",
      "sim: torn journal recovered",
      "sim: transfer finished",
      "sim: winner never told",
      "sim: winner told",
    ] + FaultKind.allCases.map { "sim: fault \($0)" }
    + Lapse.allCases.map { "sim: lapse \($0)" }
    + RarePath.allCases.map { "sim: rare path \($0)" }
    + MembershipScript.Change.allCases.flatMap {
      ["sim: \($0) during the storm", "sim: \($0) finished"]
    }

  /// All names, sorted.
  public static let names = (shards + simulator).sorted()
}
