import Synchronization

/// One access: who did what to which resource, why, and how it ended; never changed.
public struct AuditEvent: Codable, Hashable, Sendable, WrittenOnce {
  /// Who.
  public var agent: Agent
  /// The kind of resource, such as `Patient`.
  public var resource: String
  /// Its key.
  public var key: String
  /// The patient concerned.
  public var nhsNumber: String
  /// `read` or `update`.
  public var operation: String
  /// The version before and after.
  public var versions: [Int]
  /// `success` or an error code.
  public var outcome: String
  /// The request.
  public var requestID: String
  /// When, `YYYYMMDDHHMMSS`.
  public var time: String

  /// By patient, by person and organisation, and by request.
  var indexTerms: [IndexTerm] {
    var terms = [
      IndexTerm("pat_bin", "\(nhsNumber)|\(time)"),
      IndexTerm("org_bin", "\(agent.organisation)|\(time)"),
      IndexTerm("req_bin", requestID),
    ]
    if let person = agent.person { terms.append(IndexTerm("usr_bin", "\(person)|\(time)")) }
    return terms.sorted()
  }
}

/// Writes audit events, before the reply leaves.
public struct AuditTrail: Sendable {
  let store: any BucketStore
  let isOn: Bool
  let clock: @Sendable () -> SpineTime

  /// Notes an access; the access fails when it cannot be noted.
  func note(
    _ operation: String, _ resource: String, key: String, patient: String, by agent: Agent,
    request: MessageID, versions: [Int] = [], outcome: String = "success"
  ) async throws(SpineError) {
    guard isOn else { return }
    let event = AuditEvent(
      agent: agent, resource: resource, key: key, nhsNumber: patient, operation: operation,
      versions: versions, outcome: outcome, requestID: request.text, time: clock().text)
    // One request may touch several resources; the same request again is the same event.
    let name = MessageID(derivedFrom: "audit", request.text, resource, key, operation).text
    try await BucketHandle(SpineBuckets.audit, on: store).putOnce(event, at: name)
  }
}
