extension PrescriptionMachine {
  /// The published outcomes of a cancellation request.
  enum CancelOutcome: String {
    case cancelled = "R-0001"
    case withDispenser = "R-0002"
    case withDispenserActive = "R-0003"
    case alreadyDispensed = "R-0004"
    case expired = "R-0005"
    case alreadyCancelled = "R-0006"
    case alreadyRequested = "R-0007"
    case notFound = "R-0008"
    case notDispensed = "R-0010"

    var text: String {
      switch self {
      case .cancelled: "Prescription/item was cancelled"
      case .withDispenser:
        "Prescription/item was not cancelled. With dispenser. Marked for cancellation"
      case .withDispenserActive:
        "Prescription/item was not cancelled. With dispenser active. Marked for cancellation"
      case .alreadyDispensed: "Prescription/item was not cancelled. Prescription has been dispensed"
      case .expired: "Prescription/item had expired"
      case .alreadyCancelled: "Prescription/item had already been cancelled"
      case .alreadyRequested:
        "Prescription/item cancellation requested by another prescriber"
      case .notFound: "Prescription/item not found"
      case .notDispensed: "Prescription/item not dispensed"
      }
    }

    var reply: [String: String] {
      [
        "responseText": text, "cancellationResponseCode": rawValue,
        "cancellationResponseText": text,
      ]
    }
  }

  /// A request to cancel the prescription or one item, whatever state it is in.
  ///
  /// Each outcome is logged, so that the same request gets the same answer later.
  static func cancel(
    _ instruction: CancelInstruction, _ event: PrescriptionEvent, _ record: PrescriptionRecord?
  ) throws(SpineError) -> Transition {
    let request = CancellationRequest(instruction, event: event)
    guard let record, record.prescription.prescriptionPresent else {
      return try cancelBeforeUpload(request, instruction, event, record)
    }
    guard record.patient.nhsNumber == instruction.nhsNumber else {
      throw SpineError(
        SpineCode("R-5000", "FAILURE_TO_PROCESS_MESSAGE"),
        "Mismatch between prescription and cancellation NHSNumber")
    }
    var changed = record
    let outcome = decide(request, &changed, at: event.time)
    return try finish(changed, event, before: record, parameters: outcome.reply)
  }

  private static func cancelBeforeUpload(
    _ request: CancellationRequest, _ instruction: CancelInstruction, _ event: PrescriptionEvent,
    _ record: PrescriptionRecord?
  ) throws(SpineError) -> Transition {
    var changed = record ?? placeholder(instruction, event)
    var pending = changed.prescription.pendingCancellations ?? []
    // A cancellation of the whole covers every item, and the same target needs no second entry.
    let isCovered = pending.contains {
      ($0.cancellationTarget == "Prescription" || $0.hasTarget(of: request))
        && $0.nhsNumber == request.nhsNumber
    }
    if !isCovered { pending.append(request) }
    changed.prescription.pendingCancellations = pending
    return try finish(changed, event, before: record, parameters: CancelOutcome.notFound.reply)
  }

  private static func decide(
    _ request: CancellationRequest, _ record: inout PrescriptionRecord, at time: String
  ) -> CancelOutcome {
    let issue = record[issue: record.currentIssue]
    if let lineID = request.cancelLineItemRef {
      guard let line = issue.lineItems.first(where: { $0.id == lineID }) else { return .notFound }
      switch line.status {
      case .cancelled: return .alreadyCancelled
      case .expired: return .expired
      case .dispensed: return .alreadyDispensed
      case .notDispensed: return .notDispensed
      case .partial, .owing, .toBeDispensed, .withDispenser: break
      }
    }
    switch issue.prescriptionStatus {
    case .awaitingRelease, .toBeDispensed, .futureIssue, .futureDated:
      take(request, in: &record, at: time)
      return .cancelled
    case .withDispenser: return mark(request, .withDispenser, &record)
    case .withDispenserActive: return mark(request, .withDispenserActive, &record)
    case .expired: return .expired
    case .cancelled: return .alreadyCancelled
    case .dispensed, .claimed, .noClaimed: return .alreadyDispensed
    case .notDispensed: return .notDispensed
    case .pendingCancellation: return .notFound
    }
  }

  /// Marks a prescription that a dispenser holds for cancellation, once per target.
  private static func mark(
    _ request: CancellationRequest, _ outcome: CancelOutcome, _ record: inout PrescriptionRecord
  ) -> CancelOutcome {
    var pending = record.prescription.pendingCancellations ?? []
    guard let earlier = pending.first(where: { $0.hasTarget(of: request) }) else {
      pending.append(request)
      record.prescription.pendingCancellations = pending
      return outcome
    }
    guard earlier.agentOrganization != request.agentOrganization else { return outcome }
    record.prescription.unsuccessfulCancellations =
      (record.prescription.unsuccessfulCancellations ?? []) + [request]
    return .alreadyRequested
  }

  /// Cancels the current and all later issues, or one item of them.
  private static func take(
    _ request: CancellationRequest, in record: inout PrescriptionRecord, at time: String
  ) {
    for number in record.issueNumbers where number >= record.currentIssue {
      var issue = record[issue: number]
      guard issue.prescriptionStatus.isCancellable else { continue }
      for index in issue.lineItems.indices where issue.lineItems[index].status == .toBeDispensed {
        let line = issue.lineItems[index]
        guard request.cancelLineItemRef == nil || request.cancelLineItemRef == line.id else {
          continue
        }
        issue.lineItems[index].move(to: .cancelled)
      }
      issue.cancellations.append(request)
      if !issue.lineItems.contains(where: \.status.isActive) {
        issue.move(to: .cancelled)
        issue.completionDate = String(time.prefix(8))
      }
      record[issue: number] = issue
    }
  }

  /// Lets the cancellations that waited take effect; true when there were any.
  static func applyPendingCancellations(
    to record: inout PrescriptionRecord, at time: String
  ) -> Bool {
    guard let pending = record.prescription.pendingCancellations, !pending.isEmpty else {
      return false
    }
    record.prescription.pendingCancellations = nil
    for request in pending { take(request, in: &record, at: time) }
    return true
  }
}
