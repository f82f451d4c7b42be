import KVBase
import Synchronization
import Testing

@testable import SpineServices

@Suite struct DemoTests {
  private let generator = DemoGenerator(
    seed: 7, patientCount: 500, today: SpineTime(secondsSinceEpoch: 1_772_366_400))

  @Test func `generated identifiers are valid, distinct and synthetic`() throws {
    var numbers: Set<String> = []
    for index in 0..<20_000 {
      let number = try #require(NHSNumber(generator.nhsNumber(index)))
      #expect(number.range == .synthetic)
      numbers.insert(number.digits)
    }
    #expect(numbers.count == 20_000)
    for index in 0..<500 {
      let id = generator.prescriptionID(index)
      #expect(try PrescriptionID(id).text == id)
      #expect(generator.prescriptionIndex(id) == index)
      #expect(generator.prescriptionIndex(PrescriptionID.storeKey(of: id)) == index)
    }
  }

  @Test func `the same seed gives the same data`() {
    let other = DemoGenerator(seed: 7, patientCount: 500, today: generator.today)
    for index in 0..<20 {
      #expect(other.patient(index) == generator.patient(index))
      #expect(other.order(index) == generator.order(index))
      #expect(
        other.bundle(other.order(index), index) == generator.bundle(generator.order(index), index))
    }
  }

  @Test func `a run is verified, and what was lost is found`() async throws {
    let store = MemoryBucketStore()
    let workload = DemoWorkload(spine: Spine(store: store, audits: false), generator: generator)
    let lines = Mutex<[String]>([])
    let run = DemoRun(workload: workload, concurrency: 4) { line in
      lines.withLock { $0.append(line) }
    }
    await run.loadPatients()
    await run.uploadPrescriptions(300)
    await run.runMixedLoad(for: .milliseconds(600), seed: 1)
    #expect(workload.metrics.total.failed == 0, "\(workload.metrics.lastFailure ?? "")")
    #expect(lines.withLock { $0 }.contains("PHASE mixed start"))
    let clean = await run.verify([("memory", store)])
    #expect(clean.lostCount == 0, "\(clean.lost)")
    #expect(clean.checked > 1000)
    try await store.delete(generator.nhsNumber(3), in: SpineBuckets.patients.name, context: nil)
    let key = PrescriptionID.storeKey(of: generator.prescriptionID(5))
    try await store.delete(key, in: SpineBuckets.prescriptions.name, context: nil)
    let damaged = await run.verify([("memory", store)])
    #expect(damaged.lostCount == 2)
  }

  @Test func `percentiles are within an eighth of an octave`() {
    var histogram = LatencyHistogram()
    for value in 1...10_000 { histogram.record(.microseconds(value)) }
    let median = histogram.percentile(0.5) / .microseconds(1)
    #expect((4500...5700).contains(median))
    #expect(histogram.percentile(1) == .microseconds(10_000))
    #expect(LatencyHistogram().percentile(0.5) == .zero)
  }
}
