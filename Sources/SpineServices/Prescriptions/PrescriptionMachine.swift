/// Decides what a message does to a prescription's record.
///
/// Pure: the record before and the event give the record after and the reply; time comes with the
/// event. A message already in the change log changes nothing and gets its stored reply.
///
/// **Source**: eps-spine-shared for statuses, transitions and timers; where the published library
/// leaves a rule to its callers, the rule is stated at the function.
public enum PrescriptionMachine {
  /// The outcome of an event: the record to store, or nil when nothing changes, and the reply.
  public struct Transition: Sendable {
    /// The record after the event; nil when the store need not be touched.
    public var record: PrescriptionRecord?
    /// What the sender is told.
    public var reply: PrescriptionReply
  }

  /// The most changes a record holds; further ones are refused as a system error.
  public static let changeLimit = 512

  /// Applies `event` to `record` (nil: there is none yet).
  public static func apply(
    _ event: PrescriptionEvent, to record: PrescriptionRecord?
  ) throws(SpineError) -> Transition {
    if let entry = record?.changeLog[event.messageID] {
      return Transition(
        record: nil, reply: PrescriptionReply(parameters: entry.response, isReplay: true))
    }
    guard (record?.changeLog.count ?? 0) < changeLimit else {
      throw SpineError(.unableToProcess, "the change log is full (\(changeLimit) changes)")
    }
    switch event.action {
    case .upload(let order): return try upload(order, event, over: record)
    case .cancel(let instruction): return try cancel(instruction, event, record)
    default: break
    }
    guard let record, record.prescription.prescriptionPresent else {
      if case .release = event.action { throw SpineError(.releaseNotFound) }
      throw SpineError(.prescriptionNotFound)
    }
    switch event.action {
    case .release(let basis): return try release(basis, event, record)
    case .giveBack(let reason): return try giveBack(reason, event, record)
    case .dispense(let notification): return try dispense(notification, event, record)
    case .claim(let claimID, let issue): return try claim(claimID, issue: issue, event, record)
    case .becomeReady: return try becomeReady(event, record)
    case .expire: return try expire(event, record)
    case .upload, .cancel: preconditionFailure("handled above")
    }
  }

  /// Completes a change: timers, index terms, serial number, log entry; checks the invariants.
  static func finish(
    _ changed: PrescriptionRecord, _ event: PrescriptionEvent, before: PrescriptionRecord?,
    parameters: [String: String]
  ) throws(SpineError) -> Transition {
    var record = changed
    try checkLines(record)
    for number in record.issueNumbers {
      record[issue: number].nextActivity = record.activity(ofIssue: number)
    }
    record.scn = (before?.scn ?? 1) + 1
    if !record.documents.contains(event.documentKey), !event.documentKey.isEmpty {
      record.documents.append(event.documentKey)
    }
    var response = parameters
    response["prescriptionID"] = record.prescription.prescriptionID
    response["refToMessageID"] = event.messageID
    response["messageID"] = MessageID(derivedFrom: "reply", event.messageID).text
    response["timeStampAck"] = event.time
    record.changeLog[event.messageID] = entry(event, before: before, after: record, response)
    record.indexes = record.indexTerms(
      updatedAt: record.changeLog.values.map(\.timestamp).max() ?? event.time)
    return Transition(
      record: record, reply: PrescriptionReply(parameters: response, isReplay: false))
  }

  private static func entry(
    _ event: PrescriptionEvent, before: PrescriptionRecord?, after: PrescriptionRecord,
    _ response: [String: String]
  ) -> ChangeEntry {
    ChangeEntry(
      scn: after.scn, timestamp: event.time, internalID: event.documentKey,
      interactionID: event.interactionID, agentSystem: event.agent.system,
      agentPerson: event.agent.person, agentOrganisation: event.agent.organisation,
      agentRole: event.agent.role, timePrepared: event.time,
      fromStatus: before?.status.rawValue, toStatus: after.status.rawValue,
      issue: after.prescription.currentInstance, response: response, event: event)
  }

  private static func checkLines(_ record: PrescriptionRecord) throws(SpineError) {
    for number in record.issueNumbers {
      let issue = record[issue: number]
      let allowed = issue.prescriptionStatus.allowedLines
      for line in issue.lineItems where !allowed.contains(line.status) {
        throw SpineError(
          .unableToProcess,
          "item \(line.id) at \(line.status.rawValue) in issue \(number) at "
            + issue.prescriptionStatus.rawValue)
      }
    }
  }
}

