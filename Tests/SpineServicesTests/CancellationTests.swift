import Testing

@testable import SpineServices

@Suite struct CancellationTests {
  private let order = Fixtures.order()

  private func cancel(line: Int? = nil, nhs: String = "9000000009") -> PrescriptionEvent.Action {
    .cancel(
      CancelInstruction(
        prescriptionID: order.prescriptionID, nhsNumber: nhs,
        lineID: line.map { order.lines[$0].id }, reason: "0001"))
  }

  private func run(
    _ runner: inout Runner, _ name: String, _ action: PrescriptionEvent.Action,
    by agent: Agent = Fixtures.prescriber
  ) throws -> String? {
    try runner.run(Fixtures.event(name, action, by: agent)).cancellationCode
  }

  private func uploaded() throws -> Runner {
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    return runner
  }

  @Test func `the whole prescription is cancelled, then already cancelled`() throws {
    var runner = try uploaded()
    #expect(try run(&runner, "c1", cancel()) == "R-0001")
    #expect(runner.status == .cancelled)
    #expect(try run(&runner, "c2", cancel()) == "R-0006")
    #expect(try run(&runner, "c1", cancel()) == "R-0001")
    #expect(runner.record?.scn == 4)
  }

  @Test func `cancelling every item cancels the prescription`() throws {
    var runner = try uploaded()
    #expect(try run(&runner, "c1", cancel(line: 0)) == "R-0001")
    #expect(runner.status == .toBeDispensed)
    #expect(try run(&runner, "c2", cancel(line: 0)) == "R-0006")
    #expect(try run(&runner, "c3", cancel(line: 1)) == "R-0001")
    #expect(runner.status == .cancelled)
  }

  @Test func `all later issues are cancelled too`() throws {
    let order = Fixtures.order(treatment: .repeatDispensing, issues: 3)
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    #expect(try run(&runner, "c1", cancel()) == "R-0001")
    #expect(
      runner.record?.issueNumbers.allSatisfy {
        runner.record?[issue: $0].prescriptionStatus == .cancelled
      } == true)
  }

  @Test func `with a dispenser it is marked, once per target`() throws {
    var runner = try uploaded()
    try runner.run(Fixtures.event("r", .release(basis: .identifier)))
    #expect(try run(&runner, "c1", cancel()) == "R-0002")
    #expect(try run(&runner, "c2", cancel()) == "R-0002")
    #expect(try run(&runner, "c3", cancel(), by: Agent(organisation: "B81001")) == "R-0007")
    #expect(runner.record?.prescription.pendingCancellations?.count == 1)
    #expect(runner.record?.prescription.unsuccessfulCancellations?.count == 1)
    try runner.run(
      Fixtures.event("d", .dispense(Fixtures.notification(order, .partial, .dispensed))))
    #expect(try run(&runner, "c4", cancel(line: 0)) == "R-0003")
    #expect(try run(&runner, "c5", cancel(line: 1)) == "R-0004")
  }

  @Test(arguments: [
    (IssueStatus.dispensed, LineStatus.dispensed, "R-0004"), (.claimed, .dispensed, "R-0004"),
    (.notDispensed, .notDispensed, "R-0010"), (.expired, .expired, "R-0005"),
  ])
  func `what is over is answered and left alone`(
    status: IssueStatus, line: LineStatus, code: String
  ) throws {
    var runner = try uploaded()
    runner.record?[issue: 1].prescriptionStatus = status
    for index in order.lines.indices { runner.record?[issue: 1].lineItems[index].status = line }
    #expect(try run(&runner, "c", cancel()) == code)
    #expect(runner.status == status)
  }

  @Test func `another patient's number is refused`() throws {
    var runner = try uploaded()
    #expect(codeOf { _ = try run(&runner, "c", cancel(nhs: "9000000017")) }?.number == "R-5000")
  }

  @Test func `an unknown item is not found`() throws {
    var runner = try uploaded()
    let unknown = CancelInstruction(
      prescriptionID: order.prescriptionID, nhsNumber: "9000000009", lineID: "X", reason: "0001")
    #expect(try run(&runner, "c", .cancel(unknown)) == "R-0008")
  }

  @Test func `cancelled before it comes, it comes back cancelled`() throws {
    var runner = Runner()
    #expect(try run(&runner, "c1", cancel(line: 0)) == "R-0008")
    #expect(runner.status == .pendingCancellation)
    #expect(runner.record?.indexes["nextActivityNAD_bin"] == ["delete_20260828"])
    #expect(try run(&runner, "c2", cancel()) == "R-0008")
    #expect(try run(&runner, "c3", cancel()) == "R-0008")
    #expect(runner.record?.prescription.pendingCancellations?.count == 2)
    #expect(
      codeOf { try runner.run(Fixtures.event("r", .release(basis: .identifier))) }
        == .releaseNotFound)
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    #expect(runner.status == .cancelled)
    #expect(runner.record?.scn == 5)
    #expect(runner.record?.changeLog.count == 4)
    #expect(
      codeOf { try runner.run(Fixtures.event("r", .release(basis: .identifier))) } == .cancelled)
  }

  @Test func `one item cancelled before it comes leaves the others`() throws {
    var runner = Runner()
    _ = try run(&runner, "c1", cancel(line: 1))
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    #expect(runner.status == .toBeDispensed)
    #expect(runner.lines() == [.toBeDispensed, .cancelled])
  }
}
