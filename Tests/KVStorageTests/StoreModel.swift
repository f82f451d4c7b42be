import KVBase
import KVStorage

/// The obvious store: a sorted dictionary.
struct StoreModel {
  private(set) var entries: [Bytes: (value: Bytes, head: Int)] = [:]

  var sorted: [Entry] {
    entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }
      .map { Entry(key: $0.key, value: $0.value.value, headByteCount: $0.value.head) }
  }

  mutating func apply(_ operations: [ModelOperation]) {
    for operation in operations {
      switch operation {
      case .put(let key, let value, let head): entries[key] = (value, head)
      case .delete(let key): entries[key] = nil
      case .deleteRange(let lower, let upper):
        entries = entries.filter { key, _ in
          key.lexicographicallyPrecedes(lower) || !key.lexicographicallyPrecedes(upper)
        }
      }
    }
  }

  func range(_ lower: Bytes, _ upper: Bytes?) -> [Entry] {
    sorted.filter { entry in
      !entry.key.lexicographicallyPrecedes(lower)
        && (upper.map { entry.key.lexicographicallyPrecedes($0) } ?? true)
    }
  }
}

enum ModelOperation {
  case put(Bytes, Bytes, Int)
  case delete(Bytes)
  case deleteRange(Bytes, Bytes)
}

extension WriteBatch {
  init(_ operations: [ModelOperation]) {
    self.init()
    for operation in operations {
      switch operation {
      case .put(let key, let value, let head): put(key, value, headByteCount: head)
      case .delete(let key): delete(key)
      case .deleteRange(let lower, let upper): deleteRange(lower, upper)
      }
    }
  }
}

/// Generates operations on a small set of keys of every shape.
struct OperationGenerator {
  var random: SeededRandom
  var keyCount = 200

  mutating func key() -> Bytes {
    let index = random.below(keyCount)
    switch index % 4 {
    case 0: return Bytes("key/\(index)".utf8)
    case 1: return Bytes("key/long/prefix/shared/by/many/\(index)".utf8)
    case 2: return Bytes([UInt8(index & 0xFF), 0, 0xFF])
    default: return Bytes(repeating: 0x61, count: index % 40)
    }
  }

  mutating func value() -> Bytes {
    let size = random.chance(0.05) ? random.below(9000) : random.below(120)
    if random.chance(0.5) { return Bytes(repeating: UInt8(random.below(256)), count: size) }
    return (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  mutating func operation() -> ModelOperation {
    if random.chance(0.02) {
      let (a, b) = (key(), key())
      if a != b { return a.lexicographicallyPrecedes(b) ? .deleteRange(a, b) : .deleteRange(b, a) }
    }
    if random.chance(0.25) { return .delete(key()) }
    let value = value()
    return .put(key(), value, random.below(value.count + 1))
  }

  mutating func batch() -> [ModelOperation] {
    (0...random.below(4)).map { _ in operation() }
  }
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

func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }
