import Foundation
import KVBase
import KVStorage

/// How much the tests of this target do: `SPINEKV_LONG=1` makes them run far more seeds.
enum Effort {
  static let isLong = ProcessInfo.processInfo.environment["SPINEKV_LONG"] == "1"
  /// How many times more is done in the long form.
  static let factor = isLong ? 20 : 1

  /// The seeds of a test that has `count` in the short form.
  static func seeds(_ count: Int) -> ClosedRange<UInt64> { 1...UInt64(count * factor) }
}

extension StoreOptions {
  /// Limits so small that a few hundred writes reach every level.
  static var tiny: StoreOptions {
    var options = StoreOptions()
    options.memtableByteLimit = 4 << 10
    options.journalBufferByteLimit = 1 << 10
    options.separationByteCount = 64
    options.segmentByteLimit = 4 << 10
    options.replayByteLimit = 16 << 10
    options.spaceAmplificationLimit = 1.2
    options.blockByteCount = 256
    options.tableByteLimit = 4 << 10
    options.levelBaseByteLimit = 8 << 10
    options.levelMultiplier = 2
    options.level0CompactionFileCount = 2
    options.level0StallFileCount = 4
    options.blockCacheByteLimit = 64 << 10
    options.manifestByteLimit = 2 << 10
    return options
  }

  /// Options drawn at random, all small.
  static func random(_ random: inout SeededRandom) -> StoreOptions {
    var options = StoreOptions.tiny
    options.memtableByteLimit = 512 << random.below(6)
    options.immutableMemtableLimit = 1 + random.below(3)
    options.journalBufferByteLimit = 64 << random.below(8)
    options.separationByteCount = random.chance(0.2) ? .max : 1 << random.below(9)
    options.segmentByteLimit = 1 << (9 + random.below(6))
    options.replayByteLimit = 1 << (10 + random.below(7))
    options.spaceAmplificationLimit = 1.05 + Double(random.below(20)) / 10
    options.blockByteCount = 64 << random.below(7)
    options.restartInterval = 1 + random.below(20)
    options.indexPartByteCount = 32 << random.below(6)
    options.filterBitsPerKey = random.below(13)
    options.compression = random.chance(0.5) ? .lz4 : .none
    options.blockCacheByteLimit = random.chance(0.3) ? 0 : 32 << 10
    options.tableByteLimit = 1 << (10 + random.below(5))
    options.levelBaseByteLimit = 2 << (10 + random.below(4))
    options.levelMultiplier = 2 + random.below(8)
    options.level0CompactionFileCount = 1 + random.below(4)
    options.level0StallFileCount = options.level0CompactionFileCount + random.below(6)
    options.manifestByteLimit = 1 << (9 + random.below(6))
    return options
  }
}
