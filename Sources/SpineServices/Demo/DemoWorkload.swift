import KVBase
import Synchronization

/// The operations of a demo, each noted in the ledger when it was acknowledged.
public final class DemoWorkload: Sendable {
  /// Prescriptions by what can be done with them next; no two tasks work on one at a time.
  private enum Pool: Int, CaseIterable { case available, released, dispensed, largeRecords }

  private struct State {
    var pools: [[Int]] = Pool.allCases.map { _ in [] }
    /// Patients that have a summary.
    var summarised: [Int] = []
    var counter = 0
  }

  let spine: Spine
  let generator: DemoGenerator
  /// What has been acknowledged.
  public let ledger = Ledger()
  /// How it went.
  public let metrics = DemoMetrics()
  private let state = Mutex(State())

  /// How often a message without a clear answer is sent again, and how long it waits at first.
  private static let repetitions = 6
  private static let firstPause = Duration.milliseconds(40)

  /// A workload on the services.
  public init(spine: Spine, generator: DemoGenerator) {
    self.spine = spine
    self.generator = generator
  }

  static func hash(_ bytes: Bytes) -> UInt64 { StableHash.hash(bytes) }

  /// Performs an operation, sending the same again while its outcome is unknown.
  private func attempt<Result: Sendable>(
    _ operation: DemoOperation, _ body: () async throws(SpineError) -> Result
  ) async -> Result? {
    let start = ContinuousClock.now
    for repetition in 0...Self.repetitions {
      do throws(SpineError) {
        let result = try await body()
        metrics.finished(operation, in: ContinuousClock.now - start)
        return result
      } catch {
        if let code = error.spine {
          metrics.refused(operation, code)
          return nil
        }
        guard error.code == .outcomeUnknown || error.code == .contention else {
          metrics.failed(operation, error)
          return nil
        }
        guard repetition < Self.repetitions else { break }
        metrics.count(operation) { $0.repeated += 1 }
        try? await Task.sleep(for: Self.firstPause * (1 << repetition))
      }
    }
    metrics.count(operation) { $0.unknown += 1 }
    return nil
  }

  // MARK: Loading

  func createPatient(_ index: Int) async {
    let resource = generator.patient(index)
    let created: Bool? = await attempt(.createPatient) { () throws(SpineError) in
      try await spine.patients.create(resource)
      return true
    }
    guard created != nil else { return }
    ledger.acknowledgePatient(generator.nhsNumber(index), version: 1, request: nil)
  }

  func upload(_ index: Int) async {
    let order = generator.order(index)
    let body = generator.bundle(order, index)
    let message = generator.message("upload", index)
    let envelope = Envelope(
      messageID: message, agent: Agent(organisation: order.organisation), body: body)
    let reply = await attempt(.upload) { () throws(SpineError) in
      try await spine.prescriptions.upload(order, envelope)
    }
    guard acknowledge(reply, message, order.prescriptionID) else { return }
    let key = PrescriptionService.documentKey(message, order.prescriptionID)
    ledger.acknowledgeDocument(key, hash: Self.hash(body))
    add(index, to: .available)
  }

  /// Notes a reply to this very message; a reply to an earlier one acknowledges nothing new.
  private func acknowledge(
    _ reply: PrescriptionReply?, _ message: MessageID, _ id: String
  ) -> Bool {
    guard let reply, reply.parameters["refToMessageID"] == message.text else { return false }
    ledger.acknowledgePrescription(PrescriptionID.storeKey(of: id), message)
    return true
  }

  // MARK: Mixed load

  /// One operation of the mixed load: the proportions of the published "general" profile, reads
  /// and updates of records before documents, with the steps of a prescription as the updates.
  func mixed(_ random: inout SeededRandom) async {
    switch random.below(1000) {
    case 0..<380: await readPatient(random.below(generator.patientCount))
    case 380..<450: await updatePatient(random.below(generator.patientCount))
    case 450..<620: await release(&random)
    case 620..<630: await nominatedRelease(random.below(DemoGenerator.pharmacyCount))
    case 630..<760: await dispense(&random)
    case 760..<850: await claim(&random)
    case 850..<890: await cancel(&random)
    case 890..<930: await putSummary(random.below(generator.patientCount))
    case 930..<996: await getSummary(&random)
    case 996..<998: await putRecord()
    default: await getRecord(&random)
    }
  }

