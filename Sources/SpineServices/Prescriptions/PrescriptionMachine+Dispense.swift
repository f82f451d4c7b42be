extension PrescriptionMachine {
  /// A dispense notification: every item of the issue with its new status.
  ///
  /// Any item still active leaves the issue with the dispenser; else one item supplied makes it
  /// dispensed, and none makes it not dispensed.
  static func dispense(
    _ notification: DispenseNotification, _ event: PrescriptionEvent, _ record: PrescriptionRecord
  ) throws(SpineError) -> Transition {
    let number = record.currentIssue
    var issue = record[issue: number]
    guard issue.prescriptionStatus.isWithDispenser else {
      throw SpineError(
        .invalidStateTransition,
        "cannot be dispensed at \(issue.prescriptionStatus.rawValue)")
    }
    try requireHolder(of: issue, event)
    try checkRepeats(notification, record)
    let targets = try statuses(notification, of: issue)
    issue.dispenseHistory[event.messageID] = DispenseSnapshot(
      dispense: issue.dispense, prescriptionStatus: issue.prescriptionStatus,
      lastDispenseStatus: issue.lastDispenseStatus, lineItems: issue.lineItems,
      completionDate: issue.completionDate)
    for index in issue.lineItems.indices { issue.lineItems[index].move(to: targets[index]) }
    let status = outcome(of: issue.lineItems)
    issue.move(to: status)
    issue.lastDispenseStatus = status
    issue.dispense.lastDispenseDate = String(event.time.prefix(8))
    issue.dispense.lastDispenseNotificationGuid = event.messageID
    issue.dispense.lastDispenseNotificationMsgRef = event.documentKey
    var changed = record
    var reply = [
      "responseText": "Dispense notification successful", "dispensedIssue": String(number),
      "prescriptionStatus": status.rawValue,
    ]
    if status.isCompleted { issue.completionDate = String(event.time.prefix(8)) }
    changed[issue: number] = issue
    if status.isCompleted, complete(number, in: &changed, at: event.time) {
      reply["nextIssue"] = changed.prescription.currentInstance
    }
    return try finish(changed, event, before: record, parameters: reply)
  }

  private static func checkRepeats(
    _ notification: DispenseNotification, _ record: PrescriptionRecord
  ) throws(SpineError) {
    guard record.prescription.isRepeatDispensing, let count = notification.issueCount else {
      return
    }
    guard count == record.prescription.maxRepeats?.value else {
      throw SpineError(
        .repeatMismatch,
        "\(count) issues, but the prescription has \(record.prescription.maxRepeats?.value ?? 1)")
    }
  }

  /// The new statuses in the order of the issue's items.
  private static func statuses(
    _ notification: DispenseNotification, of issue: PrescriptionInstance
  ) throws(SpineError) -> [LineStatus] {
    var statuses: [LineStatus] = []
    let asked = Set(notification.lines.map(\.id))
    guard asked.count == notification.lines.count, asked == Set(issue.lineItems.map(\.id)) else {
      throw SpineError(.itemNotFound, "the items are not those of the prescription")
    }
    for line in issue.lineItems {
      guard let target = notification.lines.first(where: { $0.id == line.id })?.status,
        line.status.dispenseTargets.contains(target)
      else {
        throw SpineError(
          .invalidLineTransition, "item \(line.id) cannot leave \(line.status.rawValue) this way")
      }
      statuses.append(target)
    }
    return statuses
  }

  private static func outcome(of lines: [LineItem]) -> IssueStatus {
    if lines.contains(where: \.status.isActive) { return .withDispenserActive }
    return lines.contains { $0.status == .dispensed } ? .dispensed : .notDispensed
  }

  /// Moves on to the next issue of a repeat-dispensing prescription; true if there is one.
  ///
  /// A cancellation that waited for the dispenser of the completed issue meets the later ones.
  private static func complete(
    _ number: Int, in record: inout PrescriptionRecord, at time: String
  ) -> Bool {
    let next = number + 1
    guard record.instances[String(next)]?.prescriptionStatus == .futureIssue else {
      record.prescription.pendingCancellations = nil
      return false
    }
    let today = String(time.prefix(8))
    let start = CivilDate((record.prescription.prescriptionTime ?? today).prefix(8))
    let supply = record.prescription.daysSupply?.value ?? Timers.defaultDaysSupply
    var issue = record[issue: next]
    let download =
      start?.adding(days: supply * (next - 1) - Timers.downloadLeadDays).text ?? today
    issue.nominatedDownloadDate = download
    issue.previousIssueDate = today
    issue.dispenseWindowLowDate = today
    issue.move(to: download >= today ? .awaitingRelease : .toBeDispensed)
    record[issue: next] = issue
    record.prescription.currentInstance = String(next)
    _ = applyPendingCancellations(to: &record, at: time)
    return true
  }

  /// A claim for payment of a dispensed issue, by its dispenser.
  static func claim(
    _ claimID: String, issue wanted: Int?, _ event: PrescriptionEvent, _ record: PrescriptionRecord
  ) throws(SpineError) -> Transition {
    let dispensed = record.issueNumbers.last { record[issue: $0].prescriptionStatus == .dispensed }
    let number = wanted ?? dispensed ?? record.currentIssue
    guard var issue = record.instances[String(number)] else {
      throw SpineError(.itemNotFound, "there is no issue \(number)")
    }
    switch issue.prescriptionStatus {
    case .dispensed: break
    case .claimed, .noClaimed:
      throw SpineError(
        .invalidStateTransition, "issue \(number) is at \(issue.prescriptionStatus.rawValue)")
    default:
      throw SpineError(
        .claimNotDispensed, "issue \(number) is at \(issue.prescriptionStatus.rawValue)")
    }
    try requireHolder(of: issue, event)
    issue.move(to: .claimed)
    issue.claim.claimGUID = claimID
    issue.claim.claimReceivedDate = String(event.time.prefix(8))
    issue.claim.dispenseClaimMsgRef = event.documentKey
    var changed = record
    changed[issue: number] = issue
    return try finish(
      changed, event, before: record,
      parameters: ["responseText": "Claim successful", "claimedIssue": String(number)])
  }
}
