import ArgumentParser
import KVBase
import KVStorage

/// What writer and verifier agree on: which step writes what.
///
/// Everything a thread does follows from the seed, the round, its number and a counter, so the
/// verifier can work out what any step wrote without being told. Each thread has keys of its own.
struct Workload: ParsableArguments {
  @Option(help: "The seed of all choices.")
  var seed: UInt64 = 1

  @Option(help: "Threads that write.")
  var threads = 4

  @Option(help: "Keys per thread.")
  var keys = 3000

  /// One operation of a step.
  enum Operation {
    /// With an expiry some seconds after the round began.
    case put(key: Int, size: Int, life: UInt64?)
    case delete(key: Int)
    case deleteRange(Range<Int>)
  }

  /// One step of a thread: a batch, applied as a whole.
  struct Step {
    var operations: [Operation]
    var syncs: Bool
  }

  /// A life of the writer: the round's number and the second at which it began.
  struct Life {
    var round: Int
    var epoch: UInt64
  }

  /// The longest run of steps that a thread appends before it waits for one of them to be durable.
  static let maximumUnsynced = 4
  static let headByteCount = 16

  private func random(_ round: Int, _ thread: Int, _ number: Int) -> SeededRandom {
    let place = UInt64(round) << 40 ^ UInt64(thread) << 32 ^ UInt64(number)
    return SeededRandom(seed: StableHash.mix(seed) ^ StableHash.mix(place))
  }

  func step(round: Int, thread: Int, number: Int) -> Step {
    var random = random(round, thread, number)
    let operations = (0...random.below(3)).map { _ in operation(&random) }
    return Step(
      operations: operations,
      syncs: number % Workload.maximumUnsynced == 0 || random.chance(0.5))
  }

  private func operation(_ random: inout SeededRandom) -> Operation {
    let key = random.below(keys)
    switch random.below(200) {
    case 0: return .deleteRange(key..<min(keys, key + 1 + random.below(max(1, keys / 20))))
    case 1..<30: return .delete(key: key)
    default:
      let size =
        switch random.below(20) {
        case 0: random.below(100 << 10)
        case 1...4: random.below(8_000)
        default: random.below(200)
        }
      return .put(
        key: key, size: size, life: random.chance(0.05) ? 1 + UInt64(random.below(30)) : nil)
    }
  }

  // MARK: Keys and values

  func key(thread: Int, index: Int) -> Bytes {
    var writer = ByteWriter()
    writer.write(UInt8(thread))
    writer.write(raw: Bytes("key-".utf8))
    writer.write(fixed: UInt32(index))
    return writer.bytes
  }

  /// The thread and index of a key; nil for a foreign one.
  func place(_ key: Bytes) -> (thread: Int, index: Int)? {
    guard key.count == 9, Int(key[0]) < threads else { return nil }
    let index = key[5...].reduce(0) { $0 << 8 | Int($1) }
    return self.key(thread: Int(key[0]), index: index) == key ? (Int(key[0]), index) : nil
  }

  private func value(_ version: Version, key: Bytes, size: Int) -> Bytes {
    var writer = ByteWriter(capacity: size + 32)
    writer.write(fixed: UInt32(version.round))
    writer.write(fixed: UInt64(version.number))
    writer.write(fixed: UInt32(size))
    var random = SeededRandom(seed: StableHash.hash(key) ^ UInt64(version.number))
    var filled = 0
    // Half of it compresses.
    while filled < size {
      writer.write(fixed: filled % 128 < 64 ? random.next() : 0x6162_6364_6566_6768)
      filled += 8
    }
    writer.write(fixed: CRC32C.checksum(writer.bytes, continuing: CRC32C.checksum(key)))
    return writer.bytes
  }

  /// Which step wrote a value.
  struct Version: Hashable {
    var round: Int
    var number: Int
  }

  /// The version of a value, if the value is intact and belongs to the key.
  func version(of value: Bytes, key: Bytes) -> Version? {
    var reader = ByteReader(value)
    guard let round = try? reader.readFixed(UInt32.self),
      let number = try? reader.readFixed(UInt64.self), let size = try? reader.readFixed(UInt32.self)
    else { return nil }
    let version = Version(round: Int(round), number: Int(clamping: number))
    return value == self.value(version, key: key, size: Int(size)) ? version : nil
  }

  func batch(_ step: Step, _ life: Life, thread: Int, number: Int) -> WriteBatch {
    var batch = WriteBatch()
    let version = Version(round: life.round, number: number)
    for operation in step.operations {
      switch operation {
      case .put(let index, let size, let seconds):
        let key = key(thread: thread, index: index)
        batch.put(
          key, value(version, key: key, size: size), headByteCount: Workload.headByteCount,
          expiry: seconds.map { life.epoch + $0 })
      case .delete(let index): batch.delete(key(thread: thread, index: index))
      case .deleteRange(let range):
        batch.deleteRange(
          key(thread: thread, index: range.lowerBound),
          key(thread: thread, index: range.upperBound))
      }
    }
    return batch
  }

  // MARK: Options

  /// Limits of a life, so small that flushes, compactions, collections and manifest changes happen
  /// all the time.
  func options(round: Int, _ background: StoreOptions.Background) -> StoreOptions {
    var random = random(round, 255, 0)
    var options = StoreOptions()
    options.memtableByteLimit = 64 << (10 + random.below(4))
    options.immutableMemtableLimit = 1 + random.below(3)
    options.separationByteCount = random.chance(0.1) ? .max : 128 << random.below(8)
    options.segmentByteLimit = 256 << (10 + random.below(4))
    options.replayByteLimit = 1 << (20 + random.below(4))
    options.spaceAmplificationLimit = 1.1 + Double(random.below(10)) / 10
    options.journalBufferByteLimit = 4 << (10 + random.below(7))
    options.blockByteCount = 512 << random.below(5)
    options.filterBitsPerKey = random.below(13)
    options.compression = random.chance(0.5) ? .lz4 : .none
    options.blockCacheByteLimit = random.chance(0.2) ? 0 : 4 << 20
    options.tableByteLimit = 64 << (10 + random.below(4))
    options.levelBaseByteLimit = 256 << (10 + random.below(3))
    options.levelMultiplier = 3 + random.below(4)
    options.level0CompactionFileCount = 2 + random.below(3)
    options.level0StallFileCount = options.level0CompactionFileCount + 2 + random.below(8)
    options.manifestByteLimit = 4 << (10 + random.below(3))
    options.background = background
    return options
  }
}
