/// Keys of 20 bytes that sort like their numbers within a partition.
///
/// Key number `n` is in partition `n % partitionCount`; without partitions keys begin with letters.
struct Keys: Sendable {
  static let byteCount = 20
  /// At least one; beyond one, the first two bytes are the partition.
  var partitionCount = 1

  func template() -> [UInt8] { Array("key-0000000000000000".utf8) }

  /// Sets the key's number, below 10^8.
  @inline(__always)
  func fill(_ key: inout [UInt8], _ number: Int) {
    var rest = number
    if partitionCount > 1 {
      let partition = number % partitionCount
      rest = number / partitionCount
      key[0] = UInt8(truncatingIfNeeded: partition >> 8)
      key[1] = UInt8(truncatingIfNeeded: partition)
    }
    var index = 19
    while index >= 12 {
      key[index] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
      index -= 1
    }
  }
}

/// Values of which about half compresses away.
struct Values: Sendable {
  private let pool: [[UInt8]]

  init(_ byteCount: Int) {
    var random = FastRandom(seed: 42)
    pool = (0..<max(32, min(8192, (2 << 20) / byteCount))).map { _ in
      (0..<byteCount).map { index in
        index % 32 < 16 ? 0x61 : UInt8(truncatingIfNeeded: random.next() >> 56)
      }
    }
  }

  subscript(index: Int) -> [UInt8] { pool[index % pool.count] }
}

/// A random generator that costs next to nothing beside what is measured.
struct FastRandom: Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  @inline(__always)
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state &* 0x2545_F491_4F6C_DD1D
  }

  @inline(__always)
  mutating func below(_ bound: Int) -> Int {
    Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// The numbers `0..<count` in random order.
  static func permutation(_ count: Int) -> [UInt32] {
    var numbers = Array(0..<UInt32(count))
    var random = FastRandom(seed: 7)
    for index in stride(from: count - 1, to: 0, by: -1) {
      numbers.swapAt(index, random.below(index + 1))
    }
    return numbers
  }
}
