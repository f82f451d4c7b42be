import Glibc
import KVBase
import Synchronization

/// What a run of the fuzzer did.
struct FuzzReport {
  var executions: UInt64 = 0
  var accepted: UInt64 = 0
  var elapsed = Duration.zero
  var slowest = Duration.zero
  var slowestInput: UInt64 = 0

  var perSecond: Int {
    Int(Double(executions) / max(0.001, elapsed / .seconds(1)))
  }

  /// One line for people and scripts.
  func summary(_ target: String) -> String {
    "\(target): \(executions) executions in \(elapsed.components.seconds) s, "
      + "\(perSecond) executions/s, \(accepted) accepted, "
      + "slowest \(slowest.wholeMilliseconds) ms (input \(slowestInput)), no crash"
  }
}

/// Runs a target on inputs 0, 1, 2 …, each made from the seed and its number alone, so that any one can
/// be run again by itself.
struct Fuzzer {
  let target: any FuzzTarget
  let seed: UInt64
  private let mutator: Mutator

  /// A fuzzer of `target` that also mutates the inputs in `corpus`.
  init(target: any FuzzTarget, seed: UInt64, corpus: [Bytes] = []) {
    self.target = target
    self.seed = seed
    mutator = Mutator(samples: target.samples + corpus)
  }

  /// The input with the number.
  func input(_ number: UInt64) -> Bytes {
    var random = SeededRandom(seed: StableHash.mix(seed) ^ StableHash.mix(number &+ 1))
    return mutator.input(using: &random)
  }

  /// Runs until the time is over.
  ///
  /// - Parameter progress: told the state about every ten seconds.
  func run(for duration: Duration, progress: (FuzzReport) -> Void = { _ in }) -> FuzzReport {
    var report = FuzzReport()
    let start = ContinuousClock.now
    var reported = start
    CurrentInput.announce()
    while true {
      let began = ContinuousClock.now
      report.elapsed = began - start
      guard report.elapsed < duration else { return report }
      if began - reported >= .seconds(10) {
        reported = began
        progress(report)
      }
      CurrentInput.number.store(report.executions, ordering: .relaxed)
      if target.run(input(report.executions)) { report.accepted += 1 }
      let took = ContinuousClock.now - began
      if took > report.slowest {
        report.slowest = took
        report.slowestInput = report.executions
      }
      report.executions += 1
    }
  }
}

/// The number of the input being run, told on standard error when the process crashes in it.
private enum CurrentInput {
  static let number = Atomic<UInt64>(0)

  /// Makes crashes tell the number.
  static func announce() {
    for caught in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] {
      signal(caught) { caught in
        CurrentInput.tell()
        signal(caught, SIG_DFL)
        raise(caught)
      }
    }
  }

  /// Only calls that are safe in a signal handler.
  private static func tell() {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { text in
      var at = 63
      text[at] = UInt8(ascii: "\n")
      var rest = number.load(ordering: .relaxed)
      repeat {
        at -= 1
        text[at] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      } while rest > 0
      for byte in StaticText.crash.reversed() {
        at -= 1
        text[at] = byte
      }
      _ = write(2, text.baseAddress.map { $0 + at }, 64 - at)
    }
  }
}

private enum StaticText {
  static let crash = Bytes("crash in input ".utf8)
}
