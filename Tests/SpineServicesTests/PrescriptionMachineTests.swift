import Testing

@testable import SpineServices

@Suite struct PrescriptionMachineTests {
  /// A record after upload, and after as many of release and dispense as asked.
  private func released(
    _ order: PrescriptionOrder = Fixtures.order(), at time: String = "20260301120000"
  ) throws -> Runner {
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber, at: time))
    try runner.run(Fixtures.event("release", .release(basis: .identifier), at: time))
    return runner
  }

  @Test func `an upload waits for its nominated dispenser`() throws {
    var runner = Runner()
    let reply = try runner.run(
      Fixtures.event("upload", .upload(Fixtures.order()), by: Fixtures.prescriber))
    #expect(reply.text == "Prescription upload successful")
    #expect(runner.status == .toBeDispensed)
    #expect(runner.lines() == [.toBeDispensed, .toBeDispensed])
    #expect(runner.record?.waitingFor == "FCG71")
    #expect(runner.record?.scn == 2)
    #expect(runner.record?.indexes["nextActivityNAD_bin"] == ["expire_20260901"])
    #expect(runner.record?.indexes["nomPharmStatus_bin"] == ["FCG71_0001"])
  }

  @Test func `a second upload under the identifier is a duplicate, the same message a replay`()
    throws
  {
    var runner = Runner()
    let event = Fixtures.event("upload", .upload(Fixtures.order()), by: Fixtures.prescriber)
    let first = try runner.run(event)
    let again = try runner.run(event)
    #expect(again.parameters == first.parameters)
    #expect(again.isReplay)
    #expect(runner.record?.scn == 2)
    let other = Fixtures.event("upload 2", .upload(Fixtures.order()), by: Fixtures.prescriber)
    #expect(codeOf { try runner.run(other) } == .duplicatePrescription)
  }

  @Test func `an upload for later waits for its day`() throws {
    var runner = Runner()
    let order = Fixtures.order(time: "20260310000000")
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    #expect(runner.status == .futureDated)
    let early = Fixtures.event("ready", .becomeReady, at: "20260309000000")
    #expect(codeOf { try runner.run(early) } == .invalidStateTransition)
    #expect(
      codeOf { try runner.run(Fixtures.event("r", .release(basis: .identifier))) }
        == .releaseNotFound)
    try runner.run(Fixtures.event("ready 2", .becomeReady, at: "20260310000000"))
    #expect(runner.status == .toBeDispensed)
  }

  @Test(arguments: [0, 5]) func `an order has one to four items`(count: Int) {
    var runner = Runner()
    let event = Fixtures.event(
      "upload", .upload(Fixtures.order(lines: count)), by: Fixtures.prescriber)
    #expect(codeOf { try runner.run(event) } == .wrongItemCount)
  }

  @Test func `the whole life of an acute prescription`() throws {
    let order = Fixtures.order()
    var runner = try released(order)
    #expect(runner.status == .withDispenser)
    #expect(runner.lines() == [.withDispenser, .withDispenser])
    try runner.run(
      Fixtures.event("d1", .dispense(Fixtures.notification(order, .dispensed, .owing))))
    #expect(runner.status == .withDispenserActive)
    #expect(
      codeOf { try runner.run(Fixtures.event("c0", .claim(claimID: "X", issue: nil))) }
        == .claimNotDispensed)
    try runner.run(Fixtures.event("d2", .dispense(Fixtures.notification(order, .dispensed))))
    #expect(runner.status == .dispensed)
    #expect(runner.record?.nextActivity?.activity == "createNoClaim")
    try runner.run(Fixtures.event("c1", .claim(claimID: "X", issue: nil)))
    #expect(runner.status == .claimed)
    #expect(runner.record?.indexes["nextActivityNAD_bin"] == ["delete_20260406"])
    #expect(runner.record?.scn == 6)
    #expect(runner.record?.documents.count == 5)
  }

  @Test func `release tells who holds it, and gives the holder the same again`() throws {
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(Fixtures.order()), by: Fixtures.prescriber))
    let first = try runner.run(Fixtures.event("release", .release(basis: .identifier)))
    #expect(first.parameters["prescriptionStatus"] == "0001")
    let again = try runner.run(Fixtures.event("release 2", .release(basis: .identifier)))
    #expect(again.parameters == first.parameters)
    #expect(runner.record?.scn == 3)
    do {
      try runner.run(
        Fixtures.event("release 3", .release(basis: .identifier), by: Fixtures.otherPharmacy))
      Issue.record("another dispenser got it")
    } catch {
      #expect(error.spine == .withAnotherDispenser)
      #expect(error.detail["dispensingOrganization"] == "FCG71")
    }
  }

  @Test func `nominated release is for the nominated dispenser only`() throws {
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(Fixtures.order()), by: Fixtures.prescriber))
    let other = Fixtures.event("r", .release(basis: .nominated), by: Fixtures.otherPharmacy)
    #expect(codeOf { try runner.run(other) } == .releaseNotFound)
    try runner.run(Fixtures.event("r2", .release(basis: .nominated)))
    #expect(runner.status == .withDispenser)
  }

  @Test(arguments: [
    (IssueStatus.cancelled, "PRESCRIPTION_CANCELLED"), (.expired, "PRESCRIPTION_EXPIRED"),
    (.dispensed, "PRESCRIPTION_DISPENSED"), (.notDispensed, "PRESCRIPTION_DISPENSED"),
    (.claimed, "PRESCRIPTION_DISPENSED"), (.awaitingRelease, "RESOURCE_NOT_FOUND"),
  ])
  func `release from another status is refused by name`(status: IssueStatus, name: String) throws {
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(Fixtures.order()), by: Fixtures.prescriber))
    runner.record?[issue: 1].prescriptionStatus = status
    #expect(
      codeOf { try runner.run(Fixtures.event("r", .release(basis: .identifier))) }?.name == name)
  }

  @Test func `a return makes it available again and clears the nomination`() throws {
    var runner = try released()
    #expect(
      codeOf {
        try runner.run(Fixtures.event("g", .giveBack(reason: "0003"), by: Fixtures.otherPharmacy))
      }
        == .withAnotherDispenser)
    try runner.run(Fixtures.event("g", .giveBack(reason: "0003")))
    #expect(runner.status == .toBeDispensed)
    #expect(runner.lines() == [.toBeDispensed, .toBeDispensed])
    #expect(runner.record?.nomination.nominated == false)
    #expect(runner.record?.nomination.nominationHistory == ["FCG71"])
    try runner.run(Fixtures.event("r2", .release(basis: .identifier), by: Fixtures.otherPharmacy))
    #expect(runner.record?[issue: 1].dispense.dispensingOrganization == "FH542")
  }

  @Test func `a return with a cancellation waiting cancels`() throws {
    let order = Fixtures.order()
    var runner = try released(order)
    let cancel = CancelInstruction(
      prescriptionID: order.prescriptionID, nhsNumber: "9000000009", reason: "0001")
    let reply = try runner.run(Fixtures.event("c", .cancel(cancel), by: Fixtures.prescriber))
    #expect(reply.cancellationCode == "R-0002")
    let returned = try runner.run(Fixtures.event("g", .giveBack(reason: "0003")))
    #expect(returned.parameters["subsequentCancellation"] != nil)
    #expect(runner.status == .cancelled)
    #expect(runner.lines() == [.cancelled, .cancelled])
  }

  /// Every pair of line statuses, against the table.
  @Test(arguments: LineStatus.allCases, LineStatus.allCases)
  func `a notification moves items only along the table`(from: LineStatus, to: LineStatus) throws {
    let order = Fixtures.order(lines: 1)
    var runner = try released(order)
    runner.record?[issue: 1].prescriptionStatus = .withDispenserActive
    runner.record?[issue: 1].lineItems[0].status = from
    let event = Fixtures.event("d", .dispense(Fixtures.notification(order, to)))
    let refused = codeOf { try runner.run(event) }
    #expect(
      from.dispenseTargets.contains(to)
        ? refused != .invalidLineTransition : refused == .invalidLineTransition)
    if refused == nil {
      let allowed = try #require(runner.status).allowedLines
      #expect(runner.lines().allSatisfy(allowed.contains))
    }
  }

  @Test(arguments: [
    ([LineStatus.dispensed, .dispensed], IssueStatus.dispensed),
    ([.dispensed, .notDispensed], .dispensed), ([.notDispensed, .notDispensed], .notDispensed),
    ([.partial, .dispensed], .withDispenserActive),
    ([.owing, .notDispensed], .withDispenserActive),
    ([.withDispenser, .withDispenser], .withDispenserActive),
  ])
  func `the items decide the status of the issue`(lines: [LineStatus], status: IssueStatus) throws {
    let order = Fixtures.order()
    var runner = try released(order)
    try runner.run(Fixtures.event("d", .dispense(Fixtures.notification(order, lines[0], lines[1]))))
    #expect(runner.status == status)
  }

  @Test func `a notification names exactly the items of the prescription`() throws {
    let order = Fixtures.order()
    var runner = try released(order)
    var notification = Fixtures.notification(order, .dispensed)
    notification.lines.removeLast()
    #expect(
      codeOf { try runner.run(Fixtures.event("d", .dispense(notification))) } == .itemNotFound)
    #expect(runner.record?.scn == 3)
  }

  @Test func `partly dispensed, then expired, counts as dispensed`() throws {
    let order = Fixtures.order()
    var runner = try released(order)
    try runner.run(
      Fixtures.event("d", .dispense(Fixtures.notification(order, .partial, .withDispenser))))
    try runner.run(Fixtures.event("x", .expire, at: "20260902000000"))
    #expect(runner.status == .dispensed)
    #expect(runner.lines() == [.dispensed, .expired])
  }

  @Test func `an untouched prescription expires`() throws {
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(Fixtures.order()), by: Fixtures.prescriber))
    try runner.run(Fixtures.event("x", .expire, at: "20260901000000"))
    #expect(runner.status == .expired)
    #expect(runner.lines() == [.expired, .expired])
    #expect(
      codeOf { try runner.run(Fixtures.event("x2", .expire, at: "20260902000000")) }
        == .invalidStateTransition)
  }

  @Test func `repeat dispensing moves on to the next issue when one is complete`() throws {
    let order = Fixtures.order(treatment: .repeatDispensing, issues: 6)
    var runner = try released(order)
    var notification = Fixtures.notification(order, .dispensed)
    notification.issueCount = 5
    #expect(
      codeOf { try runner.run(Fixtures.event("d", .dispense(notification))) } == .repeatMismatch)
    notification.issueCount = 6
    try runner.run(Fixtures.event("d", .dispense(notification)))
    #expect(runner.record?.currentIssue == 2)
    #expect(runner.status == .awaitingRelease)
    #expect(runner.record?[issue: 2].nominatedDownloadDate == "20260322")
    #expect(runner.record?.nextActivity == NextActivity(activity: "ready", date: "20260322"))
    try runner.run(Fixtures.event("c", .claim(claimID: "X", issue: 1)))
    #expect(runner.record?[issue: 1].prescriptionStatus == .claimed)
    try runner.run(Fixtures.event("ready", .becomeReady, at: "20260322000000"))
    #expect(runner.status == .toBeDispensed)
    #expect(runner.record?.waitingFor == "FCG71")
  }

  @Test func `items that repeat less often are over in later issues`() throws {
    var order = Fixtures.order(treatment: .repeatDispensing, issues: 3)
    order.lines[1].maxRepeats = 1
    var runner = Runner()
    try runner.run(Fixtures.event("upload", .upload(order), by: Fixtures.prescriber))
    #expect(runner.lines(2) == [.toBeDispensed, .expired])
    order.lines[0].maxRepeats = 4
    #expect(
      codeOf { _ = try PrescriptionMachine.apply(Fixtures.event("u2", .upload(order)), to: nil) }
        == .repeatMismatch)
  }
}
