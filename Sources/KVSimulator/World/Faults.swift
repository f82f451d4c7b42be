import KVBase

/// A kind of misfortune that a correct cluster must survive.
public enum FaultKind: String, CaseIterable, Sendable {
  /// The process dies; what it wrote to files stays, what it held in memory is gone.
  case kill
  /// The machine loses power: unsynced data and names are lost, kept or torn.
  case powerLoss
  /// All machines lose power at the same time.
  case blackout
  /// An orderly stop, and a start some time later.
  case restart
  /// A node, or a half of the nodes, cannot be reached and reaches nobody.
  case partition
  /// Messages get through in one direction only.
  case oneWayPartition
  /// A link loses many of its messages.
  case lossyLink
  /// Messages of a link take up to a hundred times as long, and datagrams overtake each other.
  case slowLink
  /// A link of datagrams delivers most of them twice, the copy much later.
  case duplication
  /// A connection breaks.
  case brokenConnection
  /// A wall clock jumps, forwards or backwards.
  case clockJump
  /// A process stands still and goes on later.
  case pause
  /// A process takes milliseconds for each thing it does.
  case slowNode
  /// A disk is slow for a while.
  case slowDisk
  /// A flush fails, and the process is started again.
  case diskError
  /// A disk has no space left, and later has again.
  case fullDisk
  /// Bits of a node's files flip; what turns out to be damaged is replaced by an empty disk.
  case bitRot
  /// A machine comes back with an empty disk.
  case lostDisk

  /// True when a node forgets what it had made durable; one node of a run at most.
  var losesData: Bool { self == .bitRot || self == .lostDisk }
}

/// Which faults occur in a run and how often.
struct FaultSettings {
  /// The kinds that occur.
  var kinds: [FaultKind]
  /// The usual time between two faults, in nanoseconds.
  var interval: UInt64
  /// The most time a fault lasts.
  var longest: UInt64
  /// Up to this far the wall clocks are off, in microseconds.
  var clockSkew: Int

  init(workload: Workload, random: inout SeededRandom) {
    interval = [500_000_000, 2_000_000_000, 5_000_000_000][random.below(3)]
    longest = [1_000_000_000, 4_000_000_000, 12_000_000_000][random.below(3)]
    clockSkew = [1_000, 500_000, 3_600_000_000][random.below(3)]
    // A tenth of the runs has no faults: there, everything must simply work.
    guard random.chance(0.9) else {
      kinds = []
      return
    }
    kinds = []
    let share = [0.25, 0.5, 1.0][random.below(3)]
    for kind in FaultKind.allCases where random.chance(kind.losesData ? 0.7 : share) {
      if workload.losesDisks || !kind.losesData { kinds.append(kind) }
    }
    if workload == .releases {
      let always: [FaultKind] = [.kill, .powerLoss, .partition, .clockJump]
      kinds = FaultKind.allCases.filter { always.contains($0) || kinds.contains($0) }
    }
    // Half of these runs keep their disks, and may change members instead.
    if workload == .conditional, interval < 2_000_000_000 || longest > 4_000_000_000 {
      kinds.removeAll(where: \.losesData)
    }
  }
}
