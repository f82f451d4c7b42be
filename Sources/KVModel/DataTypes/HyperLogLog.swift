public import KVBase

/// An estimate of the number of different elements ever added.
///
/// Each element is hashed; some bits of the hash choose a register, which keeps the longest run of
/// zeros seen in the others. Registers merge by maximum.
///
/// **Source**: Flajolet et al., *HyperLogLog* (2007); linear counting for small numbers.
public struct HyperLogLog: Hashable, Sendable {
  /// The precision of buckets that do not say.
  public static let defaultPrecision: UInt8 = 14
  /// The precisions that can be asked for.
  public static let precisions: ClosedRange<UInt8> = 4...16

  /// The number of bits that choose a register.
  public private(set) var precision: UInt8
  /// The registers.
  public private(set) var registers: Bytes

  /// An estimate of nothing; a precision out of range becomes the nearest in it.
  public init(precision: UInt8 = HyperLogLog.defaultPrecision) {
    self.precision = min(
      max(precision, Self.precisions.lowerBound), Self.precisions.upperBound)
    registers = Bytes(repeating: 0, count: 1 << Int(self.precision))
  }

  init(precision: UInt8, registers: Bytes) {
    self.precision = precision
    self.registers = registers
  }

  /// Adds an element.
  public mutating func insert(_ element: Bytes) {
    let hash = StableHash.hash(element, seed: 0x4859_5045_524C_4F47)
    let index = Int(hash >> (64 - UInt64(precision)))
    // A sentinel bit ends the run where the hash does.
    let rest = hash << UInt64(precision) | 1 << (UInt64(precision) - 1)
    registers[index] = max(registers[index], UInt8(rest.leadingZeroBitCount + 1))
  }

  /// The union of both; of different precisions the smaller stays.
  public func merging(_ other: HyperLogLog) -> HyperLogLog {
    let precision = min(precision, other.precision)
    var result = folded(to: precision)
    let second = other.folded(to: precision)
    for index in result.registers.indices {
      result.registers[index] = max(result.registers[index], second.registers[index])
    }
    return result
  }

  /// The same elements with fewer registers.
  public func folded(to precision: UInt8) -> HyperLogLog {
    guard precision < self.precision else { return self }
    var result = HyperLogLog(precision: precision)
    let dropped = Int(self.precision - result.precision)
    for (index, rank) in registers.enumerated() where rank > 0 {
      // The bits that no longer choose a register come before the run of zeros.
      let low = index & (1 << dropped - 1)
      let run =
        low == 0
        ? Int(rank) + dropped : dropped - (Int.bitWidth - low.leadingZeroBitCount) + 1
      result.registers[index >> dropped] = max(
        result.registers[index >> dropped], UInt8(run))
    }
    return result
  }

  /// About how many different elements were added.
  public var estimate: UInt64 {
    let count = Double(registers.count)
    var sum = 0.0
    var zeros = 0
    for rank in registers {
      sum += 1 / Double(UInt64(1) << UInt64(rank))
      if rank == 0 { zeros += 1 }
    }
    let alpha: Double =
      switch registers.count {
      case 16: 0.673
      case 32: 0.697
      case 64: 0.709
      default: 0.7213 / (1 + 1.079 / count)
      }
    let raw = alpha * count * count / sum
    guard raw <= 2.5 * count, zeros > 0 else { return UInt64(raw.rounded()) }
    return UInt64((count * Self.logarithm(count / Double(zeros))).rounded())
  }

  /// The natural logarithm of a number of at least 1, the same on every machine.
  private static func logarithm(_ x: Double) -> Double {
    // ln(m · 2^e) = e · ln 2 + 2 · atanh((m - 1) / (m + 1)), with m from 1 to 2.
    let ratio = (x.significand - 1) / (x.significand + 1)
    var power = ratio
    var sum = 0.0
    for divisor in stride(from: 1, to: 40, by: 2) {
      sum += power / Double(divisor)
      power *= ratio * ratio
    }
    return Double(x.exponent) * 0.693_147_180_559_945_3 + 2 * sum
  }
}