  private func take(_ pool: Pool, _ random: inout SeededRandom) -> Int? {
    let draw = random.next()
    return state.withLock { state in
      let count = state.pools[pool.rawValue].count
      guard count > 0 else { return nil }
      state.pools[pool.rawValue].swapAt(Int(draw % UInt64(count)), count - 1)
      return state.pools[pool.rawValue].removeLast()
    }
  }

  private func add(_ index: Int, to pool: Pool) {
    state.withLock { $0.pools[pool.rawValue].append(index) }
  }

  private func nextNumber() -> Int {
    state.withLock {
      $0.counter += 1
      return $0.counter
    }
  }

  private func release(_ random: inout SeededRandom) async {
    guard let index = take(.available, &random) else { return }
    let message = generator.message("release", index)
    let id = generator.prescriptionID(index)
    let envelope = Envelope(
      messageID: message, agent: Agent(organisation: generator.pharmacy(index)))
    let released = await attempt(.release) { () throws(SpineError) in
      try await spine.prescriptions.release(id, envelope)
    }
    if acknowledge(released?.reply, message, id) { add(index, to: .released) }
  }

  private func nominatedRelease(_ pharmacy: Int) async {
    let dispenser = "FZ\(SpineTime.padded(pharmacy, 3))"
    let message = generator.message("nominated release \(dispenser)", nextNumber())
    let envelope = Envelope(messageID: message, agent: Agent(organisation: dispenser))
    let released = await attempt(.nominatedRelease) { () throws(SpineError) in
      try await spine.prescriptions.nominatedRelease(envelope)
    }
    for prescription in released ?? [] {
      let id = prescription.reply.parameters["prescriptionID"] ?? ""
      // The queue may hold what a run with another seed has uploaded.
      guard acknowledge(prescription.reply, message, id),
        let index = generator.prescriptionIndex(id), generator.prescriptionID(index) == id
      else { continue }
      add(index, to: .released)
    }
  }

  private func dispense(_ random: inout SeededRandom) async {
    guard let index = take(.released, &random) else { return }
    let order = generator.order(index)
    let message = generator.message("dispense", index)
    let lines = order.lines.map { DispenseNotification.Line(id: $0.id, status: .dispensed) }
    let notification = DispenseNotification(lines: lines, issueCount: order.issueCount)
    let envelope = Envelope(
      messageID: message, agent: Agent(organisation: generator.pharmacy(index)),
      body: Bytes("{\"resourceType\":\"Bundle\",\"id\":\"\(message)\"}".utf8))
    let reply = await attempt(.dispense) { () throws(SpineError) in
      try await spine.prescriptions.dispense(order.prescriptionID, notification, envelope)
    }
    if acknowledge(reply, message, order.prescriptionID) { add(index, to: .dispensed) }
  }

  private func claim(_ random: inout SeededRandom) async {
    guard let index = take(.dispensed, &random) else { return }
    let message = generator.message("claim", index)
    let id = generator.prescriptionID(index)
    let envelope = Envelope(
      messageID: message, agent: Agent(organisation: generator.pharmacy(index)))
    let reply = await attempt(.claim) { () throws(SpineError) in
      try await spine.prescriptions.claim(id, issue: 1, envelope)
    }
    _ = acknowledge(reply, message, id)
  }