extension PrescriptionMachine {
  // MARK: Release and return

  private static func release(
    _ basis: PrescriptionEvent.ReleaseBasis, _ event: PrescriptionEvent,
    _ record: PrescriptionRecord
  ) throws(SpineError) -> Transition {
    let issue = record[issue: record.currentIssue]
    let dispenser = event.agent.organisation
    switch issue.prescriptionStatus {
    case .toBeDispensed: break
    case .withDispenser, .withDispenserActive:
      guard basis == .identifier else {
        throw SpineError(.releaseNotFound, "it waits for no one: a dispenser holds it")
      }
      return try releaseAgain(to: dispenser, issue, record)
    case .cancelled: throw SpineError(.cancelled)
    case .expired: throw SpineError(.expired)
    case .dispensed, .notDispensed, .claimed, .noClaimed: throw SpineError(.dispensed)
    case .awaitingRelease, .futureIssue, .futureDated, .pendingCancellation:
      throw SpineError(
        .releaseNotFound, "not yet available (status \(issue.prescriptionStatus.rawValue))")
    }
    if basis == .nominated, record.waitingFor != dispenser {
      throw SpineError(.releaseNotFound, "not nominated to \(dispenser)")
    }
    var changed = record
    var released = issue
    released.move(to: .withDispenser)
    for index in released.lineItems.indices where released.lineItems[index].status == .toBeDispensed
    {
      released.lineItems[index].move(to: .withDispenser)
    }
    released.dispense.dispensingOrganization = dispenser
    released.releaseDate = String(event.time.prefix(8))
    released.releaseRequestMsgRef = event.documentKey
    released.dispenseHistory["release"] = DispenseSnapshot(
      dispense: released.dispense, prescriptionStatus: .withDispenser,
      lastDispenseStatus: released.lastDispenseStatus, lineItems: released.lineItems,
      completionDate: nil)
    changed[issue: record.currentIssue] = released
    return try finish(
      changed, event, before: record, parameters: releaseReply(issue, record, event))
  }

  /// The dispenser who holds it gets the reply to its release again; any other is refused.
  private static func releaseAgain(
    to dispenser: String, _ issue: PrescriptionInstance, _ record: PrescriptionRecord
  ) throws(SpineError) -> Transition {
    let holder = issue.dispense.dispensingOrganization ?? ""
    guard holder == dispenser else {
      throw SpineError(
        .withAnotherDispenser, "it is with \(holder)", detail: ["dispensingOrganization": holder])
    }
    let reply = record.changeLog.values.filter {
      $0.issue == issue.instanceNumber && $0.response["dispensingOrganization"] == dispenser
        && $0.response["releasedIssue"] == issue.instanceNumber
    }.max { $0.scn < $1.scn }
    guard let reply else { throw SpineError(.unableToProcess, "no release is in the change log") }
    return Transition(
      record: nil, reply: PrescriptionReply(parameters: reply.response, isReplay: true))
  }

  /// The reply to a release: the statuses before it and the repeat counters exactly as signed.
  private static func releaseReply(
    _ issue: PrescriptionInstance, _ record: PrescriptionRecord, _ event: PrescriptionEvent
  ) -> [String: String] {
    var reply = [
      "responseText": "Release Request successful",
      "dispensingOrganization": event.agent.organisation,
      "releasedIssue": issue.instanceNumber,
      "nhsNumber": record.patient.nhsNumber,
      "prescriptionStatus": issue.prescriptionStatus.rawValue,
      "prescriptionStatusDisplayName": issue.prescriptionStatus.displayName,
      "prescriptionCurrentInstance": issue.instanceNumber,
      "prescriptionMsgRef": record.prescription.prescriptionMsgRef ?? "",
      "previousIssueDate": issue.previousIssueDate ?? "",
      "lowerAgeLimit": record.patient.lowerAgeLimit ?? "",
      "higherAgeLimit": record.patient.higherAgeLimit ?? "",
    ]
    if let repeats = record.prescription.maxRepeats {
      reply["prescriptionMaxRepeats"] = String(repeats.value)
    }
    for line in issue.lineItems {
      reply["lineItem\(line.order)ID"] = line.id
      reply["lineItem\(line.order)Status"] = line.status.rawValue
      reply["lineItem\(line.order)StatusDisplayName"] = line.status.displayName
      if let repeats = line.maxRepeats {
        reply["lineItem\(line.order)MaxRepeats"] = String(repeats.value)
        reply["lineItem\(line.order)CurrentInstance"] = issue.instanceNumber
      }
    }
    return reply.filter { !$0.value.isEmpty }
  }

