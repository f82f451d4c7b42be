import ArgumentParser
import KVBase
import KVStorage

/// What writer and verifier agree on: which operation writes what.
///
/// Everything a thread does follows from the seed, the round, its number and a counter, so the
/// verifier can work out what any operation wrote without being told.
struct Workload: ParsableArguments {
  @Option(help: "The seed of all choices.")
  var seed: UInt64 = 1

  @Option(help: "Threads that write.")
  var threads = 4

  @Option(help: "Keys per thread.")
  var keys = 3000

  /// One step of a thread: a batch, applied as a whole.
  struct Step {
    var writes: [(key: Int, isDelete: Bool, size: Int)]
    var syncs: Bool
  }

  /// The longest run of steps that a thread appends before it waits for one of them to be durable.
  static let maximumUnsynced = 4

  func step(round: Int, thread: Int, number: Int) -> Step {
    let place = UInt64(round) << 40 ^ UInt64(thread) << 32 ^ UInt64(number)
    var random = SeededRandom(seed: StableHash.mix(seed) ^ StableHash.mix(place))
    let writes = (0...random.below(3)).map { _ in
      let size =
        switch random.below(20) {
        case 0: random.below(100_000)
        case 1...4: random.below(8_000)
        default: random.below(200)
        }
      return (key: random.below(keys), isDelete: random.chance(0.15), size: size)
    }
    return Step(writes: writes, syncs: number % Workload.maximumUnsynced == 0 || random.chance(0.5))
  }

  func key(thread: Int, index: Int) -> Bytes {
    var writer = ByteWriter()
    writer.write(UInt8(thread))
    writer.write(raw: Bytes("key-".utf8))
    writer.write(fixed: UInt32(index))
    return writer.bytes
  }

  func value(_ version: Version, key: Bytes, size: Int) -> Bytes {
    var writer = ByteWriter(capacity: size + 24)
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

  /// Which operation wrote a value.
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

  func batch(_ step: Step, round: Int, thread: Int, number: Int) -> WriteBatch {
    var batch = WriteBatch()
    for write in step.writes {
      let key = key(thread: thread, index: write.key)
      if write.isDelete {
        batch.delete(key)
      } else {
        let version = Version(round: round, number: number)
        batch.put(key, value(version, key: key, size: write.size), headByteCount: 16)
      }
    }
    return batch
  }

  /// Limits so small that flushes, compactions and manifest changes happen all the time.
  static func options(_ background: StoreOptions.Background) -> StoreOptions {
    var options = StoreOptions()
    options.memtableByteLimit = 256 << 10
    options.journalBufferByteLimit = 64 << 10
    options.tableByteLimit = 256 << 10
    options.levelBaseByteLimit = 1 << 20
    options.levelMultiplier = 4
    options.manifestByteLimit = 4 << 10
    options.blockCacheByteLimit = 4 << 20
    options.background = background
    return options
  }
}
