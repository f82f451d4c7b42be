public import KVBase

/// What became of one file, for people and for JSON output.
public struct LoadRow: Codable, Hashable, Sendable {
  /// The file, relative to the path that was loaded.
  public var file: String
  /// What it was recognised as.
  public var kind: String
  /// The prescription or patient it is about, if it says.
  public var id: String
  /// What was done with it.
  public var outcome: Outcome
  /// The published code of a refusal.
  public var code: String
  /// Why, or what else there is to say.
  public var note: String
  /// How far an accepted prescription went: released, dispensed, claimed.
  public var steps: [String]

  /// What can be done with a file.
  public enum Outcome: String, Codable, Sendable {
    /// Stored; or stored before, and answered the same.
    case accepted
    /// Refused with a published code.
    case rejected
    /// Recognised and checked; not applied, since it speaks of a prescription's later life.
    case checked
    /// Not something to load.
    case skipped
    /// The store failed, or an accepted prescription could not go through its life.
    case failed
  }
}

/// Loads FHIR files: patients and signed prescriptions are stored, everything else is checked.
///
/// All message identifiers are the files' own or follow from them, so that loading again changes
/// nothing and gives the same replies.
public struct Loader: Sendable {
  private let spine: Spine
  /// Whether accepted prescriptions are released, dispensed and claimed.
  private let runsLifecycle: Bool
  /// Who dispenses what was not nominated to anyone.
  private let dispenser: String

  /// A loader into `spine`.
  public init(spine: Spine, runsLifecycle: Bool, dispenser: String = "VNE51") {
    self.spine = spine
    self.runsLifecycle = runsLifecycle
    self.dispenser = dispenser
  }

  /// Loads files in order, patients first: an order for a patient known as deceased is refused.
  public func load(
    _ files: [(name: String, bytes: Bytes)], report: @Sendable (LoadRow) -> Void = { _ in }
  ) async -> [LoadRow] {
    var rows: [LoadRow] = []
    var seen: Set<String> = []
    let messages = files.map { (file: $0, message: FHIRMessage($0.bytes)) }
    for patientsFirst in [true, false] {
      for (file, message) in messages {
        if case .patient = message {
          guard patientsFirst else { continue }
        } else if patientsFirst {
          continue
        }
        let row = await load(file.name, file.bytes, message, &seen)
        report(row)
        rows.append(row)
      }
    }
    return rows
  }

  private func load(
    _ file: String, _ bytes: Bytes, _ message: FHIRMessage, _ seen: inout Set<String>
  ) async -> LoadRow {
    var row = LoadRow(
      file: file, kind: "", id: "", outcome: .skipped, code: "", note: "", steps: [])
    switch message {
    case .order(let result, let bundle):
      row.kind = "order"
      row.id = bundle.prescriptionID ?? ""
      switch result {
      case .failure(let error):
        row.refuse(error)
        if error.spine == .missingSignature { row.note += ": as a $prepare request" }
      case .success(let signed): await upload(signed, bytes, &row, &seen)
      }
    case .patient(let resource):
      row.kind = "patient"
      row.id = resource["id"]?.string ?? ""
      await create(resource, &row)
    case .cancellation(let result, let bundle):
      row.check("cancellation", bundle.prescriptionID, result.map { _ in () })
    case .dispenseNotification(let result, let bundle):
      row.check("dispense notification", bundle.prescriptionID, result.map { _ in () })
    case .claim(let result):
      row.check("claim", try? result.get().id, result.map { _ in () })
    case .release(let owner, let id):
      row.check(id == nil ? "nominated release" : "release", id ?? owner, .success(()))
    case .giveBack(let id, _): row.check("return", id, .success(()))
    case .other(let type): (row.kind, row.note) = (type, "nothing to load")
    case .unreadable(let why): (row.kind, row.note) = ("–", why)
    }
    return row
  }

  private func create(_ resource: JSONValue, _ row: inout LoadRow) async {
    do {
      let isNew = try await spine.patients.create(resource)
      row.outcome = .accepted
      row.note = isNew ? "" : "there already"
    } catch {
      row.refuse(error)
    }
  }

  private func upload(
    _ signed: SignedOrder, _ bytes: Bytes, _ row: inout LoadRow, _ seen: inout Set<String>
  ) async {
    let envelope = Envelope(messageID: signed.messageID, agent: signed.agent, body: bytes)
    do {
      let reply = try await spine.prescriptions.upload(signed.order, envelope)
      row.outcome = .accepted
      if reply.isReplay {
        let key = PrescriptionService.documentKey(signed.messageID, row.id)
        let kept = try await spine.prescriptions.documents.fetch(key)?.value
        row.note =
          kept?.body == bytes
          ? "sent before: the same reply again"
          : "another bundle came with this message id: its reply again, nothing stored"
      }
      guard runsLifecycle else { return }
      if seen.insert(signed.order.prescriptionID).inserted {
        row.steps = try await runLifecycle(signed.order.prescriptionID)
      } else {
        row.steps = ["as above"]
      }
    } catch {
      if row.outcome == .accepted {
        (row.outcome, row.code, row.note) = (.failed, error.spine?.description ?? "", "\(error)")
      } else {
        row.refuse(error)
      }
    }
  }

  /// Release, dispense and claim of every issue that can be had now; what was done, in order.
  private func runLifecycle(_ id: String) async throws(SpineError) -> [String] {
    var counts = [0, 0, 0]
    var issue = 1
    while let record = try await spine.prescriptions.record(id), record.currentIssue >= issue,
      record[issue: issue].prescriptionStatus != .awaitingRelease
    {
      let holder = record[issue: issue].dispense.dispensingOrganization
      let agent = Agent(
        organisation: holder ?? record.nomination.nominatedPerformer ?? dispenser)
      func envelope(_ step: String) -> Envelope {
        Envelope(messageID: MessageID(derivedFrom: "load", step, id, "\(issue)"), agent: agent)
      }
      let released = try await spine.prescriptions.release(id, envelope("release"))
      guard !released.document.isEmpty else {
        throw SpineError(.corruptValue, "the release of \(id) came without its document")
      }
      counts[0] += 1
      let lines = record[issue: issue].lineItems
      let notification = DispenseNotification(
        lines: lines.map { .init(id: $0.id, status: $0.status.isActive ? .dispensed : $0.status) },
        issueCount: record.prescription.maxRepeats?.value)
      _ = try await spine.prescriptions.dispense(id, notification, envelope("dispense"))
      counts[1] += 1
      _ = try await spine.prescriptions.claim(id, issue: issue, envelope("claim"))
      counts[2] += 1
      issue += 1
      guard record.instances[String(issue)] != nil else { break }
    }
    return zip(["released", "dispensed", "claimed"], counts).map {
      $1 == 1 ? $0 : "\($0) \($1)×"
    }
  }
}

extension LoadRow {
  fileprivate mutating func refuse(_ error: SpineError) {
    outcome = error.spine == nil ? .failed : .rejected
    code = error.spine?.description ?? "\(error.code.rawValue)"
    note = error.message
  }

  fileprivate mutating func check(
    _ kind: String, _ id: String?, _ result: Result<Void, SpineError>
  ) {
    self.kind = kind
    self.id = id ?? ""
    switch result {
    case .success: outcome = .checked
    case .failure(let error): refuse(error)
    }
  }
}
