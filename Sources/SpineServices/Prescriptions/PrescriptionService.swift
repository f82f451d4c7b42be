public import KVBase

/// A message on its way to the prescription service: its identifier, sender and body.
public struct Envelope: Sendable {
  /// The identifier: sent again, the same message is answered again and does nothing more.
  public var messageID: MessageID
  /// Who sends it.
  public var agent: Agent
  /// The message as received, kept as a document; may be empty.
  public var body: Bytes

  /// A message of an agent.
  public init(messageID: MessageID, agent: Agent, body: Bytes = []) {
    self.messageID = messageID
    self.agent = agent
    self.body = body
  }
}

/// A prescription handed to a dispenser: the reply, and the document as it was signed.
public struct ReleasedPrescription: Sendable {
  /// The reply's parameters.
  public var reply: PrescriptionReply
  /// The signed prescription, byte for byte.
  public var document: Bytes
}

/// The life of prescriptions, from upload to claim.
///
/// Writes the message's document first, then the queue entry, then the record, conditionally: the
/// record is the truth, and what was written before it is harmless without it. A message whose
/// outcome is unknown is sent again with the same identifier.
public struct PrescriptionService: Sendable {
  /// The most prescriptions one nominated release hands out.
  public static let releaseLimit = 25

  let records: BucketHandle<PrescriptionRecord>
  let documents: BucketHandle<Document>
  let worklists: BucketHandle<Worklist>
  let patients: BucketHandle<PatientRecord>
  let queue: NominationQueue
  let clock: @Sendable () -> SpineTime

  init(store: any BucketStore, clock: @escaping @Sendable () -> SpineTime) {
    records = BucketHandle(SpineBuckets.prescriptions, on: store)
    documents = BucketHandle(SpineBuckets.documents, on: store)
    worklists = BucketHandle(SpineBuckets.worklists, on: store)
    patients = BucketHandle(SpineBuckets.patients, on: store)
    queue = NominationQueue(store: store)
    self.clock = clock
  }

  /// The key of a message's document: with the prescription, since senders have been seen to use
  /// one message identifier for several.
  static func documentKey(_ message: MessageID, _ id: String) -> String {
    "\(message)_\(PrescriptionID.storeKey(of: id))"
  }

  /// The record of a prescription, or nil.
  public func record(_ id: String) async throws(SpineError) -> PrescriptionRecord? {
    try await records.fetch(PrescriptionID.storeKey(of: id))?.value
  }

  /// Stores a signed prescription.
  ///
  /// Refused for a patient whom the demographics service holds as deceased.
  public func upload(
    _ order: PrescriptionOrder, _ envelope: Envelope
  ) async throws(SpineError) -> PrescriptionReply {
    let patient = try await patients.fetch(order.patient.nhsNumber)
    if let date = patient?.value.deceasedDate {
      throw SpineError(.patientDeceased, "\(order.patient.nhsNumber) died on \(date)")
    }
    return try await handle(
      envelope, .upload(order), for: order.prescriptionID, title: "Prescription", isNew: true)
  }

  /// Hands one prescription to the dispenser who knows its identifier.
  public func release(
    _ id: String, _ envelope: Envelope
  ) async throws(SpineError) -> ReleasedPrescription {
    let reply = try await handle(
      envelope, .release(basis: .identifier), for: id, title: "ReleaseRequest")
    return try await withDocument(reply)
  }

  /// The dispenser gives a prescription back.
  public func giveBack(
    _ id: String, reason: String, _ envelope: Envelope
  ) async throws(SpineError) -> PrescriptionReply {
    try await handle(envelope, .giveBack(reason: reason), for: id, title: "Return")
  }

  /// The dispenser reports on the items.
  public func dispense(
    _ id: String, _ notification: DispenseNotification, _ envelope: Envelope
  ) async throws(SpineError) -> PrescriptionReply {
    try await handle(envelope, .dispense(notification), for: id, title: "DispenseNotification")
  }

  /// The dispenser claims payment for an issue (nil: the one last dispensed).
  public func claim(
    _ id: String, issue: Int? = nil, _ envelope: Envelope
  ) async throws(SpineError) -> PrescriptionReply {
    let action = PrescriptionEvent.Action.claim(claimID: envelope.messageID.text, issue: issue)
    return try await handle(envelope, action, for: id, title: "Claim")
  }

