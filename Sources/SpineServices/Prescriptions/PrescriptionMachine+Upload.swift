extension PrescriptionMachine {
  /// A new prescription, or the one a cancellation has been waiting for.
  static func upload(
    _ order: PrescriptionOrder, _ event: PrescriptionEvent, over existing: PrescriptionRecord?
  ) throws(SpineError) -> Transition {
    if existing?.prescription.prescriptionPresent == true {
      throw SpineError(.duplicatePrescription, "\(order.prescriptionID) is already held")
    }
    try check(order, at: event.time)
    var record = newRecord(order, event)
    if let existing {
      record.changeLog = existing.changeLog
      record.documents = existing.documents + record.documents
      record.prescription.pendingCancellations = existing.prescription.pendingCancellations?
        .filter { $0.nhsNumber == order.patient.nhsNumber }
      _ = applyPendingCancellations(to: &record, at: event.time)
    }
    return try finish(
      record, event, before: existing,
      parameters: ["responseText": "Prescription upload successful"])
  }

  /// The limits every prescription must keep.
  private static func check(_ order: PrescriptionOrder, at time: String) throws(SpineError) {
    guard (1...PrescriptionOrder.lineLimit).contains(order.lines.count) else {
      throw SpineError(.wrongItemCount, "\(order.lines.count) items; 1 to 4 are allowed")
    }
    guard Set(order.lines.map(\.id)).count == order.lines.count else {
      throw SpineError(.duplicateItem, "two items have the same identifier")
    }
    guard (1...99).contains(order.issueCount) else {
      throw SpineError(.repeatOutOfRange, "\(order.issueCount) issues; 1 to 99 are allowed")
    }
    guard order.lines.allSatisfy({ (1...order.issueCount).contains($0.maxRepeats ?? 1) }) else {
      throw SpineError(.repeatMismatch, "an item repeats more often than the prescription")
    }
    guard (0...366).contains(order.daysSupply) else {
      throw SpineError(.invalidMessage, "\(order.daysSupply) days of supply; 0 to 366 are allowed")
    }
    if let birth = order.patient.birthDate, birth > time.prefix(8) {
      throw SpineError(.badDate, "born on \(birth), which is ahead")
    }
  }

  private static func newRecord(
    _ order: PrescriptionOrder, _ event: PrescriptionEvent
  ) -> PrescriptionRecord {
    let repeats = order.treatment == .repeatDispensing
    var instances: [String: PrescriptionInstance] = [:]
    for number in 1...order.issueCount {
      instances[String(number)] = newIssue(number, order, handledAt: event.time)
    }
    return PrescriptionRecord(
      prescription: PrescriptionHeader(
        prescriptionID: order.prescriptionID, prescriptionMsgRef: event.documentKey,
        prescriptionType: order.prescriptionType,
        prescriptionTreatmentType: order.treatment.rawValue, prescriptionTime: order.time,
        signedTime: order.signedTime, prescribingOrganization: order.organisation,
        daysSupply: LooseInt(order.daysSupply),
        maxRepeats: repeats ? LooseInt(order.issueCount) : nil, currentInstance: "1",
        pendingCancellations: nil, unsuccessfulCancellations: nil, prescriptionPresent: true),
      patient: patient(order.patient),
      nomination: Nomination(
        nominated: order.performer != nil, nominatedPerformer: order.performer,
        nominatedPerformerType: order.performerType, nominationHistory: []),
      instances: instances, documents: [], changeLog: [:], indexes: [:], scn: 1)
  }

  private static func patient(_ patient: PrescriptionOrder.Patient) -> PrescriptionPatient {
    let birth = patient.birthDate.flatMap { CivilDate($0) }
    return PrescriptionPatient(
      nhsNumber: patient.nhsNumber, birthTime: patient.birthDate,
      lowerAgeLimit: birth?.adding(months: 16 * 12).adding(days: -1).text,
      higherAgeLimit: birth?.adding(months: 60 * 12).text, prefix: patient.prefix,
      given: patient.given, family: patient.family)
  }

  private static func newIssue(
    _ number: Int, _ order: PrescriptionOrder, handledAt time: String
  ) -> PrescriptionInstance {
    let start = CivilDate(order.time.prefix(8)) ?? CivilDate(daysSinceEpoch: 0)
    let handled = CivilDate(time.prefix(8)) ?? start
    let isAhead = start.daysSinceEpoch > handled.daysSinceEpoch + 1
    let status: IssueStatus =
      number > 1 ? .futureIssue : isAhead ? .futureDated : .toBeDispensed
    let lines = order.lines.enumerated().map { index, line in
      LineItem(
        id: line.id, status: number > (line.maxRepeats ?? number) ? .expired : .toBeDispensed,
        previousStatus: nil, order: index + 1, maxRepeats: line.maxRepeats.map { LooseInt($0) })
    }
    return PrescriptionInstance(
      instanceNumber: String(number), prescriptionStatus: status, previousStatus: nil,
      lastDispenseStatus: nil, lineItems: lines, dispense: DispenseBlock(), claim: ClaimBlock(),
      cancellations: [], dispenseHistory: [:], nextActivity: NextActivity(),
      dispenseWindowLowDate: start.text,
      dispenseWindowHighDate: start.adding(months: 12).text,
      expiryDate: start.adding(months: number > 1 ? 12 : 6).text, completionDate: nil,
      nominatedDownloadDate: nil, releaseDate: nil, releaseRequestMsgRef: nil,
      previousIssueDate: nil)
  }

  /// The record that stands for a prescription cancelled before it came.
  static func placeholder(
    _ instruction: CancelInstruction, _ event: PrescriptionEvent
  ) -> PrescriptionRecord {
    PrescriptionRecord(
      prescription: PrescriptionHeader(
        prescriptionID: instruction.prescriptionID, prescriptionMsgRef: nil, prescriptionType: nil,
        prescriptionTreatmentType: nil, prescriptionTime: nil, signedTime: nil,
        prescribingOrganization: event.agent.organisation, daysSupply: nil, maxRepeats: nil,
        currentInstance: "1", pendingCancellations: nil, unsuccessfulCancellations: nil,
        prescriptionPresent: false),
      patient: PrescriptionPatient(
        nhsNumber: instruction.nhsNumber, birthTime: nil, lowerAgeLimit: nil, higherAgeLimit: nil,
        prefix: nil, given: nil, family: nil),
      nomination: Nomination(
        nominated: false, nominatedPerformer: nil, nominatedPerformerType: nil,
        nominationHistory: []),
      instances: [
        "1": PrescriptionInstance(
          instanceNumber: "1", prescriptionStatus: .pendingCancellation, previousStatus: nil,
          lastDispenseStatus: nil, lineItems: [], dispense: DispenseBlock(), claim: ClaimBlock(),
          cancellations: [], dispenseHistory: [:], nextActivity: NextActivity(),
          dispenseWindowLowDate: nil, dispenseWindowHighDate: nil, expiryDate: nil,
          completionDate: String(event.time.prefix(8)), nominatedDownloadDate: nil,
          releaseDate: nil, releaseRequestMsgRef: nil, previousIssueDate: nil)
      ], documents: [], changeLog: [:], indexes: [:], scn: 1)
  }
}
