/// The place of a write in the order of all writes of a store; the first has number 1.
public struct SequenceNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number.
  public var rawValue: UInt64

  /// The sequence number with this value.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// Before the first write.
  public static let zero = SequenceNumber(0)

  /// The largest number that the file formats can hold.
  static let maximum = SequenceNumber(1 << 56 - 1)

  /// Orders by age.
  public static func < (a: SequenceNumber, b: SequenceNumber) -> Bool { a.rawValue < b.rawValue }

  /// The sequence number `count` writes later.
  func advanced(by count: Int) -> SequenceNumber { SequenceNumber(rawValue + UInt64(count)) }

  /// The error in one line.
  public var description: String { "#\(rawValue)" }
}

/// The number in the name of a file; unique within a store and never used twice.
struct FileNumber: Hashable, Comparable, Sendable {
  var rawValue: UInt64

  init(_ rawValue: UInt64) { self.rawValue = rawValue }

  static func < (a: FileNumber, b: FileNumber) -> Bool { a.rawValue < b.rawValue }

  /// At least six decimal digits.
  var padded: String {
    let digits = String(rawValue)
    return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
  }
}
