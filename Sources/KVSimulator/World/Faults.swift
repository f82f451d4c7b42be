import KVBase

/// A kind of misfortune that a correct cluster must survive.
enum FaultKind: Int, CaseIterable {
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
  /// A connection breaks.
  case brokenConnection
  /// A wall clock jumps.
  case clockJump
  /// A process stands still and goes on later.
  case pause
  /// A disk is slow for a while.
  case slowDisk
  /// A flush fails, and the process is started again.
  case diskError
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

  init(random: inout SeededRandom) {
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
    for kind in FaultKind.allCases where random.chance(share) { kinds.append(kind) }
  }
}
