import Synchronization

/// Keeps recently used blocks in memory, up to a number of bytes.
///
/// Parts by hash, each under its own lock, which is held for a few dozen nanoseconds. The limit
/// counts what blocks really take: their memory, their objects and the cache's own slots.
///
/// **Concurrency**: every method may be called from any thread.
final class BlockCache: @unchecked Sendable {
  // The parts are initialised once and lock themselves.
  private let parts: UnsafeMutablePointer<CachePart>
  private let partCount: Int
  private let partByteLimit: Int

  /// Names a block for as long as the process lives: file numbers are never used twice.
  struct Key: Hashable {
    var file: UInt64
    var offset: Int

    @inline(__always)
    var mixed: UInt64 {
      let x = (file &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(bitPattern: Int64(offset))
      let y = (x ^ x &>> 32) &* 0xBF58_476D_1CE4_E5B9
      return y ^ y &>> 29
    }
  }

  /// A part smaller than this would refuse blocks of ordinary size.
  private static let smallestPart = 512 << 10

  init(byteLimit: Int) {
    var count = 1
    while count < 16, byteLimit / (count * 2) >= BlockCache.smallestPart { count *= 2 }
    partCount = count
    partByteLimit = byteLimit / count
    parts = .allocate(capacity: count)
    for index in 0..<count {
      (parts + index).initialize(to: CachePart(byteLimit: partByteLimit))
    }
  }

  deinit {
    parts.deinitialize(count: partCount)
    parts.deallocate()
  }

  private func sum(_ count: (borrowing CachePart) -> Int) -> Int {
    (0..<partCount).reduce(0) { $0 + count(parts[$1]) }
  }

  var hitCount: Int { sum { $0.state.withLock { $0.hitCount } } }
  var missCount: Int { sum { $0.state.withLock { $0.missCount } } }
  var byteCount: Int { sum { $0.state.withLock { $0.byteCount } } }

  /// True for a block that leaves room for others.
  @inline(__always)
  func hasRoom(for byteCount: Int) -> Bool { byteCount <= partByteLimit / 8 }

  @inline(__always)
  private func part(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (partCount &- 1) }

  /// The block, which counts as used.
  @inline(__always)
  func find(_ key: Key) -> Block? {
    let hash = key.mixed
    return parts[Int(truncatingIfNeeded: hash) & (partCount &- 1)].state.withLock {
      $0.find(key, hash)
    }
  }

  /// Adds a block, unless it is larger than a part or already there; older ones make room.
  ///
  /// Blocks that many reads pass through are `lasting`: they need not prove that they are used.
  func insert(_ block: Block, for key: Key, lasting: Bool = false) {
    let hash = key.mixed
    parts[part(hash)].state.withLock { $0.insert(block, key, hash, lasting: lasting) }
  }

  /// Verifies every part; for tests.
  func checkInvariants() {
    for index in 0..<partCount { parts[index].state.withLock { $0.checkInvariants() } }
  }
}

/// One part of the cache and its lock.
private struct CachePart: ~Copyable {
  let state: Mutex<CacheState>

  init(byteLimit: Int) { state = Mutex(CacheState(byteLimit: byteLimit)) }
}
