import KVBase
import Testing

@testable import kvfuzz

@Suite(.serialized) struct FuzzerTests {
  @Test(arguments: KVFuzz.TargetName.allCases)
  func `a short run survives every damaged input`(name: KVFuzz.TargetName) {
    let report = Fuzzer(target: name.target, seed: 42).run(for: .seconds(1))
    #expect(report.executions > 5)
    #expect(report.slowest < .seconds(30), "input \(report.slowestInput) takes \(report.slowest)")
  }

  @Test(arguments: KVFuzz.TargetName.allCases)
  func `every sample is run unchanged`(name: KVFuzz.TargetName) {
    let target = name.target
    for sample in target.samples { _ = target.run(sample) }
  }

  @Test func `an input follows from seed and number alone`() {
    let one = Fuzzer(target: FrameTarget(), seed: 7)
    let two = Fuzzer(target: FrameTarget(), seed: 7)
    for number: UInt64 in [0, 5, 1_000_000] { #expect(one.input(number) == two.input(number)) }
    #expect((0..<20).contains { one.input($0) != Fuzzer(target: FrameTarget(), seed: 8).input($0) })
  }

  @Test func `inputs stay short and differ`() {
    let mutator = Mutator(samples: [Bytes(repeating: 1, count: 60_000)])
    var random = SeededRandom(seed: 3)
    let inputs = (0..<200).map { _ in mutator.input(using: &random) }
    #expect(inputs.allSatisfy { $0.count <= Mutator.longest })
    #expect(Set(inputs).count > 150)
  }
}
