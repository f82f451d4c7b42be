import KVBase

/// Everything that happened in a run, folded into one number; as text too when someone reads it.
///
/// Two runs of one seed must end with the same digest, or something undetermined leaked into them.
struct Trace {
  /// The fold of all records so far.
  private(set) var digest: UInt64 = 0x5349_4D55_4C41_5445
  /// The number of records.
  private(set) var recordCount = 0
  private let sink: ((String) -> Void)?

  /// A trace that hands each record as a line of text to `sink`, when there is one.
  init(sink: ((String) -> Void)?) { self.sink = sink }

  /// Folds one record in: when, what kind, and numbers that identify it.
  mutating func record(
    at time: UInt64, kind: UInt64, _ a: UInt64 = 0, _ b: UInt64 = 0, _ c: UInt64 = 0,
    text: @autoclosure () -> String
  ) {
    recordCount += 1
    digest = StableHash.mix(digest ^ time)
    digest = StableHash.mix(digest ^ kind) &+ a
    digest = StableHash.mix(digest ^ b) &+ c
    guard let sink else { return }
    let micros = time / 1000
    let fraction = String(micros % 1_000_000)
    let padding = String(repeating: "0", count: 6 - fraction.count)
    sink("\(micros / 1_000_000).\(padding)\(fraction) \(text())")
  }
}