  /// The prescriber cancels a prescription or an item; the outcome is in the reply.
  public func cancel(
    _ instruction: CancelInstruction, _ envelope: Envelope
  ) async throws(SpineError) -> PrescriptionReply {
    try await handle(
      envelope, .cancel(instruction), for: instruction.prescriptionID, title: "Cancellation")
  }

  /// What a batch job does on the due day: make ready, or expire.
  public func runDueActivity(
    _ id: String, _ action: PrescriptionEvent.Action, _ envelope: Envelope
  ) async throws(SpineError) -> PrescriptionReply {
    try await handle(envelope, action, for: id, title: "Batch")
  }
}

extension PrescriptionService {
  /// Runs one message through the machine and the store.
  private func handle(
    _ envelope: Envelope, _ action: PrescriptionEvent.Action, for id: String, title: String,
    isNew: Bool = false
  ) async throws(SpineError) -> PrescriptionReply {
    let time = clock()
    let key = PrescriptionID.storeKey(of: id)
    let event = PrescriptionEvent(
      messageID: envelope.messageID, time: time, agent: envelope.agent,
      documentKey: envelope.body.isEmpty ? "" : Self.documentKey(envelope.messageID, id),
      action: action)
    let document = Document(
      prescriptionID: key, title: title, time: time.text, body: envelope.body)
    if isNew, let reply = try await insert(event, document, at: key) { return reply }
    return try await records.update(
      key,
      beforeWrite: { (changed, before) throws(SpineError) in
        try await prepare(changed, before: before, document, event, at: key)
      },
      change: { (record) throws(SpineError) in
        let transition = try PrescriptionMachine.apply(event, to: record)
        guard let changed = transition.record else { return .keep(transition.reply) }
        return .write(changed, transition.reply)
      })
  }

  /// Writes a record that should not exist yet, without reading first; nil when it does exist.
  private func insert(
    _ event: PrescriptionEvent, _ document: Document, at key: String
  ) async throws(SpineError) -> PrescriptionReply? {
    let transition = try PrescriptionMachine.apply(event, to: nil)
    guard let record = transition.record else { return nil }
    // A document that is there already means that the message came before: look first.
    if !event.documentKey.isEmpty {
      guard try await documents.putOnce(document, at: event.documentKey) else { return nil }
    }
    try await enterQueue(record, before: nil, event, at: key)
    guard try await records.put(record, at: key, if: .absent) else { return nil }
    return transition.reply
  }

  /// What must be stored before the record: the document, and the queue entry of a prescription
  /// that is about to wait for its nominated dispenser.
  private func prepare(
    _ record: PrescriptionRecord, before: PrescriptionRecord?, _ document: Document,
    _ event: PrescriptionEvent, at key: String
  ) async throws(SpineError) {
    if !event.documentKey.isEmpty {
      try await documents.putOnce(document, at: event.documentKey)
    }
    try await enterQueue(record, before: before, event, at: key)
  }

  private func enterQueue(
    _ record: PrescriptionRecord, before: PrescriptionRecord?, _ event: PrescriptionEvent,
    at key: String
  ) async throws(SpineError) {
    if let dispenser = record.waitingFor, before?.waitingFor != dispenser {
      try await queue.enter(key, for: dispenser, at: clock(), by: event.messageID)
    }
  }

  private func withDocument(
    _ reply: PrescriptionReply
  ) async throws(SpineError) -> ReleasedPrescription {
    guard let key = reply.parameters["prescriptionMsgRef"] else {
      return ReleasedPrescription(reply: reply, document: [])
    }
    guard let document = try await documents.fetch(key)?.value else {
      throw SpineError(.unableToProcess, "the signed document \(key) is not there")
    }
    return ReleasedPrescription(reply: reply, document: document.body)
  }
}

extension PrescriptionService {
  // MARK: Nominated release

