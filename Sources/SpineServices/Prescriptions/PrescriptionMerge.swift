extension PrescriptionMachine {
  /// Joins two siblings of a record.
  ///
  /// The status is no lattice (a return goes backwards), so the join works on histories: if one
  /// change log holds the other, its record stands; else the union of both is replayed. The result
  /// depends only on the set of changes, which makes the merge commutative, associative and
  /// idempotent.
  public static func merge(_ a: PrescriptionRecord, _ b: PrescriptionRecord) -> PrescriptionRecord {
    if a == b { return a }
    if holds(a.changeLog, b.changeLog) { return a }
    if holds(b.changeLog, a.changeLog) { return b }
    let log = a.changeLog.merging(b.changeLog) { earlier($0, $1) }
    if let rebuilt = rebuild(from: log) { return rebuilt }
    // Without events (a record from elsewhere) nothing can be replayed: the longer history wins,
    // and the log still names every change.
    var winner = precedence(a) > precedence(b) ? a : b
    winner.changeLog = log
    return winner
  }

  /// The record that replaying a change log gives; nil when the log holds no events.
  ///
  /// Serial change numbers order causes before effects; between concurrent changes the earlier
  /// handling time comes first, then the ODS code. A change that has become illegal is noted in
  /// `rejectedEvents`, except that a dispense displaces an earlier cancellation or expiry, and a
  /// cancellation an earlier expiry: those are then replayed after it.
  static func rebuild(from log: [String: ChangeEntry]) -> PrescriptionRecord? {
    var order = log.values.compactMap { entry in entry.event.map { (entry.scn, $0) } }
      .sorted { key($0) < key($1) }.map(\.1)
    guard order.count == log.count else { return nil }
    var tried: Set<String> = []
    var replay = Replay(order, log, tried)
    while let move = replay.displacement {
      tried.insert(move.name)
      var changed = order
      let event = changed.remove(at: move.from)
      changed.insert(event, at: move.behind)
      let attempt = Replay(changed, log, tried)
      guard !attempt.rejected.contains(where: { $0.messageID == move.beneficiary }) else {
        replay = Replay(order, log, tried)
        continue
      }
      order = changed
      replay = attempt
    }
    return replay.finished(log)
  }

  private static func key(_ pair: (Int, PrescriptionEvent)) -> String {
    let number = SpineTime.padded(pair.0, 6)
    return "\(number)|\(pair.1.time)|\(pair.1.agent.organisation)|\(pair.1.messageID)"
  }

  private static func holds(_ a: [String: ChangeEntry], _ b: [String: ChangeEntry]) -> Bool {
    a.count >= b.count && b.allSatisfy { a[$0.key] == $0.value }
  }

  /// The same message handled twice: the entry with the earlier place stands.
  private static func earlier(_ a: ChangeEntry, _ b: ChangeEntry) -> ChangeEntry {
    precedence(a) <= precedence(b) ? a : b
  }

  private static func precedence(_ entry: ChangeEntry) -> String {
    let body = (try? JSONCoding.encode(entry)) ?? []
    return SpineTime.padded(entry.scn, 6) + entry.timestamp + String(decoding: body, as: UTF8.self)
  }

  private static func precedence(_ record: PrescriptionRecord) -> String {
    let body = (try? JSONCoding.encode(record)) ?? []
    return SpineTime.padded(record.scn, 6) + String(decoding: body, as: UTF8.self)
  }
}

/// One pass over a united history.
private struct Replay {
  var record: PrescriptionRecord?
  var rejected: [RejectedEvent] = []
  /// The first event that must give way to a later one.
  var displacement: Displacement?
  private let tried: Set<String>

  /// An event to be replayed right after one that it stood in the way of.
  struct Displacement {
    var from: Int
    var behind: Int
    var beneficiary: String
    var name: String
  }

  init(_ order: [PrescriptionEvent], _ log: [String: ChangeEntry], _ tried: Set<String>) {
    self.tried = tried
    for (index, event) in order.enumerated() {
      let original = log[event.messageID]?.response ?? [:]
      do {
        let transition = try PrescriptionMachine.apply(event, to: record)
        record = transition.record ?? record
        if let now = changedOutcome(transition.reply.parameters, original) {
          reject(event, "the outcome is now \(now)")
          displace(for: event, at: index, in: order)
        }
      } catch {
        reject(event, error.description)
        displace(for: event, at: index, in: order)
      }
    }
  }

  /// The cancellation outcome after the replay, when it is not what the sender was told.
  private func changedOutcome(_ now: [String: String], _ then: [String: String]) -> String? {
    let key = "cancellationResponseCode"
    return now[key] == then[key] ? nil : now[key]
  }

  private mutating func reject(_ event: PrescriptionEvent, _ reason: String) {
    rejected.append(
      RejectedEvent(
        messageID: event.messageID, reason: reason, organisation: event.agent.organisation))
  }

  /// Looks for the last earlier event of a kind that must give way to `event`.
  private mutating func displace(
    for event: PrescriptionEvent, at index: Int, in order: [PrescriptionEvent]
  ) {
    guard displacement == nil else { return }
    let position = order[..<index].lastIndex { earlier in
      switch (event.action, earlier.action) {
      case (.dispense, .cancel), (.dispense, .expire), (.cancel, .expire):
        !tried.contains("\(earlier.messageID)>\(event.messageID)")
      default: false
      }
    }
    guard let position else { return }
    displacement = Displacement(
      from: position, behind: index, beneficiary: event.messageID,
      name: "\(order[position].messageID)>\(event.messageID)")
  }

  /// The record with the whole log: every change stays on record, the refused ones too.
  func finished(_ log: [String: ChangeEntry]) -> PrescriptionRecord? {
    guard var record else { return nil }
    record.changeLog = log
    record.scn = log.count + 1
    record.rejectedEvents = rejected.isEmpty ? nil : rejected
    let latest = log.values.map(\.timestamp).max() ?? ""
    record.indexes = record.indexTerms(updatedAt: latest)
    return record
  }
}