  private func cancel(_ random: inout SeededRandom) async {
    let isWithDispenser = random.chance(0.3)
    guard let index = take(isWithDispenser ? .released : .available, &random) else { return }
    let order = generator.order(index)
    let message = generator.message("cancel", index)
    let instruction = CancelInstruction(
      prescriptionID: order.prescriptionID, nhsNumber: order.patient.nhsNumber, reason: "0003")
    let envelope = Envelope(messageID: message, agent: Agent(organisation: order.organisation))
    let reply = await attempt(.cancel) { () throws(SpineError) in
      try await spine.prescriptions.cancel(instruction, envelope)
    }
    _ = acknowledge(reply, message, order.prescriptionID)
    if isWithDispenser { add(index, to: .released) }
  }

  // MARK: Patients and records

  private static let reader = Agent(organisation: "A83008", person: "555086689106")

  private func readPatient(_ index: Int) async {
    let number = generator.nhsNumber(index)
    _ = await attempt(.readPatient) { () throws(SpineError) in
      try await spine.patients.patient(
        number, by: Self.reader, request: generator.message("read", index))
    }
  }

  private func updatePatient(_ index: Int) async {
    let number = generator.nhsNumber(index)
    let edition = nextNumber()
    let request = generator.message("update \(edition)", index)
    let phone = "01632960\(SpineTime.padded(edition % 1000, 3))"
    let patches = [
      PatchOperation(op: "replace", path: "/telecom/0/id", value: "T1"),
      PatchOperation(op: "replace", path: "/telecom/0/value", value: .string(phone)),
    ]
    guard
      let seen = await attempt(
        .readPatient,
        { () throws(SpineError) in
          try await spine.patients.patient(number, by: Self.reader, request: request)
        })
    else { return }
    let updated = await attempt(.updatePatient) { () throws(SpineError) in
      try await spine.patients.update(
        number, patches, ifMatch: "W/\"\(seen.version)\"", requestID: request.text,
        by: Self.reader)
    }
    guard let updated else { return }
    ledger.acknowledgePatient(number, version: updated.version, request: request)
  }

  private func putSummary(_ patient: Int) async {
    let edition = nextNumber()
    let id = generator.message("summary \(edition)", patient)
    guard let nhs = NHSNumber(generator.nhsNumber(patient)) else { return }
    let body = generator.summary(patient, edition)
    let done: Bool? = await attempt(.putSummary) { () throws(SpineError) in
      try await spine.records.putSummary(body, id: id, for: nhs, by: Self.reader)
      return true
    }
    guard done != nil else { return }
    ledger.acknowledgeSummary(nhs.digits, id)
    state.withLock { $0.summarised.append(patient) }
  }

  private func getSummary(_ random: inout SeededRandom) async {
    let draw = random.next()
    let patient = state.withLock { state -> Int? in
      state.summarised.isEmpty
        ? nil : state.summarised[Int(draw % UInt64(state.summarised.count))]
    }
    guard let patient, let nhs = NHSNumber(generator.nhsNumber(patient)) else { return }
    _ = await attempt(.getSummary) { () throws(SpineError) in
      guard let id = try await spine.records.currentSummary(of: nhs) else { return Bytes?.none }
      return try await spine.records.summary(
        id, of: nhs, by: Self.reader, request: generator.message("summary read", patient))
    }
  }

  private func putRecord() async {
    let number = nextNumber()
    let conversation = generator.message("conversation", number)
    guard let nhs = NHSNumber(generator.nhsNumber(number % generator.patientCount)) else { return }
    let content = generator.largeRecord(number)
    let manifest = await attempt(.putRecord) { () throws(SpineError) in
      try await spine.records.putRecord(
        content, conversation: conversation, for: nhs, contentType: "application/octet-stream")
    }
    guard let manifest else { return }
    ledger.acknowledgeLargeRecord(conversation, hash: manifest.hash)
    add(number, to: .largeRecords)
  }

  private func getRecord(_ random: inout SeededRandom) async {
    guard let number = take(.largeRecords, &random) else { return }
    let conversation = generator.message("conversation", number)
    _ = await attempt(.getRecord) { () throws(SpineError) in
      try await spine.records.record(conversation)?.content.count
    }
    add(number, to: .largeRecords)
  }
}