  /// Hands the dispenser up to 25 prescriptions that wait for it, oldest first.
  ///
  /// Throws `0006 NO_MORE_PRESCRIPTIONS`, which is information, when none wait. The queue is only
  /// a hint: each record is read, and its status decides. The composed reply is kept under the
  /// message's identifier, and entries leave the queue after that, so that a message sent again
  /// after a crash finds the same prescriptions.
  public func nominatedRelease(
    _ envelope: Envelope
  ) async throws(SpineError) -> [ReleasedPrescription] {
    let dispenser = envelope.agent.organisation
    if let kept = try await worklists.fetch(envelope.messageID.text) {
      return try await replies(to: envelope, kept.value.prescriptions)
    }
    var released: [(key: String, reply: PrescriptionReply)] = []
    var stale: [NominationQueue.Entry] = []
    var waiting = try await queue.entries(for: dispenser)[...]
    while !waiting.isEmpty, released.count < Self.releaseLimit {
      let group = waiting.prefix(min(Self.releasesAtOnce, Self.releaseLimit - released.count))
      waiting = waiting.dropFirst(group.count)
      for (entry, outcome) in zip(group, await takeTogether(Array(group), envelope)) {
        switch try outcome.get() {
        case .released(let reply):
          released.append((entry.key, reply))
          stale.append(entry)
        case .stale: stale.append(entry)
        case .notYet: break
        }
      }
    }
    if !released.isEmpty {
      let list = Worklist(
        dispenser: dispenser, time: clock().text, prescriptions: released.map(\.key))
      try await worklists.putOnce(list, at: envelope.messageID.text)
    }
    try await queue.remove(stale, for: dispenser)
    guard !released.isEmpty else {
      throw SpineError(.noMorePrescriptions, "no prescription waits for \(dispenser)")
    }
    return try await withDocuments(released.map(\.reply))
  }

  private enum Taken {
    case released(PrescriptionReply)
    case stale, notYet
  }

  /// How long an entry without a record is taken for an upload still on its way.
  private static let uploadGraceSeconds = 3600

  /// How many records and documents of one release are handled at once.
  private static let releasesAtOnce = 8

  private func takeTogether(
    _ entries: [NominationQueue.Entry], _ envelope: Envelope
  ) async -> [Result<Taken, SpineError>] {
    await concurrently(entries) { (entry) throws(SpineError) in try await take(entry, envelope) }
  }

  /// The replies with the signed documents, a few read at once.
  private func withDocuments(
    _ replies: [PrescriptionReply]
  ) async throws(SpineError) -> [ReleasedPrescription] {
    var answers: [ReleasedPrescription] = []
    for start in stride(from: 0, to: replies.count, by: Self.releasesAtOnce) {
      let group = Array(replies[start..<min(start + Self.releasesAtOnce, replies.count)])
      let results = await concurrently(group) { (reply) throws(SpineError) in
        try await withDocument(reply)
      }
      for result in results { answers.append(try result.get()) }
    }
    return answers
  }

  private func take(
    _ entry: NominationQueue.Entry, _ envelope: Envelope
  ) async throws(SpineError) -> Taken {
    do {
      return .released(
        try await handle(
          envelope, .release(basis: .nominated), for: entry.key, title: "NominatedReleaseRequest"))
    } catch {
      switch error.spine {
      case SpineCode.releaseNotFound:
        return try await isWaiting(entry, for: envelope.agent.organisation) ? .notYet : .stale
      case .some: return .stale
      case nil: throw error
      }
    }
  }

  /// True for an entry that must stay although it cannot be released now.
  private func isWaiting(
    _ entry: NominationQueue.Entry, for dispenser: String
  ) async throws(SpineError) -> Bool {
    guard let record = try await records.fetch(entry.key)?.value,
      record.prescription.prescriptionPresent
    else {
      let horizon = SpineTime(
        secondsSinceEpoch: clock().secondsSinceEpoch - Self.uploadGraceSeconds)
      return entry.time > horizon.text
    }
    // It became available between the two reads: leave it to the next release.
    return record.waitingFor == dispenser
  }

  private func replies(
    to envelope: Envelope, _ keys: [String]
  ) async throws(SpineError) -> [ReleasedPrescription] {
    var replies: [PrescriptionReply] = []
    for key in keys {
      guard let entry = try await records.fetch(key)?.value.changeLog[envelope.messageID.text]
      else {
        throw SpineError(.unableToProcess, "the release of \(key) is not in its change log")
      }
      replies.append(PrescriptionReply(parameters: entry.response, isReplay: true))
    }
    return try await withDocuments(replies)
  }
}
