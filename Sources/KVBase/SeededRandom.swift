/// A small random generator whose whole future follows from its seed (SplitMix64).
///
/// State machines own one and are given the seed from outside, so that a run can be repeated.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A generator that always yields the same sequence for the same seed.
  public init(seed: UInt64) { state = seed }

  /// The next number of the sequence.
  public mutating func next() -> UInt64 {
    defer { state &+= 0x9E37_79B9_7F4A_7C15 }
    return StableHash.mix(state)
  }

  /// A number in `0..<bound`; `bound` must be positive.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "no number is below \(bound)")
    return Int(next() % UInt64(bound))
  }

  /// True with the given probability (0 to 1).
  public mutating func chance(_ probability: Double) -> Bool {
    Double(next() >> 11) * 0x1p-53 < probability
  }

  /// An independent generator, seeded from this one.
  public mutating func fork() -> SeededRandom { SeededRandom(seed: next()) }
}
