import KVBase
import Testing

@testable import SpineServices

@Suite struct PrescriptionMergeTests {
  private let order = Fixtures.order()

  private func base() throws -> Runner {
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    return runner
  }

  private func cancel() -> PrescriptionEvent.Action {
    .cancel(
      CancelInstruction(
        prescriptionID: order.prescriptionID, nhsNumber: "9000000009", reason: "0001"))
  }

  private func merged(_ a: Runner, _ b: Runner) throws -> PrescriptionRecord {
    let (a, b) = (try #require(a.record), try #require(b.record))
    let merged = PrescriptionMachine.merge(a, b)
    #expect(merged == PrescriptionMachine.merge(b, a))
    return merged
  }

  @Test func `a stale copy gives way`() throws {
    let old = try base()
    var new = old
    try new.run(Fixtures.event("r", .release(basis: .identifier)))
    #expect(try merged(old, new) == new.record)
  }

  @Test func `of two releases the earlier stands, and the later is to be told`() throws {
    var (a, b) = (try base(), try base())
    try a.run(Fixtures.event("a", .release(basis: .identifier), at: "20260301120005"))
    try b.run(
      Fixtures.event(
        "b", .release(basis: .identifier), by: Fixtures.otherPharmacy, at: "20260301120003"))
    let record = try merged(a, b)
    #expect(record[issue: 1].dispense.dispensingOrganization == "FH542")
    #expect(record.rejectedEvents?.map(\.organisation) == ["FCG71"])
    #expect(record.scn == 4)
    #expect(record.changeLog.count == 3)
  }

  @Test func `a dispense beats an earlier cancellation on the other side`() throws {
    var (a, b) = (try base(), try base())
    try a.run(Fixtures.event("c", cancel(), by: Fixtures.prescriber, at: "20260301120001"))
    try b.run(Fixtures.event("r", .release(basis: .identifier), at: "20260301120005"))
    try b.run(
      Fixtures.event("d", .dispense(Fixtures.notification(order, .dispensed)), at: "20260301120009")
    )
    let record = try merged(a, b)
    #expect(record.status == .dispensed)
    #expect(record.rejectedEvents?.count == 1)
    #expect(record.rejectedEvents?.first?.organisation == "A83008")
    #expect(
      record.changeLog[Fixtures.message("c").text]?.response["cancellationResponseCode"] == "R-0001"
    )
  }

  @Test func `a cancellation beats an expiry`() throws {
    var (a, b) = (try base(), try base())
    try a.run(Fixtures.event("x", .expire, at: "20260301120001"))
    try b.run(Fixtures.event("c", cancel(), by: Fixtures.prescriber, at: "20260301120005"))
    #expect(try merged(a, b).status == .cancelled)
  }

  @Test func `cancelled before upload on the other side is cancelled`() throws {
    let a = try base()
    var b = Runner()
    try b.run(Fixtures.event("c", cancel(), by: Fixtures.prescriber, at: "20260301110000"))
    #expect(try merged(a, b).status == .cancelled)
    var late = Runner()
    try late.run(Fixtures.event("c2", cancel(), by: Fixtures.prescriber, at: "20260301130000"))
    #expect(try merged(a, late).status == .cancelled)
  }

  /// Random histories from a common start, forked and merged in any order and grouping.
  @Test(arguments: 0..<60) func `the merge is commutative, associative and idempotent`(seed: Int)
    throws
  {
    var random = SeededRandom(seed: UInt64(seed))
    var start = Runner()
    let repeats = random.chance(0.3)
    let order = Fixtures.order(
      treatment: repeats ? .repeatDispensing : .acute, issues: repeats ? 3 : 1)
    if random.chance(0.9) {
      try start.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    }
    play(&start, order, &random, "base", steps: random.below(4))
    var forks: [PrescriptionRecord] = []
    for name in ["a", "b", "c"] {
      var fork = start
      play(&fork, order, &random, name, steps: 1 + random.below(6))
      if let record = fork.record { forks.append(record) }
    }
    guard forks.count == 3 else { return }
    for fork in forks { #expect(PrescriptionMachine.rebuild(from: fork.changeLog) == fork) }
    func merge(_ a: PrescriptionRecord, _ b: PrescriptionRecord) -> PrescriptionRecord {
      PrescriptionMachine.merge(a, b)
    }
    let (a, b, c) = (forks[0], forks[1], forks[2])
    #expect(merge(a, b) == merge(b, a))
    #expect(merge(merge(a, b), c) == merge(a, merge(b, c)))
    #expect(merge(merge(a, c), b) == merge(merge(a, b), c))
    #expect(merge(merge(a, b), b) == merge(a, b))
    #expect(
      Set(merge(merge(a, b), c).changeLog.keys)
        == Set(a.changeLog.keys).union(b.changeLog.keys).union(c.changeLog.keys))
  }

  /// Attempts random events; those that are refused leave no trace.
  private func play(
    _ runner: inout Runner, _ order: PrescriptionOrder, _ random: inout SeededRandom,
    _ name: String, steps: Int
  ) {
    var steps = steps
    var tries = 0
    while steps > 0, tries < 60 {
      tries += 1
      let agents = [Fixtures.pharmacy, Fixtures.otherPharmacy]
      var agent = agents[random.below(2)]
      let statuses: [LineStatus] = [.dispensed, .notDispensed, .partial, .owing]
      let action: PrescriptionEvent.Action
      switch random.below(7) {
      case 0: (action, agent) = (.upload(order), Fixtures.prescriber)
      case 1: action = .release(basis: .identifier)
      case 2: action = .giveBack(reason: "0003")
      case 3:
        action = .dispense(
          Fixtures.notification(order, statuses[random.below(4)], statuses[random.below(4)]))
      case 4: action = .claim(claimID: "\(name)\(tries)", issue: nil)
      case 5:
        let line = random.chance(0.5) ? order.lines[random.below(order.lines.count)].id : nil
        action = .cancel(
          CancelInstruction(
            prescriptionID: order.prescriptionID, nhsNumber: "9000000009", lineID: line,
            reason: "0001"))
        agent = Fixtures.prescriber
      default: action = random.chance(0.2) ? .expire : .release(basis: .nominated)
      }
      let second = 10 + random.below(50)
      let event = Fixtures.event("\(name) \(tries)", action, by: agent, at: "202603011200\(second)")
      let before = runner.record
      _ = try? runner.run(event)
      if runner.record != before { steps -= 1 }
    }
  }
}
