import KVBase
import Testing

@testable import SpineServices

@Suite struct PrescriptionServiceTests {
  let store = MemoryBucketStore()
  let clock = TestClock()
  let spine: Spine

  init() {
    let clock = clock
    spine = Spine(store: store, clock: { clock.now })
  }

  private func upload(_ number: Int, performer: String? = "FCG71", issues: Int = 1) async throws {
    let order = Fixtures.order(
      number, treatment: issues > 1 ? .repeatDispensing : .acute, issues: issues,
      performer: performer)
    _ = try await spine.prescriptions.upload(
      order, Fixtures.envelope("upload \(number)", by: Fixtures.prescriber))
  }

  @Test func `sixty waiting prescriptions come as 25, 25 and 10, then no more`() async throws {
    for number in 1...60 {
      try await upload(number)
      clock.advance(seconds: 1)
    }
    var seen: Set<String> = []
    for (call, expected) in [25, 25, 10].enumerated() {
      let released = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n\(call)"))
      #expect(released.count == expected)
      #expect(
        released.allSatisfy { String(decoding: $0.document, as: UTF8.self).hasPrefix("<upload") })
      seen.formUnion(released.compactMap { $0.reply.parameters["prescriptionID"] })
    }
    #expect(seen.count == 60)
    let last = await code {
      _ = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n4"))
    }
    #expect(last == .noMorePrescriptions)
    let left = try await spine.prescriptions.queue.entries(for: "FCG71")
    #expect(left.isEmpty)
  }

  @Test func `a nominated release sent again gives the same prescriptions and no others`()
    async throws
  {
    for number in 1...30 { try await upload(number) }
    let first = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n"))
    let again = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n"))
    #expect(first.map(\.reply.parameters) == again.map(\.reply.parameters))
    let id = try #require(first.first?.reply.parameters["prescriptionID"])
    #expect(try await spine.prescriptions.record(id)?.scn == 3)
  }

  @Test func `a nominated release broken off finds its prescriptions when sent again`() async throws
  {
    for number in 1...3 { try await upload(number) }
    // Request document, first record, second record; then the third record's write gets no answer.
    store.failWrites(after: 3, with: .outcomeUnknown("time-out"))
    let envelope = Fixtures.envelope("n")
    do {
      _ = try await spine.prescriptions.nominatedRelease(envelope)
      Issue.record("it should have failed")
    } catch {
      #expect(error.code == .outcomeUnknown)
    }
    let released = try await spine.prescriptions.nominatedRelease(envelope)
    #expect(released.count == 3)
    for number in 1...3 {
      #expect(try await spine.prescriptions.record(Fixtures.prescriptionID(number))?.scn == 3)
    }
  }

  @Test func `a queue entry that has gone stale is skipped and removed`() async throws {
    try await upload(1)
    try await upload(2)
    _ = try await spine.prescriptions.release(
      Fixtures.prescriptionID(1), Fixtures.envelope("r", by: Fixtures.otherPharmacy))
    let released = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n"))
    #expect(
      released.compactMap { $0.reply.parameters["prescriptionID"] } == [Fixtures.prescriptionID(2)])
    #expect(try await spine.prescriptions.queue.entries(for: "FCG71").isEmpty)
  }

  @Test func `what the dispenser has already is not in a nominated release`() async throws {
    try await upload(1)
    _ = try await spine.prescriptions.release(
      Fixtures.prescriptionID(1), Fixtures.envelope("by identifier"))
    let refused = await code {
      _ = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n"))
    }
    #expect(refused == .noMorePrescriptions)
    #expect(try await spine.prescriptions.record(Fixtures.prescriptionID(1))?.scn == 3)
    #expect(try await spine.prescriptions.queue.entries(for: "FCG71").isEmpty)
  }

  @Test func `an entry whose prescription is still on its way stays for an hour`() async throws {
    let queue = spine.prescriptions.queue
    try await queue.enter("ABC000-A83008-00001", for: "FCG71", at: clock.now, by: "M")
    _ = await code { _ = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n1")) }
    #expect(try await queue.entries(for: "FCG71").count == 1)
    clock.advance(seconds: 3601)
    _ = await code { _ = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n2")) }
    #expect(try await queue.entries(for: "FCG71").isEmpty)
  }

  @Test func `an entry made again while a release removes the old one is kept`() async throws {
    let queue = spine.prescriptions.queue
    try await queue.enter("K", for: "FCG71", at: clock.now, by: "first")
    let seen = try await queue.entries(for: "FCG71")
    try await queue.enter("K", for: "FCG71", at: clock.now, by: "second")
    try await queue.remove(seen, for: "FCG71")
    #expect(try await queue.entries(for: "FCG71").map(\.key) == ["K"])
  }

  @Test func `the next issue waits in the queue when its day has come`() async throws {
    try await upload(1, issues: 6)
    _ = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n"))
    let id = Fixtures.prescriptionID(1)
    let order = Fixtures.order(1, treatment: .repeatDispensing, issues: 6)
    _ = try await spine.prescriptions.dispense(
      id, Fixtures.notification(order, .dispensed), Fixtures.envelope("d"))
    clock.advance(days: 21)
    _ = try await spine.prescriptions.runDueActivity(id, .becomeReady, Fixtures.envelope("ready"))
    let released = try await spine.prescriptions.nominatedRelease(Fixtures.envelope("n2"))
    #expect(released.first?.reply.parameters["releasedIssue"] == "2")
    #expect(released.first?.reply.parameters["previousIssueDate"] == "20260301")
  }

  @Test func `every message sent again gets the same reply and changes nothing`() async throws {
    let order = Fixtures.order(1)
    let id = order.prescriptionID
    let service = spine.prescriptions
    let cancel = CancelInstruction(prescriptionID: id, nhsNumber: "9000000009", reason: "0001")
    let steps: [() async throws -> PrescriptionReply] = [
      { try await service.upload(order, Fixtures.envelope("u", by: Fixtures.prescriber)) },
      { try await service.release(id, Fixtures.envelope("r")).reply },
      { try await service.giveBack(id, reason: "0003", Fixtures.envelope("g")) },
      { try await service.release(id, Fixtures.envelope("r2")).reply },
      { try await service.cancel(cancel, Fixtures.envelope("c", by: Fixtures.prescriber)) },
      {
        try await service.dispense(
          id, Fixtures.notification(order, .dispensed), Fixtures.envelope("d"))
      },
      { try await service.claim(id, Fixtures.envelope("cl")) },
    ]
    for step in steps {
      let first = try await step()
      let scn = try await service.record(id)?.scn
      clock.advance(seconds: 5)
      let again = try await step()
      #expect(again.parameters == first.parameters)
      #expect(again.isReplay)
      #expect(try await service.record(id)?.scn == scn)
    }
    #expect(try await service.record(id)?.status == .claimed)
  }

  @Test func `a write of unknown outcome is settled by sending the message again`() async throws {
    // The document is written, the queue entry is written, the record is not.
    let order = Fixtures.order(1, performer: nil)
    let envelope = Fixtures.envelope("u", by: Fixtures.prescriber)
    store.failNextWrites([.outcomeUnknown("time-out")])
    do {
      _ = try await spine.prescriptions.upload(order, envelope)
      Issue.record("it should have failed")
    } catch {
      #expect(error.code == .outcomeUnknown)
    }
    let reply = try await spine.prescriptions.upload(order, envelope)
    #expect(reply.text == "Prescription upload successful")
    #expect(try await spine.prescriptions.record(order.prescriptionID)?.scn == 2)
  }

  @Test func `concurrent dispensers: one gets it, the others are told who`() async throws {
    try await upload(1, performer: nil)
    let id = Fixtures.prescriptionID(1)
    let service = spine.prescriptions
    let outcomes = await withTaskGroup(of: SpineCode?.self) { group in
      for number in 0..<8 {
        group.addTask {
          await code {
            _ = try await service.release(
              id, Fixtures.envelope("r\(number)", by: Agent(organisation: "F000\(number)")))
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(outcomes.count { $0 == nil } == 1)
    #expect(outcomes.count { $0 == .withAnotherDispenser } == 7)
    #expect(try await service.record(id)?.scn == 3)
  }

  @Test func `siblings are merged when read, and replaced by the next write`() async throws {
    try await upload(1)
    let id = Fixtures.prescriptionID(1)
    let key = PrescriptionID.storeKey(of: id)
    let record = try #require(try await spine.prescriptions.record(id))
    let cancel = Fixtures.event(
      "c",
      .cancel(
        CancelInstruction(
          prescriptionID: id, nhsNumber: "9000000009", lineID: Fixtures.lineID(1, 0), reason: "0001"
        )), by: Fixtures.prescriber)
    let fork = try #require(try PrescriptionMachine.apply(cancel, to: record).record)
    store.storeBlindly(
      StoredValue(body: try JSONCoding.encode(fork)), at: key, in: SpineBuckets.prescriptions.name)
    #expect(store.siblingCount(key, in: SpineBuckets.prescriptions.name) == 2)
    _ = try await spine.prescriptions.release(id, Fixtures.envelope("r"))
    #expect(store.siblingCount(key, in: SpineBuckets.prescriptions.name) == 1)
    let merged = try await spine.prescriptions.record(id)
    #expect(merged?[issue: 1].lineItems.map(\.status) == [.cancelled, .withDispenser])
  }

  @Test func `a patient known as deceased gets no prescription`() async throws {
    let patient: JSONValue = [
      "resourceType": "Patient", "id": "9000000009",
      "deceasedDateTime": "2020-01-01T00:00:00+00:00",
    ]
    try await spine.patients.create(patient)
    #expect(await code { try await upload(1) } == .patientDeceased)
  }

  @Test func `index terms and the document's terms are stored with the objects`() async throws {
    try await upload(1)
    let key = PrescriptionID.storeKey(of: Fixtures.prescriptionID(1))
    let record = try await store.fetch(key, in: SpineBuckets.prescriptions.name)
    let terms = record?.values.first?.indexes ?? []
    #expect(terms.contains(IndexTerm("nomPharmStatus_bin", "FCG71_0001")))
    #expect(terms.contains(IndexTerm("nhsNumber_bin", "9000000009")))
    let name = PrescriptionService.documentKey(Fixtures.message("upload 1"), key)
    let document = try await store.fetch(name, in: SpineBuckets.documents.name)
    #expect(document?.values.first?.indexes.contains(IndexTerm("prescriptionid_bin", key)) == true)
  }

  @Test func `preparing sets the properties of every bucket`() async throws {
    try await spine.prepare()
    for (name, settings) in SpineBuckets.all { #expect(store.settings(of: name) == settings) }
  }
}
