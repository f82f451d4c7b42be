import KVBase
import KVNode

/// How often the shards of a run compare their vnodes.
struct EntropyTuning {
  /// How often a shard begins a comparison; nil for never.
  var interval: Duration?
  /// How long hash trees are used before they are built again.
  var treeLifetime = Duration.seconds(3600)
  /// The most comparisons a shard runs at once.
  var limit = 2

  /// No anti-entropy.
  init() {}

  /// Draws the settings of a run.
  init(workload: Workload, random: inout SeededRandom) {
    let pace = random.below(3)
    let isOn = random.chance(0.5)
    treeLifetime = .seconds([4, 10, 20][random.below(3)])
    limit = 1 + random.below(3)
    if workload == .entropy {
      interval = .milliseconds([20, 50, 100][pace])
    } else if isOn, !workload.isCrowded {
      interval = .milliseconds([500, 1_000, 3_000][pace])
    }
  }

  /// Gives a shard these settings.
  func apply(to configuration: inout ShardConfiguration) {
    configuration.entropyLimit = interval == nil ? 0 : limit
    configuration.entropyInterval = interval ?? configuration.entropyInterval
    configuration.treeLifetime = treeLifetime
  }
}