  /// The whole prescription goes back; the nomination moves to its history, and a cancellation
  /// that waited for the dispenser now takes effect.
  private static func giveBack(
    _ reason: String, _ event: PrescriptionEvent, _ record: PrescriptionRecord
  ) throws(SpineError) -> Transition {
    let number = record.currentIssue
    var issue = record[issue: number]
    guard issue.prescriptionStatus == .withDispenser else {
      throw SpineError(
        .invalidStateTransition, "cannot be returned from \(issue.prescriptionStatus.rawValue)")
    }
    try requireHolder(of: issue, event)
    var changed = record
    issue.move(to: .toBeDispensed)
    for index in issue.lineItems.indices where issue.lineItems[index].status == .withDispenser {
      issue.lineItems[index].move(to: .toBeDispensed)
    }
    issue.dispense = DispenseBlock()
    issue.dispenseHistory["release"] = nil
    issue.releaseDate = nil
    issue.releaseRequestMsgRef = nil
    changed[issue: number] = issue
    if let performer = changed.nomination.nominatedPerformer {
      changed.nomination.nominationHistory.append(performer)
    }
    changed.nomination.nominated = false
    changed.nomination.nominatedPerformer = nil
    var reply = ["responseText": "Return successful", "returnReason": reason]
    if applyPendingCancellations(to: &changed, at: event.time) {
      reply["subsequentCancellation"] = "Prescription/item was cancelled"
    }
    return try finish(changed, event, before: record, parameters: reply)
  }

  static func requireHolder(
    of issue: PrescriptionInstance, _ event: PrescriptionEvent
  ) throws(SpineError) {
    let holder = issue.dispense.dispensingOrganization ?? ""
    guard holder == event.agent.organisation else {
      throw SpineError(
        .withAnotherDispenser, "it is with \(holder), not \(event.agent.organisation)",
        detail: ["dispensingOrganization": holder])
    }
  }

  // MARK: Batch

  private static func becomeReady(
    _ event: PrescriptionEvent, _ record: PrescriptionRecord
  ) throws(SpineError) -> Transition {
    let number = record.currentIssue
    let activity = record.activity(ofIssue: number)
    guard record.status == .awaitingRelease || record.status == .futureDated,
      activity.activity == "ready", let due = activity.date, due <= event.time.prefix(8)
    else {
      throw SpineError(.invalidStateTransition, "nothing is due to become ready")
    }
    var changed = record
    changed[issue: number].move(to: .toBeDispensed)
    return try finish(
      changed, event, before: record, parameters: ["responseText": "Updated by batch: ready"])
  }

  /// The current and all later issues expire; one partly dispensed counts as dispensed.
  private static func expire(
    _ event: PrescriptionEvent, _ record: PrescriptionRecord
  ) throws(SpineError) -> Transition {
    guard !record.status.isCompleted else {
      throw SpineError(.invalidStateTransition, "cannot expire from \(record.status.rawValue)")
    }
    var changed = record
    let numbers = record.issueNumbers.filter { $0 >= record.currentIssue }
    for number in numbers {
      var issue = changed[issue: number]
      let isActive = issue.prescriptionStatus == .withDispenserActive
      issue.move(to: isActive ? .dispensed : .expired)
      for index in issue.lineItems.indices {
        issue.lineItems[index].move(to: issue.lineItems[index].status.whenExpired)
      }
      // A partly dispensed issue whose items all end without supply was not dispensed.
      if isActive, !issue.lineItems.contains(where: { $0.status == .dispensed }) {
        issue.prescriptionStatus = .notDispensed
      }
      issue.completionDate = String(event.time.prefix(8))
      changed[issue: number] = issue
    }
    changed.prescription.currentInstance = String(numbers.last ?? record.currentIssue)
    return try finish(
      changed, event, before: record, parameters: ["responseText": "Updated by batch: expired"])
  }
}
